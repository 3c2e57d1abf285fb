//! Attention's rules of other primitives, for any array.

use super::Attention;
use super::head::Sizes;
use crate::array::Array;
use crate::ops::Ops;
use crate::tensor::Tensor;

/// What follows from the input: Q/√d, K, V and P, (batch, heads, positions, …) each.
struct Parts<A> {
    q: A,
    k: A,
    v: A,
    p: A,
}

impl Sizes {
    /// 1/√d.
    pub(super) fn scale(&self) -> f64 {
        1.0 / (self.size as f64).sqrt()
    }

    /// (batch, positions, width) as (batch, heads, positions, size).
    fn split<A: Array>(&self, x: &A) -> A {
        x.reshape(&[self.batch, self.positions, self.heads, self.size]).permute(&[0, 2, 1, 3])
    }

    /// The way back.
    fn joined<A: Array>(&self, x: &A) -> A {
        x.permute(&[0, 2, 1, 3]).reshape(&[self.batch, self.positions, self.width()])
    }

    /// One of the three parts of the input, by heads.
    fn part<A: Array>(&self, x: &A, i: usize) -> A {
        let w = self.width();
        self.split(&x.slice(&[(0, self.batch), (0, self.positions), (i * w, (i + 1) * w)]))
    }
}

/// P ∘ (v − Σ P ∘ v), the Jacobian of softmax, symmetric, times v.
fn spread<A: Array>(p: &A, v: &A) -> A {
    p.times(&v.minus(&p.times(v).sum_keep(&[-1])))
}

impl Attention {
    /// 1 where a query may see a key, (batch, 1, positions, positions).
    fn seen(&self, s: &Sizes) -> Tensor<f64> {
        let n = s.positions;
        Tensor::from_fn(&[s.batch, 1, n, n], |at| {
            let (sequence, query, key) = (at / (n * n), at / n % n, at % n);
            let open = self.keys.as_ref().is_none_or(|keys| keys[sequence * n + key]);
            f64::from(u8::from(open && (!self.causal || key <= query)))
        })
    }

    fn parts<A: Array>(&self, x: &A, s: &Sizes) -> Parts<A> {
        let [q, k, v] = [0, 1, 2].map(|i| s.part(x, i));
        let (q, seen) = (q.scale(s.scale()), A::constant(&self.seen(s)));
        let scores = q.matmul_transposed(false, &k, true);
        // So far below all others that its share is 0; where a query sees nothing, the product makes all shares 0.
        let p = seen.select(&scores, &A::full(&[], -1e30)).softmax(-1).times(&seen);
        Parts { q, k, v, p }
    }

    pub(super) fn tangent<A: Array>(&self, x: &A, dx: &A) -> A {
        let s = self.sizes(x.shape());
        let Parts { q, k, v, p } = self.parts(x, &s);
        let [dq, dk, dv] = [0, 1, 2].map(|i| s.part(dx, i));
        let scores = dq.scale(s.scale()).matmul_transposed(false, &k, true) + q.matmul_transposed(false, &dk, true);
        let dp = spread(&p, &scores);
        s.joined(&(dp.matmul(&v) + p.matmul(&dv)))
    }

    pub(super) fn adjoint<A: Array>(&self, x: &A, ybar: &A) -> A {
        let s = self.sizes(x.shape());
        let Parts { q, k, v, p } = self.parts(x, &s);
        let obar = s.split(ybar);
        let sbar = spread(&p, &obar.matmul_transposed(false, &v, true));
        let qbar = sbar.matmul(&k).scale(s.scale());
        let kbar = sbar.matmul_transposed(true, &q, false);
        let vbar = p.matmul_transposed(true, &obar, false);
        let [qbar, kbar, vbar] = [qbar, kbar, vbar].map(|part| s.joined(&part));
        A::concat(&[&qbar, &kbar, &vbar], -1)
    }
}
