//! The sign of the gradient with momentum.

use ad_core::{Params, Real, Tensor};

use super::memory::Memory;
use super::{Direction, State, StateError, coefficient, shares};

/// Lion: ω = sign(β₁ m + (1 − β₁) g), elementwise, and then m ← β₂ m + (1 − β₂) g, from zero.
///
/// Chen et al., *Symbolic discovery of optimization algorithms*, arXiv 2302.06675, algorithm 2, where the weight decay is
/// decoupled: [`Grouped`](super::Grouped) adds it. The sign of 0 is 0. PyTorch has no Lion; the paper suggests β₁ = 0.9 and
/// β₂ = 0.99, and θ ← θ − α ω is its step with learning rate η = α.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, Lion};
/// let theta = Params::new([("w", Tensor::from_vec(&[3], vec![2.0, -0.1, 0.0]))]);
/// assert_eq!(Lion::default().propose(&theta, &theta).get("w").data(), [1.0, -1.0, 0.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Lion<T: Real> {
    betas: [f64; 2],
    /// m after the last step committed.
    mean: Memory<T, 1>,
}

impl<T: Real> Default for Lion<T> {
    /// The settings that the paper suggests: β₁ = 0.9 and β₂ = 0.99.
    fn default() -> Self {
        Lion::new(0.9, 0.99)
    }
}

impl<T: Real> Lion<T> {
    /// Lion with coefficient β₁ of the sign and β₂ of the moving average.
    ///
    /// # Panics
    /// If β₁ or β₂ is not in [0, 1).
    #[track_caller]
    pub fn new(beta1: f64, beta2: f64) -> Self {
        Lion { betas: [coefficient("β₁", beta1), coefficient("β₂", beta2)], mean: Memory::new(["m"]) }
    }
}

impl<T: Real> Direction<T> for Lion<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let ([b, c], [one, zero]) = (shares::<T>(self.betas[0]), [1.0, 0.0].map(T::from_f64));
        // What is neither above nor below 0 stays what it is: 0, or NaN.
        let sign = move |x| {
            if x > zero {
                one
            } else if x < zero {
                zero - one
            } else {
                x
            }
        };
        self.mean.each(gradient, |[m], g| m.combined(g, move |m, g| sign(b * m + c * g)))
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        let [b, c] = shares::<T>(self.betas[1]);
        self.mean.advance(gradient, |[m], g| [m.combined(g, move |m, g| b * m + c * g)]);
    }

    fn momentum(&self) -> f64 {
        self.betas[0]
    }

    fn state(&self) -> State<T> {
        self.mean.save(State::default())
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.mean.restore(state, theta)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::omegas;
    use super::*;

    /// With β₁ = 1/2 and β₂ = 3/4: for g = 4, −2, −1/4 the signs are of 2, −1/2, 0, and m = 1, 1/4; for g = −8, 1, 2 they are of
    /// −4, −1/2, 3/8, and m = −2, −5/4.
    #[test]
    fn three_steps_are_those_of_the_algorithm() {
        let found = omegas(Lion::new(0.5, 0.75), [[4.0, -8.0], [-2.0, 1.0], [-0.25, 2.0]]);
        assert_eq!(found, [[1.0, -1.0], [-1.0, -1.0], [0.0, 1.0]]);
    }

    #[test]
    fn what_is_no_number_has_no_sign() {
        let [[found], ..] = omegas(Lion::default(), [[f64::NAN]; 3]);
        assert!(found.is_nan());
    }

    #[test]
    #[should_panic(expected = "β₂ must be at least 0 and below 1, not 1")]
    fn an_average_that_never_moves_is_refused() {
        Lion::<f64>::new(0.9, 1.0);
    }
}
