//! The gradient divided by its running size.

use ad_core::{Params, Real, Tensor};

use super::memory::Memory;
use super::{Direction, State, StateError, coefficient, offset, shares};

/// RMSprop: ω = g / (√v + ε), elementwise, with v ← β v + (1 − β) g² from zero; centred, ω = g / (√(v − μ²) + ε) with the mean
/// μ ← β μ + (1 − β) g.
///
/// Tieleman and Hinton, *Neural networks for machine learning*, lecture 6.5 (2012); centred as in Graves, *Generating
/// sequences with recurrent neural networks*, arXiv 1308.0850.
///
/// θ ← θ − α ω is the step of PyTorch's `RMSprop` with `lr` = α, `alpha` = β, `eps` = ε, `centered` and `momentum=0`; its
/// defaults are `alpha=0.99`, `eps=1e-8`, `centered=False`.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, RmsProp};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let omega = RmsProp::new(0.75, 1e-8).propose(&theta, &theta.map(|_| Tensor::scalar(-300.0)));
/// assert!((omega.get("w").item() + 2.0f64).abs() < 1e-9); // −300 / √(300² / 4)
/// ```
#[derive(Clone, Debug)]
pub struct RmsProp<T: Real> {
    beta: f64,
    epsilon: f64,
    /// v after the last step committed.
    square: Memory<T, 1>,
    /// μ after it, where the direction is centred.
    mean: Option<Memory<T, 1>>,
}

impl<T: Real> Default for RmsProp<T> {
    /// PyTorch's settings: β = 0.99, ε = 10⁻⁸, not centred.
    fn default() -> Self {
        RmsProp::new(0.99, 1e-8)
    }
}

impl<T: Real> RmsProp<T> {
    /// RMSprop with coefficient β of the moving average and with ε.
    ///
    /// # Panics
    /// If β is not in [0, 1), or ε is not positive and finite.
    #[track_caller]
    pub fn new(beta: f64, epsilon: f64) -> Self {
        let (beta, epsilon) = (coefficient("β", beta), offset(epsilon));
        RmsProp { beta, epsilon, square: Memory::new(["v"]), mean: None }
    }

    /// Divides by the gradient's spread about its mean instead of its size.
    pub fn centered(self) -> Self {
        RmsProp { mean: Some(Memory::new(["mean"])), ..self }
    }
}

impl<T: Real> Direction<T> for RmsProp<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let ([b, c], [epsilon, zero]) = (shares::<T>(self.beta), [self.epsilon, 0.0].map(T::from_f64));
        let Some(mean) = &self.mean else {
            return self
                .square
                .each(gradient, |[v], g| v.combined(g, move |v, g| g / ((b * v + c * (g * g)).sqrt() + epsilon)));
        };
        let means = mean.each(gradient, |[mean], _| mean.clone());
        let mut means = means.arrays().iter();
        self.square.each(gradient, |[v], g| {
            let mean = means.next().expect("as many means as gradients");
            v.combined_with([mean, g], move |v, mean, g| {
                let (v, mean) = (b * v + c * (g * g), b * mean + c * g);
                let spread = v - mean * mean;
                // Never negative but for rounding.
                g / (if spread < zero { zero } else { spread }.sqrt() + epsilon)
            })
        })
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        let [b, c] = shares::<T>(self.beta);
        self.square.advance(gradient, |[v], g| [v.combined(g, move |v, g| b * v + c * (g * g))]);
        if let Some(mean) = &mut self.mean {
            mean.advance(gradient, |[mean], g| [mean.combined(g, move |mean, g| b * mean + c * g)]);
        }
    }

    fn state(&self) -> State<T> {
        let state = self.square.save(State::default());
        self.mean.iter().fold(state, |state, mean| mean.save(state))
    }

    fn restore(&mut self, mut state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        let has_begun = state.has_tree("v");
        let square = self.square.taken(&mut state, theta, has_begun)?;
        let mean = self.mean.as_ref().map(|mean| mean.taken(&mut state, theta, has_begun)).transpose()?;
        state.end()?;
        (self.square, self.mean) = (square, mean);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, omegas, one};
    use super::*;

    /// With β = 3/4 and ε = 1: for g = 2, 4, 0, v = 1, 19/4, 57/16; for g = −4, 0, 4, v = 4, 3, 25/4.
    #[test]
    fn three_steps_are_those_of_the_formula() {
        let expected = [[2.0 / 2.0, -4.0 / 3.0], [4.0 / (1.0 + 4.75f64.sqrt()), 0.0], [0.0, 4.0 / 3.5]];
        assert_near(omegas(RmsProp::new(0.75, 1.0), [[2.0, -4.0], [4.0, 0.0], [0.0, 4.0]]), expected);
    }

    /// The same v, and μ = 1/2, 11/8, 33/32 and −1, −3/4, 7/16.
    #[test]
    fn centred_steps_divide_by_the_spread() {
        let omega = |g: f64, v: f64, mean: f64| g / ((v - mean * mean).sqrt() + 1.0);
        let expected = [
            [omega(2.0, 1.0, 0.5), omega(-4.0, 4.0, -1.0)],
            [omega(4.0, 4.75, 1.375), 0.0],
            [0.0, omega(4.0, 6.25, 0.4375)],
        ];
        assert_near(omegas(RmsProp::new(0.75, 1.0).centered(), [[2.0, -4.0], [4.0, 0.0], [0.0, 4.0]]), expected);
    }

    #[test]
    fn a_spread_that_rounds_below_zero_is_none() {
        // With one gradient for ever v nears g² and the spread 0, from either side.
        let gradients = [[0.1, 1.0 / 3.0, 1e5 / 7.0]; 3];
        let mut direction = RmsProp::new(0.5, 1e-8).centered();
        for _ in 0..60 {
            assert!(omegas(direction.clone(), gradients).as_flattened().iter().all(|x| x.is_finite() && *x > 0.0));
            direction.commit(&one(&gradients[0]), &one(&gradients[0]));
        }
    }

    #[test]
    #[should_panic(expected = "β must be at least 0 and below 1, not 1")]
    fn an_average_that_never_moves_is_refused() {
        RmsProp::<f64>::new(1.0, 1e-8);
    }
}
