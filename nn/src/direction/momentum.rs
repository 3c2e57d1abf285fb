//! The gradient with momentum.

use ad_core::{Params, Real, Tensor};

use super::memory::Memory;
use super::{Direction, State, StateError, coefficient};

/// Momentum: m ← β m + (1 − d) g with dampening d, from m = g at the first step, and ω = m, or ω = g + β m with Nesterov's
/// momentum.
///
/// The heavy ball of Polyak, *Some methods of speeding up the convergence of iteration methods* (1964), and the variant of
/// Nesterov in the form of Sutskever et al., *On the importance of initialization and momentum in deep learning* (2013).
///
/// θ ← θ − α ω is the step of PyTorch's `SGD` with `lr` = α, `momentum` = β, `dampening` = d (0 by default) and `nesterov`:
/// m sums gradients rather than steps, so the rate multiplies all of m and a rule may change it at will.
///
/// The rate that is best along m for one batch, taken at every step, overshoots: on the handwritten digits the loss diverges.
/// So the direction tells its [`momentum`](Direction::momentum), for which GeN makes up. Dampening is no remedy: it changes the
/// size of ω, and num/den the other way round.
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
    dampening: f64,
    nesterov: bool,
    /// m after the last step committed.
    sum: Memory<T, 1>,
}

impl<T: Real> Momentum<T> {
    /// The heavy ball with coefficient β; 0.9 is usual.
    ///
    /// # Panics
    /// If β is not in [0, 1).
    #[track_caller]
    pub fn new(beta: f64) -> Self {
        Momentum { beta: coefficient("β", beta), dampening: 0.0, nesterov: false, sum: Memory::new(["m"]) }
    }

    /// Takes 1 − d of each gradient but the first. With d = β, m is a moving average, of the gradients' size.
    ///
    /// # Panics
    /// If d is not in [0, 1), or is not 0 with Nesterov's momentum.
    #[track_caller]
    pub fn dampening(self, d: f64) -> Self {
        Momentum { dampening: coefficient("the dampening", d), ..self }.checked()
    }

    /// Looks one step ahead, as Nesterov does: ω = g + β m.
    ///
    /// # Panics
    /// If there is dampening, for which this form is not meant.
    #[track_caller]
    pub fn nesterov(self) -> Self {
        Momentum { nesterov: true, ..self }.checked()
    }

    #[track_caller]
    fn checked(self) -> Self {
        let d = self.dampening;
        assert!(!self.nesterov || d == 0.0, "Nesterov's momentum is without dampening, not with {d}");
        self
    }

    /// 1 − d, or at the first step 1.
    fn share(&self) -> f64 {
        if self.sum.has_begun() { 1.0 - self.dampening } else { 1.0 }
    }
}

/// a m + b g, elementwise.
fn sum<T: Real>(a: f64, m: &Tensor<T>, b: f64, g: &Tensor<T>) -> Tensor<T> {
    let (a, b) = (T::from_f64(a), T::from_f64(b));
    m.combined(g, move |m, g| a * m + b * g)
}

impl<T: Real> Direction<T> for Momentum<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let (beta, share) = (self.beta, self.share());
        // With m already advanced, g + β m is g + β (β m + g).
        let (a, b) = if self.nesterov { (beta * beta, 1.0 + beta) } else { (beta, share) };
        self.sum.each(gradient, |[m], g| sum(a, m, b, g))
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        let (beta, share) = (self.beta, self.share());
        self.sum.advance(gradient, |[m], g| [sum(beta, m, share, g)]);
    }

    fn momentum(&self) -> f64 {
        self.beta
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
    fn dampening_takes_a_share_of_each_gradient_but_the_first() {
        // m: 1, 0.5 + 0.75, 0.625 − 0.25; −2, −1 + 0.25, −0.375; 4, 2 + 0, 1 + 0.5.
        let expected = [tree([1.0, -2.0], 4.0), tree([1.25, -0.75], 2.0), tree([0.375, -0.375], 1.5)];
        assert_eq!(directions(Momentum::new(0.5).dampening(0.75)), arrays(expected));
    }

    #[test]
    #[should_panic(expected = "Nesterov's momentum is without dampening, not with 0.5")]
    fn nesterov_with_dampening_is_refused() {
        let _ = Momentum::<f64>::new(0.5).dampening(0.5).nesterov();
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
