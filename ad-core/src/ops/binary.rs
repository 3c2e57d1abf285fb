//! Arithmetic of two arrays, broadcast by NumPy's rules, and comparisons.

use crate::array::Array;
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::tensor::Tensor;

/// x₀ + x₁.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Add;

/// x₀ − x₁.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sub;

/// x₀ x₁.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mul;

/// x₀ / x₁.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Div;

/// The larger of x₀ and x₁; where they are equal each takes half of the derivative, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maximum;

/// The smaller of x₀ and x₁; where they are equal each takes half of the derivative, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Minimum;

impl Primitive for Add {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "add"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].zip("add", x[1], |a, b| a + b)
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        *x[0] + *x[1]
    }

    #[inline]
    fn jvp<A: Array>(&self, _x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        match (dx[0], dx[1]) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (Some(d), None) | (None, Some(d)) => Some(d.broadcast_to(y.shape())),
            (None, None) => None,
        }
    }

    #[inline]
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || ybar.sum_to(x[0].shape()));
        out.add(1, || ybar.sum_to(x[1].shape()));
    }

    recorded_as!(Add);
}

impl Primitive for Sub {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "sub"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].zip("sub", x[1], |a, b| a - b)
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        *x[0] - *x[1]
    }

    #[inline]
    fn jvp<A: Array>(&self, _x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        match (dx[0], dx[1]) {
            (Some(a), Some(b)) => Some(a.minus(b)),
            (Some(a), None) => Some(a.broadcast_to(y.shape())),
            (None, Some(b)) => Some(b.broadcast_to(y.shape()).scale(-1.0)),
            (None, None) => None,
        }
    }

    #[inline]
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || ybar.sum_to(x[0].shape()));
        out.add(1, || ybar.sum_to(x[1].shape()).scale(-1.0));
    }

    recorded_as!(Sub);
}

impl Primitive for Mul {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "mul"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].zip("mul", x[1], |a, b| a * b)
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        *x[0] * *x[1]
    }

    #[inline]
    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        sum(dx[0].map(|d| d.times(x[1])), dx[1].map(|d| x[0].times(d)))
    }

    #[inline]
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || ybar.times(x[1]).sum_to(x[0].shape()));
        out.add(1, || ybar.times(x[0]).sum_to(x[1].shape()));
    }

    recorded_as!(Mul);
}

impl Primitive for Div {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "div"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].zip("div", x[1], |a, b| a / b)
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        *x[0] / *x[1]
    }

    /// (ẋ₀ − y ẋ₁)/x₁.
    #[inline]
    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        sum(dx[0].map(|d| d.over(x[1])), dx[1].map(|d| y.times(d).over(x[1]).scale(-1.0)))
    }

    #[inline]
    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || ybar.over(x[1]).sum_to(x[0].shape()));
        out.add(1, || ybar.times(y).over(x[1]).sum_to(x[1].shape()).scale(-1.0));
    }

    recorded_as!(Div);
}

/// The sum of two optional terms.
#[inline]
pub(crate) fn sum<A: Array>(a: Option<A>, b: Option<A>) -> Option<A> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

/// The share of input 0 in the derivative of a maximum or minimum: 1 where it wins, ½ at a tie, else 0.
fn share<A: Array>(winner: &A, loser: &A) -> A {
    winner.greater(loser) + winner.equal(loser).scale(0.5)
}

macro_rules! extremum {
    ($name:ident, $text:literal, $better:tt, |$a:ident, $b:ident| $share:expr) => {
        impl Primitive for $name {
            const KIND: Kind = Kind::PiecewiseLinear;

            fn name(&self) -> &'static str {
                $text
            }

            #[track_caller]
            fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
                x[0].zip($text, x[1], |a, b| if a $better b || a.to_f64().is_nan() { a } else { b })
            }

            #[inline]
            fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
                if x[0] $better x[1] || x[0].to_f64().is_nan() { *x[0] } else { *x[1] }
            }

            fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
                let ($a, $b) = (x[0], x[1]);
                let share: A = $share;
                let other = dx[1].map(|d| share.scale(-1.0).offset(1.0) * d);
                sum(dx[0].map(|d| d.times(&share)), other)
            }

            fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
                let ($a, $b) = (x[0], x[1]);
                let share: A = $share;
                out.add(0, || ybar.times(&share).sum_to(x[0].shape()));
                out.add(1, || (share.scale(-1.0).offset(1.0) * ybar).sum_to(x[1].shape()));
            }

            recorded_as!($name);
        }
    };
}
extremum!(Maximum, "maximum", >, |a, b| share(a, b));
extremum!(Minimum, "minimum", <, |a, b| share(b, a));

/// A comparison, 1 where it holds and 0 where not; its derivative is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// x₀ > x₁
    Greater,
    /// x₀ ≥ x₁
    GreaterEqual,
    /// x₀ = x₁
    Equal,
    /// x₀ ≠ x₁
    NotEqual,
}

impl Compare {
    /// 1 where the comparison holds of two numbers, else 0.
    #[inline]
    fn of<T: Real>(self, a: T, b: T) -> T {
        let holds = match self {
            Compare::Greater => a > b,
            Compare::GreaterEqual => a >= b,
            Compare::Equal => a == b,
            Compare::NotEqual => a != b,
        };
        T::from_f64(if holds { 1.0 } else { 0.0 })
    }
}

impl Primitive for Compare {
    const KIND: Kind = Kind::Constant;

    fn name(&self) -> &'static str {
        match self {
            Compare::Greater => "greater",
            Compare::GreaterEqual => "greater_equal",
            Compare::Equal => "equal",
            Compare::NotEqual => "not_equal",
        }
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let comparison = *self;
        x[0].zip(self.name(), x[1], move |a, b| comparison.of(a, b))
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        self.of(*x[0], *x[1])
    }

    fn jvp<A: Array>(&self, _x: &[&A], _y: &A, _dx: &[Option<&A>]) -> Option<A> {
        None
    }

    fn vjp<A: Array>(&self, _x: &[&A], _y: &A, _ybar: &A, _out: &mut Cotangents<'_, A>) {}

    recorded_as!(Compare);
}

/// x₁ where x₀ > 0, else x₂, all broadcast together; the condition x₀, such as a comparison's 1 or 0, has no derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Where;

impl Primitive for Where {
    const KIND: Kind = Kind::PiecewiseLinear;

    fn name(&self) -> &'static str {
        "where"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let branches = x[1].zip("where", x[2], |a, _| a);
        let shape = x[0].zip("where", &branches, |c, _| c);
        let [c, a, b] = [x[0], x[1], x[2]].map(|t| t.broadcast_to(shape.shape()));
        let zero = T::default();
        Tensor::from_fn(shape.shape(), |i| if c.data()[i] > zero { a.data()[i] } else { b.data()[i] })
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        if *x[0] > T::default() { *x[1] } else { *x[2] }
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let zero = A::full(&[], 0.0);
        if dx[1].is_none() && dx[2].is_none() {
            return None;
        }
        Some(x[0].select(dx[1].unwrap_or(&zero), dx[2].unwrap_or(&zero)).broadcast_to(y.shape()))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let zero = A::full(&[], 0.0);
        out.add(1, || x[0].select(ybar, &zero).sum_to(x[1].shape()));
        out.add(2, || x[0].select(&zero, ybar).sum_to(x[2].shape()));
    }

    recorded_as!(Where);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A primitive's short cut for plain floats gives what it gives on rank-0 tensors.
    fn assert_same_on_floats<P: Primitive>(p: P, numbers: &[&f64]) {
        let tensors: Vec<Tensor<f64>> = numbers.iter().map(|&&v| Tensor::scalar(v)).collect();
        let (float, tensor) =
            (f64::apply(p.clone(), numbers), Tensor::apply(p.clone(), &tensors.iter().collect::<Vec<_>>()));
        assert!(float.to_bits() == tensor.item().to_bits(), "{p:?} of {numbers:?}: {float} and {tensor:?}");
    }

    #[test]
    fn plain_floats_and_scalar_tensors_agree_at_ties_and_nan_too() {
        let numbers = [-1.0, 0.0, 2.0, f64::NAN, f64::INFINITY];
        for a in &numbers {
            for b in &numbers {
                assert_same_on_floats(Maximum, &[a, b]);
                assert_same_on_floats(Minimum, &[a, b]);
                for c in [Compare::Greater, Compare::GreaterEqual, Compare::Equal, Compare::NotEqual] {
                    assert_same_on_floats(c, &[a, b]);
                }
                assert_same_on_floats(Where, &[a, b, &3.0]);
            }
        }
    }
}
