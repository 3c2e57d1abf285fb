//! Matrix products, with transposes and leading batch axes, and the linear layer.

use smallvec::SmallVec;

use crate::array::Array;
use crate::gemm::{Matrix, Onto, matmul_into};
use crate::ops::binary::sum;
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::{Shape, broadcast, broadcast_strides, count};
use crate::tensor::Tensor;

/// op(x₀) op(x₁) over the last two axes, where op may transpose; leading axes are broadcast together.
///
/// Shapes: (…, n, k) and (…, k, m) after the transposes, giving (…, n, m).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Whether input 0 is transposed.
    pub ta: bool,
    /// Whether input 1 is transposed.
    pub tb: bool,
}

impl MatMul {
    /// The leading axes of the result and (n, k, m).
    #[track_caller]
    fn dims(&self, a: &[usize], b: &[usize]) -> (Shape, [usize; 3]) {
        let fail =
            || -> ! { panic!("matmul of shapes {a:?} and {b:?} (transposed: {}, {}) does not fit", self.ta, self.tb) };
        if a.len() < 2 || b.len() < 2 {
            fail();
        }
        let (la, ma) = a.split_at(a.len() - 2);
        let (lb, mb) = b.split_at(b.len() - 2);
        let (n, ka) = if self.ta { (ma[1], ma[0]) } else { (ma[0], ma[1]) };
        let (kb, m) = if self.tb { (mb[1], mb[0]) } else { (mb[0], mb[1]) };
        match broadcast(la, lb) {
            Some(lead) if ka == kb => (lead, [n, ka, m]),
            _ => fail(),
        }
    }
}

impl Primitive for MatMul {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "matmul"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let (a, b) = (x[0], x[1]);
        let (lead, [n, k, m]) = self.dims(a.shape(), b.shape());
        let mut shape = lead.clone();
        shape.extend([n, m]);
        let offsets = |t: &Tensor<T>| {
            let lead_of_t = &t.shape()[..t.rank() - 2];
            let steps = broadcast_strides(lead_of_t, &lead);
            crate::shape::Offsets::new(&lead, &steps).collect::<SmallVec<[usize; 1]>>()
        };
        let (oa, ob) = (offsets(a), offsets(b));
        Tensor::filled(&shape, |out| {
            for (i, c) in out.chunks_exact_mut((n * m).max(1)).enumerate() {
                let left = Matrix::new(&a.data()[oa[i] * n * k..][..n * k], n, k, self.ta);
                let right = Matrix::new(&b.data()[ob[i] * k * m..][..k * m], k, m, self.tb);
                matmul_into(c, Onto::Nothing, left, right);
            }
        })
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let product = |a: &A, b: &A| A::apply(*self, &[a, b]);
        sum(dx[0].map(|d| product(d, x[1])), dx[1].map(|d| product(x[0], d)))
    }

    /// With C = op(A) op(B): the adjoint of op(A) is C̄ op(B)ᵀ and that of op(B) is op(A)ᵀ C̄, each transposed back.
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let product = |a: &A, b: &A, ta: bool, tb: bool| A::apply(MatMul { ta, tb }, &[a, b]);
        out.add(0, || {
            let abar = if self.ta { product(x[1], ybar, self.tb, true) } else { product(ybar, x[1], false, !self.tb) };
            abar.sum_to(x[0].shape())
        });
        out.add(1, || {
            let bbar = if self.tb { product(ybar, x[0], true, self.ta) } else { product(x[0], ybar, !self.ta, false) };
            bbar.sum_to(x[1].shape())
        });
    }

    recorded_as!(MatMul);
}

/// The linear layer z = x Wᵀ + b: inputs x (…, n_in), W (n_out, n_in) and, if given, b (n_out).
///
/// Leading axes of x are rows of one product. Bilinear in x and W, linear in b.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear;

/// All axes but the last as rows.
fn rows_of<A: Array>(x: &A) -> A {
    let &[.., n] = x.shape() else { panic!("linear: the input is a scalar") };
    let rows = count(&x.shape()[..x.shape().len() - 1]);
    x.reshape(&[rows, n])
}

impl Primitive for Linear {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "linear"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let (input, weight, bias) = (x[0], x[1], x.get(2));
        let (n_in, n_out) = match (input.shape(), weight.shape(), bias.map(|b| b.shape())) {
            (&[.., n], &[m, k], None) if n == k => (n, m),
            (&[.., n], &[m, k], Some(&[p])) if n == k && m == p => (n, m),
            (a, w, b) => panic!("linear: input {a:?}, weight {w:?} and bias {b:?} do not fit (…, n), (m, n), (m)"),
        };
        let mut shape = Shape::from_slice(input.shape());
        *shape.last_mut().expect("rank is at least 1") = n_out;
        let rows = count(&shape[..shape.len() - 1]);
        let onto = bias.map_or(Onto::Nothing, |b| Onto::Row(b.data()));
        let (left, right) = (Matrix::new(input.data(), rows, n_in, false), Matrix::new(weight.data(), n_in, n_out, true));
        Tensor::filled(&shape, |out| matmul_into(out, onto, left, right))
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let db = dx.get(2).copied().flatten();
        let moved_input = dx[0].map(|d| match db {
            Some(db) => A::apply(Linear, &[d, x[1], db]),
            None => A::apply(Linear, &[d, x[1]]),
        });
        let moved_weight = dx[1].map(|d| match (db, dx[0]) {
            (Some(db), None) => A::apply(Linear, &[x[0], d, db]),
            _ => A::apply(Linear, &[x[0], d]),
        });
        sum(moved_input, moved_weight).or_else(|| db.map(|db| db.broadcast_to(y.shape())))
    }

    /// x̄ = z̄ W, W̄ = z̄ᵀ x, b̄ = Σ rows z̄.
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let zbar = rows_of(ybar);
        out.add(0, || zbar.matmul(x[1]).reshape(x[0].shape()));
        out.add(1, || A::apply(MatMul { ta: true, tb: false }, &[&zbar, &rows_of(x[0])]));
        if x.len() > 2 {
            out.add(2, || zbar.sum(&[0]));
        }
    }

    recorded_as!(Linear);
}
