//! The gradient itself, with weight decay.

use ad_core::{Multiple, Ops, Params, Real, Tensor};

use super::Direction;

/// Stochastic gradient descent: ω = g + λθ, with weight decay λ by parameter group.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, Sgd};
/// let theta = Params::new([("w", Tensor::scalar(2.0)), ("b", Tensor::scalar(2.0))]);
/// let g = theta.map(|_| Tensor::scalar(1.0));
/// let sgd = Sgd::new().weight_decay(0.1).group("b", 0.0);
/// let omega = sgd.propose(&theta, &g);
/// assert_eq!(omega.get("w").item(), 1.2);
/// assert_eq!(omega.get("b").item(), 1.0);
/// ```
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Sgd {
    decay: f64,
    groups: Vec<(String, f64)>,
}

impl Sgd {
    /// The plain gradient, ω = g.
    pub fn new() -> Self {
        Sgd::default()
    }

    /// Adds λθ to the direction of every parameter that is in no other group.
    ///
    /// # Panics
    /// If λ is negative or not finite.
    #[track_caller]
    pub fn weight_decay(self, lambda: f64) -> Self {
        Sgd { decay: checked(lambda), ..self }
    }

    /// Makes a group of the parameters whose name ends in `suffix`, with a weight decay of its own. A parameter belongs
    /// to the first group that it fits.
    ///
    /// # Panics
    /// If λ is negative or not finite.
    #[track_caller]
    pub fn group(mut self, suffix: &str, lambda: f64) -> Self {
        self.groups.push((suffix.to_string(), checked(lambda)));
        self
    }

    /// The weight decay of a parameter.
    fn decay_of(&self, name: &str) -> f64 {
        self.groups.iter().find(|(suffix, _)| name.ends_with(suffix)).map_or(self.decay, |(_, lambda)| *lambda)
    }
}

#[track_caller]
fn checked(lambda: f64) -> f64 {
    assert!(lambda.is_finite() && lambda >= 0.0, "weight decay must be finite and ≥ 0, not {lambda}");
    lambda
}

impl<T: Real> Direction<T> for Sgd {
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let mut names = theta.names().iter();
        theta.zip(gradient, |w, g| match names.next().map_or(0.0, |name| self.decay_of(name)) {
            0.0 => g.clone(),
            lambda => g.plus(&w.scale(lambda)),
        })
    }

    fn commit(&mut self, _theta: &Params<Tensor<T>>, _gradient: &Params<Tensor<T>>) {}

    fn multiple(&self, name: &str) -> Option<Multiple> {
        Some(Multiple { adjoint: 1.0, value: self.decay_of(name) })
    }

    fn groups(&self) -> usize {
        1 + self.groups.len()
    }
}
