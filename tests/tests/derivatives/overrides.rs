//! Derivatives that are deliberately not those of the value.

use ad_core::{Array, Elementwise, Kind, Map, Ops, Real, Tensor, check, grad, hvp, jvp};

#[test]
fn stop_gradient_cuts_every_mode() {
    let f = |x: f64| x * x;
    assert_eq!(grad(|x| x.stop_gradient() * x, &3.0), f(3.0) / 3.0);
    assert_eq!(jvp(|x| x.stop_gradient() * x, &3.0, &1.0), (9.0, 3.0));
    assert_eq!(hvp(|x| x.stop_gradient() * x, &3.0, &1.0), (9.0, 3.0, 0.0));
    assert_eq!(grad(|x| x.stop_gradient(), &Tensor::scalar(3.0)).item(), 0.0);
}

#[test]
fn a_surrogate_s_derivative_stands_in_at_every_order() {
    // The value of sign(x), the derivatives of tanh(x).
    let (y, gradient, hv) = hvp(|x| x.sign().with_derivative_of(&x.tanh()), &0.4, &1.0);
    let t = 0.4f64.tanh();
    assert_eq!(y, 1.0);
    approx::assert_relative_eq!(gradient, 1.0 - t * t, max_relative = 1e-15);
    approx::assert_relative_eq!(hv, -2.0 * t * (1.0 - t * t), max_relative = 1e-15);
}

/// Clips the derivative of the identity to where |x| ≤ 1, as straight-through estimators do.
#[derive(Clone, Copy, Debug)]
struct Clipped;

impl Elementwise for Clipped {
    const NAME: &'static str = "clipped";
    const KIND: Kind = Kind::PiecewiseLinear;

    fn value<T: Real>(&self, x: T) -> T {
        T::from_f64(x.to_f64().round())
    }

    fn derivative<A: Array>(&self, x: &A, _y: &A) -> A {
        A::full(&[], 1.0).greater_equal(&x.abs())
    }
}

#[test]
fn an_elementwise_function_may_choose_its_derivative() {
    let x = Tensor::from_vec(&[3], vec![0.6, -0.2, 1.7]);
    let g = grad(|x| Array::apply(Map(Clipped), &[x]).sum_all(), &x);
    assert_eq!(g.data(), [1.0, 1.0, 0.0]);
    // Its ways of differentiating agree with each other, though not with the value.
    let ways = check::Check { differences: false, ..check::Check::default() };
    ways.primitive(&Map(Clipped), std::slice::from_ref(&x)).expect("all ways agree");
    assert!(check::primitive(&Map(Clipped), &[x]).is_err());
}
