//! Softmax and its logarithm, and log-sum-exp, along one axis. The largest element is subtracted first, so that nothing
//! overflows; sums are in double precision. Derivatives of softmax along the last axis are single passes over rows.

use crate::array::{Array, At};
use crate::ops::reduce::Lanes;
use crate::ops::rows::{self, Moving};
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive, general_vjp_tangent, general_vjp_then_curved};
use crate::real::Real;
use crate::tensor::Tensor;

/// pᵢ = e^xᵢ / Σⱼ e^xⱼ along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softmax {
    /// The axis normalised.
    pub axis: usize,
}

/// log pᵢ = xᵢ − log Σⱼ e^xⱼ along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSoftmax {
    /// The axis normalised.
    pub axis: usize,
}

/// log Σⱼ e^xⱼ along an axis, which keeps size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSumExp {
    /// The axis reduced to size 1.
    pub axis: usize,
}

/// Sum along one axis, kept.
fn total<A: Array>(x: &A, axis: usize) -> A {
    x.sum_keep(&[axis as isize])
}

impl Softmax {
    /// The rows of the second-order rules: none where the axis has no rows, or nothing moves, or there is no adjoint.
    fn moving<'a, T: Real>(
        &self,
        y: &'a Tensor<T>,
        dx: Option<&'a Tensor<T>>,
        ybar: Option<&'a Tensor<T>>,
    ) -> Option<Moving<'a, T>> {
        let width = rows::width(y.shape(), self.axis)?;
        Some(Moving { p: y.data(), dx: dx?.data(), ybar: ybar?.data(), width })
    }
}

impl Primitive for Softmax {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "softmax"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        rows::along(x[0], self.axis, rows::softmax)
    }

    /// p ∘ (ẋ − Σ p ẋ).
    fn jvp<A: Array>(&self, _x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let dx = dx[0]?;
        Some(dx.minus(&total(&y.times(dx), self.axis)) * y)
    }

    /// p ∘ (ȳ − Σ p ȳ): the Jacobian is symmetric.
    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.jvp(x, y, &[Some(ybar)]).expect("a tangent was given"));
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        let Some(width) = rows::width(y.shape(), self.axis) else { return self.jvp(x, y, dx) };
        Some(rows::centred(y, dx[0]?, width))
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let Some(width) = rows::width(y.shape(), self.axis) else { return self.vjp(x, y, ybar, out) };
        out.add(0, || rows::centred(y, ybar, width));
    }

    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        match self.moving(at.y, dx[0], Some(at.ybar)) {
            Some(moving) => out.add(0, || rows::adjoint_tangent(at.y.shape(), moving, None)),
            None => general_vjp_tangent(self, at, dx, out),
        }
    }

    /// As derived at `rows::adjoint_tangent`.
    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        match self.moving(at.y, dx[0], Some(at.ybar)) {
            Some(moving) => out.add(0, || rows::adjoint_tangent(at.y.shape(), moving, dybar.map(Tensor::data))),
            None => general_vjp_then_curved(self, at, dx, dybar, out),
        }
    }

    /// Σ over rows of Σ (ȳ − Σ p ȳ) p (ẋ − Σ p ẋ)², as derived at `rows::contracted`.
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (dy, term) = rows::contracted(node.y.shape(), self.moving(node.y, node.dx[0], node.ybar)?);
        Some((Some(dy), term))
    }

    recorded_as!(Softmax);
}

impl Primitive for LogSoftmax {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        rows::along(x[0], self.axis, rows::log_softmax)
    }

    /// ẋ − Σ p ẋ.
    fn jvp<A: Array>(&self, _x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let dx = dx[0]?;
        Some(dx.minus(&total(&(y.exp() * dx), self.axis)))
    }

    /// ȳ − p Σ ȳ.
    fn vjp<A: Array>(&self, _x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || ybar.minus(&(y.exp() * total(ybar, self.axis))));
    }

    recorded_as!(LogSoftmax);
}

impl Primitive for LogSumExp {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        rows::along(x[0], self.axis, rows::log_sums)
    }

    /// Σ p ẋ with p = e^(x − y).
    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(total(&(x[0].minus(y).exp() * dx[0]?), self.axis))
    }

    /// p ȳ.
    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || x[0].minus(y).exp() * ybar);
    }

    /// Σ over lanes of ȳ (Σ p ẋ² − (Σ p ẋ)²): the variance of ẋ under p, weighted by ȳ.
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (x, dx, ybar) = (node.x[0], node.dx[0]?, node.ybar?);
        let lanes = Lanes::of(x.shape(), self.axis);
        let mut sum = 0.0;
        for (lane, start) in lanes.starts().enumerate() {
            let y = node.y.data()[lane];
            let pairs = (0..lanes.n).map(|i| {
                let at_i = lanes.at(start, i);
                ((x.data()[at_i] - y).exp().to_f64(), dx.data()[at_i].to_f64())
            });
            sum += ybar.data()[lane].to_f64() * variance(pairs);
        }
        Some((self.jvp(node.x, node.y, node.dx), sum))
    }

    recorded_as!(LogSumExp);
}

/// Σ p v² − (Σ p v)² = Σ p (v − mean)² for Σ p = 1, by the second form, which does not cancel.
fn variance(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let mean: f64 = pairs.clone().map(|(p, v)| p * v).sum();
    pairs.map(|(p, v)| p * (v - mean) * (v - mean)).sum()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use crate::real::precise::{self, Double, add, distance, sub};
    use crate::transform::grad;
    use crate::{Ops, Real, Tensor};

    const MINUS_INFINITY: f64 = f64::NEG_INFINITY;

    fn row(data: &[f64]) -> Tensor<f64> {
        Tensor::from_vec(&[data.len()], data.to_vec())
    }

    #[test]
    fn large_numbers_do_not_overflow() {
        let x = row(&[1000.0, 1000.0 + 2f64.ln(), -1000.0]);
        assert_relative_eq!(x.logsumexp(0).data()[0], 1000.0 + 3f64.ln(), max_relative = 1e-15);
        for (p, want) in x.softmax(0).data().iter().zip([1.0 / 3.0, 2.0 / 3.0, 0.0]) {
            assert_relative_eq!(*p, want, max_relative = 1e-12);
        }
        assert_relative_eq!(x.log_softmax(0).data()[2], -2000.0 - 3f64.ln(), max_relative = 1e-15);
        let single = Tensor::from_vec(&[2], vec![-200f32, -200.0]);
        assert_relative_eq!(single.logsumexp(0).data()[0], -200.0 + 2f32.ln(), max_relative = 1e-6);
    }

    #[test]
    fn masked_elements_have_no_share() {
        let x = row(&[MINUS_INFINITY, 0.0, 0.0]);
        assert_eq!(x.softmax(0).data(), [0.0, 0.5, 0.5]);
        assert_eq!(x.log_softmax(0).data(), [MINUS_INFINITY, -2f64.ln(), -2f64.ln()]);
        assert_relative_eq!(x.logsumexp(0).data()[0], 2f64.ln());
        let g = grad(|x| x.logsumexp(0).sum_all(), &x);
        assert_eq!(g.data()[0], 0.0);
        assert_relative_eq!(g.data()[1], 0.5, max_relative = 1e-15);
        // A sum of nothing is log 0.
        assert_eq!(row(&[MINUS_INFINITY; 2]).logsumexp(0).data(), [MINUS_INFINITY]);
    }

    /// log Σ e^x of a row with twice the precision: top + log(1 + (Σ e^(x − top) − 1)).
    fn precise_log_sum(row: &[f64]) -> Double {
        let top = row.iter().copied().fold(MINUS_INFINITY, f64::max);
        let powers = row.iter().map(|&x| precise::exp(sub((x, 0.0), (top, 0.0))));
        let sum = powers.reduce(add).expect("a row has elements");
        add((top, 0.0), precise::ln_1p(sub(sum, (1.0, 0.0))))
    }

    /// The largest |found − exact| / (ε max(1, |x|)) of log-softmax, |x| the largest of the row, over rows of several lengths and
    /// spreads, along the last axis and along the first.
    fn worst<T: Real>() -> f64 {
        let mut worst = 0f64;
        for (width, spread, centre) in
            [(1, 1.0, 5.0), (3, 1.0, 0.0), (10, 10.0, -3.0), (100, 0.1, 0.0), (1500, 3.0, 40.0), (257, 300.0, 0.0)]
        {
            let number = |i: usize| T::from_f64(centre + spread * (1.7 * i as f64 + 0.3 * spread).sin());
            let x = Tensor::from_vec(&[5, width], (0..5 * width).map(number).collect());
            let along_last = x.log_softmax(1);
            let along_first = x.permute(&[1, 0]).log_softmax(0).permute(&[1, 0]);
            for (i, row) in x.data().chunks_exact(width).enumerate() {
                let row: Vec<f64> = row.iter().map(|v| v.to_f64()).collect();
                let (log_sum, size) = (precise_log_sum(&row), row.iter().fold(1f64, |a, v| a.max(v.abs())));
                for (j, &x) in row.iter().enumerate() {
                    for y in [&along_last, &along_first] {
                        let off = distance(y.data()[i * width + j].to_f64(), sub((x, 0.0), log_sum));
                        worst = worst.max(off / (T::EPSILON * size));
                    }
                }
            }
        }
        worst
    }

    #[test]
    fn log_softmax_is_exact_to_four_roundings() {
        for worst in [worst::<f32>(), worst::<f64>()] {
            println!("log_softmax: {worst:.2} ε max(1, |x|)");
            assert!(worst > 0.0 && worst <= 4.0, "{worst}");
        }
    }

    #[test]
    fn rows_of_any_length_are_what_a_loop_makes_of_them() {
        // Shorter and longer than the lanes of a sum, the groups of rows and the chunks of a kernel.
        for (rows, width) in [(3, 1), (70, 10), (5, 33), (2, 1025), (3, 9000), (300, 256)] {
            let x = Tensor::from_fn(&[rows, width], |i| 3.0 * (0.37 * i as f64).sin());
            let across = x.permute(&[1, 0]);
            for (p, log_sums) in [
                (x.softmax(1), x.logsumexp(1)),
                (across.softmax(0).permute(&[1, 0]), across.logsumexp(0).permute(&[1, 0])),
            ] {
                for (i, row) in x.data().chunks_exact(width).enumerate() {
                    let sum: f64 = row.iter().map(|v| v.exp()).sum();
                    assert_relative_eq!(log_sums.data()[i], sum.ln(), max_relative = 1e-13);
                    for (p, v) in p.data()[i * width..].iter().zip(row) {
                        assert_relative_eq!(*p, v.exp() / sum, max_relative = 1e-13);
                    }
                }
            }
        }
    }

    #[test]
    fn arrays_without_elements_are_left_alone() {
        let empty = Tensor::<f64>::from_vec(&[2, 0], vec![]);
        assert_eq!((empty.softmax(1).shape(), empty.log_softmax(1).shape()), (&[2, 0][..], &[2, 0][..]));
        assert_eq!((empty.logsumexp(1).data(), empty.logsumexp(0).shape()), (&[MINUS_INFINITY; 2][..], &[1, 0][..]));
        assert_eq!((empty.softmax(0).shape(), empty.permute(&[1, 0]).softmax(1).shape()), (&[2, 0][..], &[0, 2][..]));
    }
}
