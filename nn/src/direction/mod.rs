//! Optimizers as directions: what to step along. How far is the step-size rule's business.

mod adagrad;
mod adam;
mod adam_w;
mod clipped;
mod grouped;
mod lion;
mod memory;
mod momentum;
mod optimizer;
mod pattern;
mod rms_prop;
mod sgd;
mod split;
mod state;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use ad_core::{Multiple, Params, Real, Tensor};

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adam_w::AdamW;
pub use clipped::Clipped;
pub use grouped::{GroupSettings, Grouped};
pub use lion::Lion;
pub use momentum::Momentum;
pub use optimizer::{Optimizer, UnknownOptimizer};
pub use pattern::fits as pattern_fits;
pub use rms_prop::RmsProp;
pub use sgd::Sgd;
pub use split::Split;
pub use state::{State, StateError};

/// An optimizer without its learning rate: it turns a gradient into a direction ω, and a step is θ ← θ − α ω.
///
/// [`propose`](Direction::propose) changes nothing, so a rule may probe the direction as often as it likes; the state
/// advances only by [`commit`](Direction::commit), once a step has been taken.
///
/// Weight decay and parameter groups are a matter of [`Grouped`], coefficients of a group's own of [`Split`], clipping of
/// [`Clipped`]: wrappers of any direction.
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

    /// The share β of a gradient in ω that is in the next ω too, within [0, 1); 0 where ω is made of this step's gradient alone.
    /// A rate fitted on one batch moves the parameters along the gradients of about 1/(1 − β), which rules must know of.
    fn momentum(&self) -> f64 {
        0.0
    }

    /// For each parameter group, the factor that its ω has: its learning rate is α times that.
    fn scales(&self) -> Vec<f64> {
        vec![1.0]
    }

    /// What [`commit`](Direction::commit) has left, to be saved: restored into a direction of the same settings, further steps
    /// are the same bit for bit.
    fn state(&self) -> State<T>;

    /// Replaces the state by one that was saved where the parameters had the names and shapes of θ.
    ///
    /// # Errors
    /// If the state is not one of this direction, or the names or shapes differ; nothing has changed then.
    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError>;
}

impl<T: Real, D: Direction<T> + ?Sized> Direction<T> for Box<D> {
    #[track_caller]
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        (**self).propose(theta, gradient)
    }

    #[track_caller]
    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        (**self).commit(theta, gradient);
    }

    fn multiple(&self, name: &str) -> Option<Multiple> {
        (**self).multiple(name)
    }

    fn momentum(&self) -> f64 {
        (**self).momentum()
    }

    fn scales(&self) -> Vec<f64> {
        (**self).scales()
    }

    fn state(&self) -> State<T> {
        (**self).state()
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        (**self).restore(state, theta)
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
fn coefficient(name: &str, beta: f64) -> f64 {
    assert!((0.0..1.0).contains(&beta), "{name} must be at least 0 and below 1, not {beta}");
    beta
}

/// Checks ε, which keeps a denominator from 0.
///
/// # Panics
/// If it is not positive and finite.
#[track_caller]
fn offset(epsilon: f64) -> f64 {
    assert!(epsilon.is_finite() && epsilon > 0.0, "ε must be positive and finite, not {epsilon}");
    epsilon
}

/// The shares of old and new in a moving average: β and 1 − β.
fn shares<T: Real>(beta: f64) -> [T; 2] {
    [beta, 1.0 - beta].map(T::from_f64)
}
