//! The step of Polyak.

use ad_core::Real;

use super::{Numbers, at_least_one, by_formula, capped, descent, positive, remembers};
use crate::rule::{Choice, Reason, Rule, Step};

/// What the rates of [`Polyak`] are capped at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cap {
    /// Nothing: the plain step of Polyak.
    None,
    /// This rate.
    Constant(f64),
    /// The last rate times this factor, which smooths the rates.
    Growth(f64),
}

/// The stochastic step of Polyak, to where the loss along its tangent would meet its lower bound f*, or a share 1/c of the way.
///
/// ```text
///   α = min((f − f*) / (c num), cap)        cap: γ^(1/n) times the rate before
/// ```
///
/// num is ‖g‖² in the paper, with ω = g; along any ω it is the tangent's slope, g·ω. A loss that is below f* makes no step.
///
/// Cost: none. Defaults: c = ½, f* = 0, γ = 2 over n = 500 steps from a rate of 1, the paper's for deep learning. Good where the model
/// fits all samples, so that every batch has the same least loss.
///
/// Source: Loizou, Vaswani, Laradji and Lacoste-Julien, *Stochastic Polyak step-size for SGD*, arXiv 2002.10542, SPS_max with its
/// smoothing, and its official code; the step is of Polyak, *Introduction to optimization* (1987).
#[derive(Clone, Copy, Debug)]
pub struct Polyak {
    c: f64,
    floor: f64,
    cap: Cap,
    /// The last rate, of which the cap is made.
    last: Numbers<1>,
}

impl Default for Polyak {
    fn default() -> Self {
        let last = Numbers::new([(RATE, 1.0)]);
        Polyak { c: 0.5, floor: 0.0, cap: Cap::None, last }.growing(2.0, 500)
    }
}

impl Polyak {
    /// Goes a share 1/c of the way.
    ///
    /// # Panics
    /// If c is not positive and finite.
    #[track_caller]
    pub fn with_c(self, c: f64) -> Self {
        Polyak { c: positive("c", c), ..self }
    }

    /// With this lower bound f* of the loss on every batch.
    ///
    /// # Panics
    /// If it is not finite.
    #[track_caller]
    pub fn above(self, floor: f64) -> Self {
        assert!(floor.is_finite(), "the lower bound of the loss must be finite, not {floor}");
        Polyak { floor, ..self }
    }

    /// Under this cap.
    ///
    /// # Panics
    /// If it is not positive, or a growth is below 1.
    #[track_caller]
    pub fn capped(self, cap: Cap) -> Self {
        let cap = match cap {
            Cap::None => Cap::None,
            Cap::Constant(rate) => Cap::Constant(positive("the cap", rate)),
            Cap::Growth(factor) => Cap::Growth(at_least_one("the growth", factor)),
        };
        Polyak { cap, ..self }
    }

    /// Under a cap that grows by this factor in so many steps; those of an epoch in the paper.
    ///
    /// # Panics
    /// If the factor is below 1 or not finite, or there are no steps.
    #[track_caller]
    pub fn growing(self, factor: f64, steps: u64) -> Self {
        self.capped(Cap::Growth(super::per_step(factor, steps)))
    }

    /// With this rate in the place of the one before the first, for a cap that grows.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, rate: f64) -> Self {
        Polyak { last: Numbers::new([(RATE, positive("the first rate", rate))]), ..self }
    }

    fn decided<T: Real>(&self, step: &Step<'_, T>) -> Result<Choice, Reason> {
        let num = descent(&step.line)?;
        let choice = by_formula((step.line.value() - self.floor).max(0.0) / (self.c * num))?;
        let [last] = self.last.now();
        Ok(match self.cap {
            Cap::None => choice,
            Cap::Constant(rate) => capped(choice, rate),
            Cap::Growth(factor) => capped(choice, factor * last),
        })
    }
}

impl<T: Real> Rule<T> for Polyak {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        let decided = self.decided(step);
        // A rate of 0 would be a cap of 0 for ever.
        self.last.propose(decided.as_ref().ok().map(|choice| [choice.alpha]).filter(|[alpha]| *alpha > 0.0));
        decided.unwrap_or_else(Choice::fallen)
    }

    remembers!(last);

    fn name(&self) -> &'static str {
        "sps_max"
    }
}

const RATE: &str = "rate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{choose, descend, quadratic};

    #[test]
    fn the_tangent_meets_the_bound() {
        // f = x²/2 at 4: f = 8, num = 16.
        let at_four = |mut rule: Polyak| {
            let choice = choose(&mut rule, quadratic(&[1.0]), &[4.0], 0.0);
            (choice.alpha, choice.reason)
        };
        let plain = Polyak::default().capped(Cap::None);
        assert_eq!(at_four(plain), (1.0, Reason::Formula));
        assert_eq!(at_four(plain.with_c(1.0)), (0.5, Reason::Formula));
        assert_eq!(at_four(plain.with_c(1.0).above(4.0)), (0.25, Reason::Formula));
        assert_eq!(at_four(plain.above(9.0)), (0.0, Reason::Formula));
        assert_eq!(at_four(plain.capped(Cap::Constant(0.75))), (0.75, Reason::Clamped));
    }

    #[test]
    fn the_cap_grows_with_the_rates() {
        let rule = Polyak::default().growing(4.0, 2).starting_from(0.125);
        let seen = descend(rule, quadratic(&[1.0]), &[4.0], 4);
        let rates: Vec<_> = seen.iter().map(|s| (s.choice.alpha, s.choice.reason)).collect();
        let clamped = Reason::Clamped;
        assert_eq!(rates, [(0.25, clamped), (0.5, clamped), (1.0, Reason::Formula), (1e-3, Reason::NoDescent)]);
    }

    #[test]
    fn with_the_true_bound_it_converges_linearly() {
        // ‖x‖² falls by α (2 − 1/c) f-gap or more: for c = 1 and f ≥ x²/2 by a factor of 1 − 1/(4 κ) or better.
        let seen = descend(Polyak::default().with_c(1.0).capped(Cap::None), quadratic(&[1.0, 10.0]), &[3.0, 2.0], 60);
        let squares: Vec<f64> = seen.iter().map(|s| s.x.iter().map(|x| x * x).sum()).collect();
        assert!(squares.windows(2).all(|w| w[1] <= (1.0 - 1.0 / 40.0) * w[0]), "{squares:?}");
    }

    #[test]
    #[should_panic(expected = "c must be positive and finite, not 0")]
    fn a_c_of_zero_is_refused() {
        let _ = Polyak::default().with_c(0.0);
    }
}
