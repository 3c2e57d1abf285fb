//! The gradient divided by the size of all gradients so far.

use ad_core::{Params, Real, Tensor};

use super::memory::Memory;
use super::{Direction, State, StateError, offset};

/// Adagrad: ω = g / (√(τ + s) + ε), elementwise, with the sum s ← s + g² from zero and the accumulator's initial value τ.
///
/// Duchi, Hazan and Singer, *Adaptive subgradient methods for online learning and stochastic optimization* (2011), with a
/// diagonal matrix.
///
/// θ ← θ − α ω is the step of PyTorch's `Adagrad` with `lr` = α, `eps` = ε, `initial_accumulator_value` = τ and `lr_decay=0`,
/// which are by default `eps=1e-10`, `initial_accumulator_value=0` and `lr_decay=0`.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Adagrad, Direction};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let g = theta.map(|_| Tensor::scalar(-300.0));
/// let mut adagrad = Adagrad::default();
/// adagrad.commit(&theta, &g);
/// let omega = adagrad.propose(&theta, &g).get("w").item();
/// assert!((omega + 0.5f64.sqrt()).abs() < 1e-10); // −300 / √(2 · 300²)
/// ```
#[derive(Clone, Debug)]
pub struct Adagrad<T: Real> {
    epsilon: f64,
    initial: f64,
    /// s after the last step committed.
    sum: Memory<T, 1>,
}

impl<T: Real> Default for Adagrad<T> {
    /// PyTorch's settings: ε = 10⁻¹⁰ and τ = 0.
    fn default() -> Self {
        Adagrad::new(1e-10, 0.0)
    }
}

impl<T: Real> Adagrad<T> {
    /// Adagrad with ε and the accumulator's initial value τ.
    ///
    /// # Panics
    /// If ε is not positive and finite, or τ is negative or not finite.
    #[track_caller]
    pub fn new(epsilon: f64, initial: f64) -> Self {
        assert!(initial.is_finite() && initial >= 0.0, "the initial value must be finite and ≥ 0, not {initial}");
        Adagrad { epsilon: offset(epsilon), initial, sum: Memory::new(["sum"]) }
    }
}

impl<T: Real> Direction<T> for Adagrad<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let [epsilon, initial] = [self.epsilon, self.initial].map(T::from_f64);
        self.sum.each(gradient, |[s], g| s.combined(g, move |s, g| g / ((initial + (s + g * g)).sqrt() + epsilon)))
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.sum.advance(gradient, |[s], g| [s.combined(g, |s, g| s + g * g)]);
    }

    fn state(&self) -> State<T> {
        self.sum.save(State::default())
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.sum.restore(state, theta)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, omegas};
    use super::*;

    /// For g = 3, 4, 0, the sum is 9, 25, 25; for g = 0, −1, 2 it is 0, 1, 5.
    #[test]
    fn three_steps_are_those_of_the_formula() {
        let gradients = [[3.0, 0.0], [4.0, -1.0], [0.0, 2.0]];
        let expected = [[3.0 / 4.0, 0.0], [4.0 / 6.0, -1.0 / 2.0], [0.0, 2.0 / (1.0 + 5f64.sqrt())]];
        assert_near(omegas(Adagrad::new(1.0, 0.0), gradients), expected);
        let root = |x: f64| x.sqrt() + 1.0;
        let expected = [[3.0 / root(16.0), 0.0], [4.0 / root(32.0), -1.0 / root(8.0)], [0.0, 2.0 / root(12.0)]];
        assert_near(omegas(Adagrad::new(1.0, 7.0), gradients), expected);
    }

    #[test]
    #[should_panic(expected = "the initial value must be finite and ≥ 0, not -1")]
    fn a_negative_sum_is_refused() {
        Adagrad::<f64>::new(1e-10, -1.0);
    }
}
