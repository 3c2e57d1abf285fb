//! Armijo's line search.

use ad_core::Real;

use super::search::{backtrack, exhausted, falls_enough, found};
use super::{Numbers, descent, fraction, per_step, positive, remembers};
use crate::rule::{Choice, Reason, Rule, Step};

/// Stochastic line search: backtracks until the loss on the batch falls by a share c of what its tangent promises.
///
/// ```text
///   start at α = min(γ^(1/n) α₋, most), where α₋ is the rate before        α ← β α until g(α) ≤ g(0) − c α num
/// ```
///
/// num is ‖g‖² in the paper, with ω = g. After 100 tries it gives up; rates that were fallen back to are not grown from.
///
/// Cost: a forward pass for each try; mostly one, as rates grow slowly. Defaults: c = 0.1, β = 0.9, γ = 2 over n = 500 steps, from a rate
/// of 1, at most 10, the authors'. Good where the model fits all samples; small batches make the rates small.
///
/// Source: Vaswani et al., *Painless stochastic gradient*, arXiv 1905.09997, Algorithm 1 with rates that grow from step to step, and its
/// official code.
#[derive(Clone, Copy, Debug)]
pub struct Armijo {
    c: f64,
    shrink: f64,
    growth: f64,
    most: f64,
    /// The last rate that was accepted.
    last: Numbers<1>,
}

impl Default for Armijo {
    fn default() -> Self {
        let last = Numbers::new([(RATE, 1.0)]);
        Armijo { c: 0.1, shrink: 0.9, growth: per_step(2.0, 500), most: 10.0, last }
    }
}

impl Armijo {
    /// Accepts a decrease of this share c of what the tangent promises; ½ accepts a parabola's minimum just so.
    ///
    /// # Panics
    /// If it is not within (0, 1).
    #[track_caller]
    pub fn accepting(self, c: f64) -> Self {
        Armijo { c: fraction("c", c), ..self }
    }

    /// Multiplies a rate that is not accepted by this β.
    ///
    /// # Panics
    /// If it is not within (0, 1).
    #[track_caller]
    pub fn shrinking(self, beta: f64) -> Self {
        Armijo { shrink: fraction("β", beta), ..self }
    }

    /// Lets rates grow by this factor in so many steps; those of an epoch in the paper.
    ///
    /// # Panics
    /// If the factor is below 1 or not finite, or there are no steps.
    #[track_caller]
    pub fn growing(self, factor: f64, steps: u64) -> Self {
        Armijo { growth: per_step(factor, steps), ..self }
    }

    /// With this rate in the place of the one before the first.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, rate: f64) -> Self {
        Armijo { last: Numbers::new([(RATE, positive("the first rate", rate))]), ..self }
    }

    /// Tries no rate above this one.
    ///
    /// # Panics
    /// If it is not positive.
    #[track_caller]
    pub fn at_most(self, rate: f64) -> Self {
        assert!(rate > 0.0, "the greatest rate must be positive, not {rate}");
        Armijo { most: rate, ..self }
    }

    fn decided<T: Real>(&mut self, step: &mut Step<'_, T>) -> Result<Choice, Reason> {
        let num = descent(&step.line)?;
        let [last] = self.last.now();
        let start = (self.growth * last).min(self.most);
        let accepts = |alpha| falls_enough(&mut step.line, self.c, num, alpha);
        Ok(match backtrack(start, self.shrink, TRIES, accepts) {
            Ok(alpha) => {
                self.last.propose(Some([alpha]));
                found(alpha)
            }
            Err(last) => exhausted(last),
        })
    }
}

impl<T: Real> Rule<T> for Armijo {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.last.withdraw();
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    remembers!(last);

    fn name(&self) -> &'static str {
        "armijo"
    }
}

const TRIES: u32 = 100;
const RATE: &str = "rate";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{choose, descend, quadratic};

    #[test]
    fn a_rate_is_halved_until_the_loss_falls_enough() {
        // Along x²/2 · 8 from 1: f = 4, num = 64; f(1 − 8α) = 4 (1 − 8α)² ≤ 4 − 32 α for α ≤ 1/8.
        let halving = Armijo::default().accepting(0.5).shrinking(0.5).growing(2.0, 1);
        let seen = descend(halving, quadratic(&[8.0]), &[1.0], 1);
        assert_eq!((seen[0].choice.alpha, seen[0].choice.reason), (0.125, Reason::Search));
        assert_eq!((seen[0].choice.most, seen[0].cost.values), (0.125, 5));
        // From 1/4, as the rate before was 1/8; and no more than `most`.
        let mut rule = halving.starting_from(0.125);
        assert_eq!(choose(&mut rule, quadratic(&[4.0]), &[1.0], 0.0).alpha, 0.25);
        assert_eq!(choose(&mut rule.at_most(0.1875), quadratic(&[4.0]), &[1.0], 0.0).alpha, 0.1875);
    }

    #[test]
    fn every_rate_satisfies_its_inequality() {
        let seen = descend(Armijo::default(), quadratic(&[1.0, 30.0]), &[3.0, 2.0], 50);
        let square = |x: &[f64]| x[0] * x[0] + 900.0 * x[1] * x[1];
        for w in seen.windows(2) {
            assert_eq!(w[0].choice.reason, Reason::Search);
            assert!(w[1].value <= w[0].value - 0.1 * w[0].choice.alpha * square(&w[0].x));
        }
        assert!(seen[49].value < 1e-2 * seen[0].value);
        assert!(seen[1..].iter().all(|s| s.cost.values < 25));
    }

    #[test]
    fn a_search_that_finds_nothing_says_so_and_leaves_the_rate() {
        // Good rates are below 2e-9, and a hundred tries lead from 1 to 0.9.
        let mut rule = Armijo::default().shrinking(0.999);
        let choice = choose(&mut rule, quadratic(&[1e9]), &[1.0], 0.0);
        assert_eq!((choice.alpha, choice.reason), (1e-3, Reason::Exhausted));
        Rule::<f64>::taken(&mut rule, choice.alpha);
        assert_eq!(rule.last.now(), [1.0]);
    }
}
