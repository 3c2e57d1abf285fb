//! Optimizers as directions: what to step along. How far is the step-size rule's business.

mod adam;
mod momentum;
mod sgd;

use std::fmt::Debug;

use ad_core::{Multiple, Params, Real, Tensor};

pub use adam::Adam;
pub use momentum::Momentum;
pub use sgd::Sgd;

/// An optimizer without its learning rate: it turns a gradient into a direction ω, and a step is θ ← θ − α ω.
///
/// [`propose`](Direction::propose) changes nothing, so a rule may probe the direction as often as it likes; the state
/// advances only by [`commit`](Direction::commit), once a step has been taken.
pub trait Direction<T: Real>: Debug + Send {
    /// The direction ω at parameters θ with gradient g.
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>>;

    /// Advances the state by the step for which [`propose`](Direction::propose) was called with the same arguments.
    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>);

    /// ω at the parameter of this name as a multiple c·g + λθ of its gradient and value, where it is one whatever they are:
    /// the curvature along such a direction costs less. `None` promises nothing.
    fn multiple(&self, _name: &str) -> Option<Multiple> {
        None
    }

    /// Number of parameter groups, each with settings of its own.
    fn groups(&self) -> usize {
        1
    }
}

/// θ − α ω.
///
/// # Panics
/// If the trees differ in names or shapes.
#[track_caller]
pub fn moved<T: Real>(theta: &Params<Tensor<T>>, alpha: f64, omega: &Params<Tensor<T>>) -> Params<Tensor<T>> {
    theta.zip(omega, |w, o| {
        assert!(w.shape() == o.shape(), "a parameter of shape {:?} cannot move along {:?}", w.shape(), o.shape());
        w.plus_scaled(-alpha, o)
    })
}

/// Checks the coefficient β of a moving average.
///
/// # Panics
/// If it is not in [0, 1).
#[track_caller]
fn decay_rate(name: &str, beta: f64) -> f64 {
    assert!((0.0..1.0).contains(&beta), "{name} must be at least 0 and below 1, not {beta}");
    beta
}

/// Checks that a gradient has the shape of the state that earlier gradients have left.
///
/// # Panics
/// If it does not.
#[track_caller]
fn fits<T: Real>(state: &Tensor<T>, gradient: &Tensor<T>) {
    let (kept, given) = (state.shape(), gradient.shape());
    assert!(kept == given, "a gradient of shape {given:?} does not fit a state of shape {kept:?}");
}

/// Zeros of the gradient's shape: the state before the first step.
fn zeros<T: Real>(gradient: &Tensor<T>) -> Tensor<T> {
    Tensor::full(gradient.shape(), T::from_f64(0.0))
}
