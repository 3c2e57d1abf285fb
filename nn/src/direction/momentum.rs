//! The gradient with momentum.

use ad_core::{Params, Real, Tensor};

use super::{Direction, decay_rate, fits, zeros};

/// Momentum: m ← β m + g from m = 0, and ω = m, or ω = g + β m with Nesterov's momentum.
///
/// The heavy ball of Polyak, *Some methods of speeding up the convergence of iteration methods* (1964), and the variant of
/// Nesterov in the form of Sutskever et al., *On the importance of initialization and momentum in deep learning* (2013).
/// As in PyTorch, m sums gradients rather than steps: the rate multiplies all of m, so a rule may change it at will.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, Momentum};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let g = theta.map(|_| Tensor::scalar(1.0));
/// let mut momentum = Momentum::new(0.5);
/// momentum.commit(&theta, &g);
/// assert_eq!(momentum.propose(&theta, &g).get("w").item(), 1.5);
/// ```
#[derive(Clone, Debug)]
pub struct Momentum<T: Real> {
    beta: f64,
    nesterov: bool,
    /// m after the last step committed; zero before the first.
    sum: Option<Params<Tensor<T>>>,
}

impl<T: Real> Momentum<T> {
    /// The heavy ball with coefficient β; 0.9 is usual.
    ///
    /// # Panics
    /// If β is not in [0, 1).
    #[track_caller]
    pub fn new(beta: f64) -> Self {
        Momentum { beta: decay_rate("β", beta), nesterov: false, sum: None }
    }

    /// Looks one step ahead, as Nesterov does: ω = g + β m.
    pub fn nesterov(self) -> Self {
        Momentum { nesterov: true, ..self }
    }

    /// a m + b g, elementwise, with m as the last step left it.
    #[track_caller]
    fn combined(&self, a: f64, b: f64, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let (a, b) = (T::from_f64(a), T::from_f64(b));
        let sum = self.sum.clone().unwrap_or_else(|| gradient.map(zeros));
        sum.zip(gradient, |m, g| {
            fits(m, g);
            m.combined(g, |m, g| a * m + b * g)
        })
    }
}

impl<T: Real> Direction<T> for Momentum<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let beta = self.beta;
        // With m already advanced, g + β m is g + β (β m + g).
        let (a, b) = if self.nesterov { (beta * beta, 1.0 + beta) } else { (beta, 1.0) };
        self.combined(a, b, gradient)
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.sum = Some(self.combined(self.beta, 1.0, gradient));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(w: [f64; 2], b: f64) -> Params<Tensor<f64>> {
        Params::new([("w", Tensor::from_vec(&[2], w.to_vec())), ("b", Tensor::scalar(b))])
    }

    fn arrays<const N: usize>(trees: [Params<Tensor<f64>>; N]) -> [Vec<Tensor<f64>>; N] {
        trees.map(|tree| tree.arrays().to_vec())
    }

    /// The directions along three gradients, each proposed twice and then committed.
    fn directions(mut of: Momentum<f64>) -> [Vec<Tensor<f64>>; 3] {
        let theta = tree([7.0, 7.0], 7.0);
        [tree([1.0, -2.0], 4.0), tree([3.0, 1.0], 0.0), tree([-1.0, 0.0], 2.0)].map(|g| {
            let [omega, again] = arrays([of.propose(&theta, &g), of.propose(&theta, &g)]);
            assert_eq!(omega, again, "proposing changes nothing");
            of.commit(&theta, &g);
            omega
        })
    }

    #[test]
    fn the_heavy_ball_sums_gradients_with_decay() {
        // m: 1, 0.5 + 3, 1.75 − 1; −2, −1 + 1, 0; 4, 2 + 0, 1 + 2.
        let expected = [tree([1.0, -2.0], 4.0), tree([3.5, 0.0], 2.0), tree([0.75, 0.0], 3.0)];
        assert_eq!(directions(Momentum::new(0.5)), arrays(expected));
    }

    #[test]
    fn nesterov_looks_one_step_ahead() {
        // g + m/2 with the m above.
        let expected = [tree([1.5, -3.0], 6.0), tree([4.75, 1.0], 1.0), tree([-0.625, 0.0], 3.5)];
        assert_eq!(directions(Momentum::new(0.5).nesterov()), arrays(expected));
    }

    #[test]
    fn without_a_coefficient_it_is_the_gradient() {
        let [_, second, third] = directions(Momentum::new(0.0));
        assert_eq!([second, third], arrays([tree([3.0, 1.0], 0.0), tree([-1.0, 0.0], 2.0)]));
    }

    #[test]
    #[should_panic(expected = "β must be at least 0 and below 1, not 1")]
    fn a_sum_that_never_forgets_is_refused() {
        Momentum::<f64>::new(1.0);
    }

    #[test]
    #[should_panic(expected = "a gradient of shape [1] does not fit a state of shape [2]")]
    fn a_gradient_of_another_shape_is_refused() {
        let mut momentum = Momentum::new(0.9);
        let g = tree([1.0, 2.0], 3.0);
        momentum.commit(&g, &g);
        momentum.propose(&g, &Params::new([("w", Tensor::full(&[1], 1.0)), ("b", Tensor::scalar(1.0))]));
    }
}
