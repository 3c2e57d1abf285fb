//! Softmax and its logarithm, and log-sum-exp, along one axis. The largest element is subtracted first, so that nothing
//! overflows; sums are in double precision.

use crate::array::Array;
use crate::ops::reduce::Lanes;
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::Shape;
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

/// log Σ e^xᵢ over a lane, with its maximum subtracted: (maximum, log Σ e^(xᵢ − maximum)).
fn log_sum_exp<T: Real>(lane: impl Iterator<Item = T> + Clone) -> (f64, f64) {
    let top = lane.clone().map(T::to_f64).fold(f64::NEG_INFINITY, f64::max);
    // A lane of −∞ alone has the log-sum −∞, not NaN.
    let shift = if top == f64::NEG_INFINITY { 0.0 } else { top };
    let sum: f64 = lane.map(|x| (x - T::from_f64(shift)).exp().to_f64()).sum();
    (shift, f64::ln(sum))
}

/// Applies `f(lane element, (shift, log-sum))` to every element.
fn by_lane<T: Real>(x: &Tensor<T>, axis: usize, f: impl Fn(T, f64, f64) -> T) -> Tensor<T> {
    let lanes = Lanes::of(x.shape(), axis);
    let mut y = x.clone();
    let out = y.data_mut();
    for start in lanes.starts() {
        let (shift, log_sum) = log_sum_exp((0..lanes.n).map(|i| x.data()[lanes.at(start, i)]));
        for i in 0..lanes.n {
            let at = lanes.at(start, i);
            out[at] = f(out[at], shift, log_sum);
        }
    }
    y
}

/// Sum along one axis, kept.
fn total<A: Array>(x: &A, axis: usize) -> A {
    x.sum_keep(&[axis as isize])
}

impl Primitive for Softmax {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "softmax"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        by_lane(x[0], self.axis, |v, shift, log_sum| (v - T::from_f64(shift)).exp() / T::from_f64(f64::exp(log_sum)))
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

    recorded_as!(Softmax);
}

impl Primitive for LogSoftmax {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        by_lane(x[0], self.axis, |v, shift, log_sum| v - T::from_f64(shift) - T::from_f64(log_sum))
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
        let lanes = Lanes::of(x[0].shape(), self.axis);
        let mut shape = Shape::from_slice(x[0].shape());
        shape[self.axis] = 1;
        let value = |start| {
            let (shift, log_sum) = log_sum_exp((0..lanes.n).map(|i| x[0].data()[lanes.at(start, i)]));
            T::from_f64(shift + log_sum)
        };
        Tensor::from_vec(&shape, lanes.starts().map(value).collect())
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
pub(crate) fn variance(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let mean: f64 = pairs.clone().map(|(p, v)| p * v).sum();
    pairs.map(|(p, v)| p * (v - mean) * (v - mean)).sum()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use crate::transform::grad;
    use crate::{Ops, Tensor};

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
        assert_relative_eq!(x.logsumexp(0).data()[0], 2f64.ln());
        let g = grad(|x| x.logsumexp(0).sum_all(), &x);
        assert_eq!(g.data()[0], 0.0);
        assert_relative_eq!(g.data()[1], 0.5, max_relative = 1e-15);
        // A sum of nothing is log 0.
        assert_eq!(row(&[MINUS_INFINITY; 2]).logsumexp(0).data(), [MINUS_INFINITY]);
    }
}
