//! The gradient scaled by its own moments.

use ad_core::{Params, Real, Tensor};

use super::{Direction, decay_rate, fits, zeros};

/// Adam: ω = m̂ / (√v̂ + ε), elementwise, with the moving averages m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g² from
/// zero, corrected for that start: after t steps, m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
///
/// Algorithm 1 of Kingma and Ba, *Adam: a method for stochastic optimization*, arXiv 1412.6980, without its learning rate.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Adam, Direction};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let omega = Adam::default().propose(&theta, &theta.map(|_| Tensor::scalar(-300.0)));
/// assert!((omega.get("w").item() + 1.0f64).abs() < 1e-10); // the first step has the size of a sign
/// ```
#[derive(Clone, Debug)]
pub struct Adam<T: Real> {
    betas: [f64; 2],
    epsilon: f64,
    /// β₁ᵗ and β₂ᵗ after the t steps committed.
    powers: [f64; 2],
    /// m and v after the last step committed; zero before the first.
    moments: Option<Params<Moments<T>>>,
}

/// m and v of one parameter.
#[derive(Clone, Debug)]
struct Moments<T: Real> {
    first: Tensor<T>,
    second: Tensor<T>,
}

impl<T: Real> Moments<T> {
    /// m and v after one more step.
    #[track_caller]
    fn advanced(&self, gradient: &Tensor<T>, betas: [f64; 2]) -> Moments<T> {
        fits(&self.first, gradient);
        let ([b1, b2], [c1, c2]) = (betas.map(T::from_f64), betas.map(|beta| T::from_f64(1.0 - beta)));
        Moments {
            first: self.first.combined(gradient, |m, g| b1 * m + c1 * g),
            second: self.second.combined(gradient, |v, g| b2 * v + c2 * (g * g)),
        }
    }
}

impl<T: Real> Default for Adam<T> {
    /// The settings that the paper suggests: β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸.
    fn default() -> Self {
        Adam::new(0.9, 0.999, 1e-8)
    }
}

impl<T: Real> Adam<T> {
    /// Adam with coefficients β₁ and β₂ of the moving averages and with ε.
    ///
    /// # Panics
    /// If β₁ or β₂ is not in [0, 1), or ε is not positive and finite: a gradient of zero would then give 0/0.
    #[track_caller]
    pub fn new(beta1: f64, beta2: f64, epsilon: f64) -> Self {
        assert!(epsilon.is_finite() && epsilon > 0.0, "ε must be positive and finite, not {epsilon}");
        let betas = [decay_rate("β₁", beta1), decay_rate("β₂", beta2)];
        Adam { betas, epsilon, powers: [1.0; 2], moments: None }
    }

    fn moments(&self, gradient: &Params<Tensor<T>>) -> Params<Moments<T>> {
        let start = || gradient.map(|g| Moments { first: zeros(g), second: zeros(g) });
        self.moments.clone().unwrap_or_else(start)
    }

    /// β₁ᵗ and β₂ᵗ after one more step.
    fn advanced_powers(&self) -> [f64; 2] {
        [0, 1].map(|i| self.powers[i] * self.betas[i])
    }
}

impl<T: Real> Direction<T> for Adam<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let [first, second] = self.advanced_powers().map(|power| T::from_f64(1.0 / (1.0 - power)));
        let epsilon = T::from_f64(self.epsilon);
        self.moments(gradient).zip(gradient, |moments, g| {
            let Moments { first: m, second: v } = moments.advanced(g, self.betas);
            m.combined(&v, |m, v| first * m / ((second * v).sqrt() + epsilon))
        })
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.moments = Some(self.moments(gradient).zip(gradient, |moments, g| moments.advanced(g, self.betas)));
        self.powers = self.advanced_powers();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree<T: Real>(w: [f64; 2], b: f64) -> Params<Tensor<T>> {
        Params::new([("w", Tensor::from_vec(&[2], w.map(T::from_f64).to_vec())), ("b", Tensor::scalar(T::from_f64(b)))])
    }

    /// The directions along three gradients, each proposed twice and then committed.
    fn directions<T: Real>(mut of: Adam<T>) -> [Vec<f64>; 3] {
        let theta = tree([7.0, 7.0], 7.0);
        [tree([2.0, -4.0], 1.0), tree([1.0, 4.0], 0.0), tree([-5.0, 0.0], 0.0)].map(|g| {
            let (omega, again) = (of.propose(&theta, &g), of.propose(&theta, &g));
            assert_eq!(omega.arrays(), again.arrays(), "proposing changes nothing");
            of.commit(&theta, &g);
            omega.arrays().iter().flat_map(|a| a.data().iter().map(|x| x.to_f64())).collect()
        })
    }

    /// With β₁ = 1/2, β₂ = 3/4 and ε = 1: for the first element, g = 2, 1, −5 gives
    ///
    /// | t | m | v | m̂ | v̂ |
    /// |---|---|---|---|---|
    /// | 1 | 1 | 1 | 2 | 4 |
    /// | 2 | 1 | 1 | 4/3 | 16/7 |
    /// | 3 | −2 | 7 | −16/7 | 448/37 |
    ///
    /// for the second, g = −4, 4, 0:
    ///
    /// | t | m | v | m̂ | v̂ |
    /// |---|---|---|---|---|
    /// | 1 | −2 | 4 | −4 | 16 |
    /// | 2 | 1 | 7 | 4/3 | 16 |
    /// | 3 | 1/2 | 21/4 | 4/7 | 336/37 |
    ///
    /// and for the third, g = 1, 0, 0: m = 1/2, 1/4, 1/8 and v = 1/4, 3/16, 9/64.
    fn expected() -> [[f64; 3]; 3] {
        let omega = |m: f64, v: f64| m / (v.sqrt() + 1.0);
        [
            [omega(2.0, 4.0), omega(-4.0, 16.0), omega(1.0, 1.0)],
            [omega(4.0 / 3.0, 16.0 / 7.0), omega(4.0 / 3.0, 16.0), omega(1.0 / 3.0, 3.0 / 7.0)],
            [omega(-16.0 / 7.0, 448.0 / 37.0), omega(4.0 / 7.0, 336.0 / 37.0), omega(1.0 / 7.0, 9.0 / 37.0)],
        ]
    }

    #[track_caller]
    fn assert_directions(found: [Vec<f64>; 3], tolerance: f64) {
        for (found, expected) in found.iter().flatten().zip(expected().iter().flatten()) {
            assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} for {expected}");
        }
    }

    #[test]
    fn three_steps_are_those_of_the_algorithm() {
        assert_directions(directions(Adam::<f64>::new(0.5, 0.75, 1.0)), 1e-15);
        assert_directions(directions(Adam::<f32>::new(0.5, 0.75, 1.0)), 3e-7);
    }

    #[test]
    fn the_first_step_has_the_size_of_a_sign_and_zero_stays_zero() {
        let g = tree::<f64>([1e-3, -1e5], 0.0);
        let omega = Adam::default().propose(&g, &g);
        let [w, b] = omega.arrays() else { panic!("two parameters") };
        assert!((w.data()[0] - 1.0).abs() < 1.1e-5 && (w.data()[1] + 1.0).abs() < 1e-12, "{w:?}");
        assert_eq!(b.item(), 0.0);
    }

    #[test]
    #[should_panic(expected = "β₂ must be at least 0 and below 1, not -0.1")]
    fn a_negative_coefficient_is_refused() {
        Adam::<f64>::new(0.9, -0.1, 1e-8);
    }

    #[test]
    #[should_panic(expected = "ε must be positive and finite, not 0")]
    fn division_by_zero_is_refused() {
        Adam::<f64>::new(0.9, 0.999, 0.0);
    }

    #[test]
    #[should_panic(expected = "a gradient of shape [3] does not fit a state of shape [2]")]
    fn a_gradient_of_another_shape_is_refused() {
        let mut adam = Adam::default();
        let g = tree::<f64>([1.0, 2.0], 3.0);
        adam.commit(&g, &g);
        adam.commit(&g, &Params::new([("w", Tensor::full(&[3], 1.0)), ("b", Tensor::scalar(1.0))]));
    }
}
