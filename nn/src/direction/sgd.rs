//! The gradient itself.

use ad_core::{Multiple, Params, Real, Tensor};

use super::{Direction, State, StateError};

/// Stochastic gradient descent: ω = g (Robbins and Monro, *A stochastic approximation method*, 1951).
///
/// θ ← θ − α ω is the step of PyTorch's `SGD` with `lr` = α and its defaults, `momentum=0`, `dampening=0`, `weight_decay=0`
/// and `nesterov=False`.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, Sgd};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let g = theta.map(|_| Tensor::scalar(1.0));
/// assert_eq!(Sgd::new().propose(&theta, &g).get("w").item(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Sgd;

impl Sgd {
    /// The gradient.
    pub fn new() -> Self {
        Sgd
    }
}

impl<T: Real> Direction<T> for Sgd {
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        gradient.clone()
    }

    fn commit(&mut self, _theta: &Params<Tensor<T>>, _gradient: &Params<Tensor<T>>) {}

    fn multiple(&self, _name: &str) -> Option<Multiple> {
        Some(Multiple { adjoint: 1.0, value: 0.0 })
    }

    fn state(&self) -> State<T> {
        State::default()
    }

    fn restore(&mut self, state: State<T>, _theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        state.end()
    }
}
