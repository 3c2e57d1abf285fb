//! Hypergradient descent.

use ad_core::{Params, Real, Tensor};

use super::{Numbers, by_formula, descent, inner, positive, remembers};
use crate::rule::{Choice, DEFAULT_RATE, Reason, Rule, Step};

/// How the rate follows its own gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ascent {
    /// α ← α + β g·ω₋, with this β.
    Additive(f64),
    /// α ← α (1 + β cos(g, ω₋)), with this β: of no scale.
    Multiplicative(f64),
}

/// Hypergradient descent: the rate itself goes down the gradient of the loss by the rate, −g·ω₋.
///
/// ```text
///   α ← α + β g·ω₋    or    α ← α (1 + β g·ω₋ / ‖g‖‖ω₋‖)        where ω₋ is the direction of the step before
/// ```
///
/// It grows while gradients agree with the direction just taken and shrinks where they point back; never below 0.
///
/// Cost: none. Defaults: additive with β = 10⁻⁶, from a rate of 10⁻³. The additive β depends on the size of gradients and is to be
/// tuned like a rate; the multiplicative one, about 0.02, does not.
///
/// Source: Baydin et al., *Online learning rate adaptation with hypergradient descent*, arXiv 1703.04782.
#[derive(Clone, Copy, Debug)]
pub struct Hypergradient {
    ascent: Ascent,
    rate: Numbers<1>,
}

impl Default for Hypergradient {
    fn default() -> Self {
        Hypergradient::new(Ascent::Additive(1e-6))
    }
}

impl Hypergradient {
    /// The rule whose rate changes like this.
    ///
    /// # Panics
    /// If β is not positive and finite, or for the multiplicative form not below 1.
    #[track_caller]
    pub fn new(ascent: Ascent) -> Self {
        match ascent {
            Ascent::Additive(beta) => positive("β", beta),
            Ascent::Multiplicative(beta) => super::fraction("β", beta),
        };
        Hypergradient { ascent, rate: Numbers::new([(RATE, DEFAULT_RATE)]) }
    }

    /// With this rate of the first step.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, rate: f64) -> Self {
        Hypergradient { rate: Numbers::new([(RATE, positive("the first rate", rate))]), ..self }
    }

    fn decided<T: Real>(&mut self, step: &Step<'_, T>) -> Result<Choice, Reason> {
        descent(&step.line)?;
        let [last] = self.rate.now();
        let rate = step.previous.map_or(last, |previous| {
            let (g, omega) = (step.gradient, &previous.omega);
            match self.ascent {
                Ascent::Additive(beta) => last + beta * inner(g, omega),
                Ascent::Multiplicative(beta) => last * (1.0 + beta * cosine(g, omega)),
            }
        });
        // NaN stays.
        let choice = by_formula(if rate < 0.0 { 0.0 } else { rate })?;
        self.rate.propose(Some([choice.alpha]));
        Ok(choice)
    }
}

/// The cosine of the angle between two trees; 0 where one of them is.
fn cosine<T: Real>(a: &Params<Tensor<T>>, b: &Params<Tensor<T>>) -> f64 {
    let lengths = (inner(a, a) * inner(b, b)).sqrt();
    if lengths > 0.0 { inner(a, b) / lengths } else { 0.0 }
}

impl<T: Real> Rule<T> for Hypergradient {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.rate.withdraw();
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    remembers!(rate);

    fn name(&self) -> &'static str {
        "hypergradient"
    }
}

const RATE: &str = "rate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{descend, quadratic};

    fn rates(ascent: Ascent, first: f64, steps: u64) -> Vec<f64> {
        let seen = descend(Hypergradient::new(ascent).starting_from(first), quadratic(&[1.0]), &[2.0], steps);
        seen.iter().map(|s| s.choice.alpha).collect()
    }

    #[test]
    fn the_rate_follows_the_product_of_gradients() {
        // x: 2, 1; g·g₋ = 2.
        assert_eq!(rates(Ascent::Additive(0.125), 0.5, 2), [0.5, 0.75]);
        // x: 2, −4; g·g₋ = −8.
        assert_eq!(rates(Ascent::Additive(0.125), 3.0, 2), [3.0, 2.0]);
        assert_eq!(rates(Ascent::Additive(1.0), 3.0, 2), [3.0, 0.0]);
        assert_eq!(rates(Ascent::Multiplicative(0.25), 0.5, 2), [0.5, 0.625]);
        assert_eq!(rates(Ascent::Multiplicative(0.25), 3.0, 2), [3.0, 2.25]);
    }

    #[test]
    fn the_rate_grows_while_gradients_agree() {
        for ascent in [Ascent::Additive(1e-3), Ascent::Multiplicative(0.02)] {
            let rates = rates(ascent, 1e-3, 50);
            assert!(rates.windows(2).all(|w| w[1] > w[0]), "{ascent:?}: {rates:?}");
        }
    }

    #[test]
    #[should_panic(expected = "β must be within (0, 1), not 1")]
    fn a_factor_that_could_be_zero_is_refused() {
        let _ = Hypergradient::new(Ascent::Multiplicative(1.0));
    }
}
