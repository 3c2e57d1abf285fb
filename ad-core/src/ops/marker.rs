//! Identities that steer differentiation.

use crate::array::Array;
use crate::ops::layout::linear_of_one;
use crate::ops::recorded_as;
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::tensor::Tensor;

/// The identity; marks the network's output, so that curvature can be split into its Gauss–Newton part (downstream) and
/// the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output;

linear_of_one!(Output, "output", |_p, x| x.clone(), |_p, _shape, ybar| ybar.clone(), {
    /// Nothing is to be done.
    fn jvp_in_place<T: Real>(&self, _x: &[T], _y: &[T], _dx: &mut [T]) -> bool {
        true
    }
});

/// The identity with derivative zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopGradient;

impl Primitive for StopGradient {
    const KIND: Kind = Kind::Constant;

    fn name(&self) -> &'static str {
        "stop_gradient"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        x[0].clone()
    }

    fn jvp<A: Array>(&self, _x: &[&A], _y: &A, _dx: &[Option<&A>]) -> Option<A> {
        None
    }

    fn vjp<A: Array>(&self, _x: &[&A], _y: &A, _ybar: &A, _out: &mut Cotangents<'_, A>) {}

    recorded_as!(StopGradient);
}

/// The value of input 0 with the derivative of input 1, of the same shape: overrides a function's own derivative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivativeOf;

impl Primitive for DerivativeOf {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "derivative_of"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let (value, surrogate) = (x[0].shape(), x[1].shape());
        assert!(value == surrogate, "derivative_of: the value has shape {value:?} but its surrogate {surrogate:?}");
        x[0].clone()
    }

    fn jvp<A: Array>(&self, _x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        dx[1].cloned()
    }

    fn vjp<A: Array>(&self, _x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(1, || ybar.clone());
    }

    recorded_as!(DerivativeOf);
}
