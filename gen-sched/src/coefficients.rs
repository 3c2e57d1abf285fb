//! Coefficients of the Taylor series of the loss along a direction.

use ad_core::{Params, Real, Tensor};
use nn::Direction;

use crate::objective::Objective;
use crate::point::Point;

/// (f, −num): the coefficients of the first-order Taylor series of α ↦ f(θ − αω).
///
/// # Panics
/// If the objective is not a scalar.
#[track_caller]
pub fn first_order_coefficients<T: Real>(
    objective: &dyn Objective<T>,
    theta: &Params<Tensor<T>>,
    direction: &dyn Direction<T>,
) -> (f64, f64) {
    let point = Point::new(objective, theta);
    let gradient = point.gradient();
    let omega = direction.propose(theta, &gradient);
    (point.value(), point.line(&gradient, &omega).slope())
}

/// (f, −num, den/2): the coefficients of the second-order Taylor series of α ↦ f(θ − αω).
///
/// ```
/// use ad_core::{Ops, Params, Tensor, Var};
/// use gen_sched::second_order_coefficients;
/// use nn::Sgd;
/// // w·x − y is linear in w: the coefficients are (w·x − y, −‖x‖², 0).
/// let x = Tensor::from_vec(&[3], vec![1.0, 2.0, -2.0]);
/// let f = |p: &Params<Var<Tensor<f64>>>| (p.get("w").times(&Var::fixed(x.clone()))).sum_all().offset(-5.0);
/// let theta = Params::new([("w", Tensor::from_vec(&[3], vec![0.5, 1.0, 0.0]))]);
/// assert_eq!(second_order_coefficients(&f, &theta, &Sgd::new()), (-2.5, -9.0, 0.0));
/// ```
///
/// # Panics
/// If the objective is not a scalar.
#[track_caller]
pub fn second_order_coefficients<T: Real>(
    objective: &dyn Objective<T>,
    theta: &Params<Tensor<T>>,
    direction: &dyn Direction<T>,
) -> (f64, f64, f64) {
    let point = Point::new(objective, theta);
    let gradient = point.gradient();
    let omega = direction.propose(theta, &gradient);
    let mut line = point.line(&gradient, &omega);
    (line.value(), line.slope(), line.curvature().den / 2.0)
}
