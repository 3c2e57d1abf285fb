//! Adaptive gradient descent without descent.

use ad_core::Real;

use super::{Numbers, by_formula, descent, distance, positive, remembers};
use crate::rule::{Choice, Reason, Rule, Step};

/// AdGD: half the inverse of a local estimate of the smoothness, as far as the last rates allow.
///
/// ```text
///   α = min(√(1 + r) α₋, ‖θ − θ₋‖ / (2 ‖g − g₋‖))        r = α₋/α₋₋, at first ∞
/// ```
///
/// where α₋ and α₋₋ are the rates before. The estimate is of how fast g changes, along any ω; for ω = g the paper proves convergence for
/// every convex and locally smooth loss. Where neither bound is known, as after a first step too small to be seen, the default rate.
///
/// Cost: none. Defaults: a first rate of 10⁻⁶, which is on the safe side and is left at once. Good in full batch; with small batches the
/// change of g is mostly noise, and the rate too small.
///
/// Source: Malitsky and Mishchenko, *Adaptive gradient descent without descent*, arXiv 1910.09529, Algorithm 1.
#[derive(Clone, Copy, Debug)]
pub struct AdGd {
    /// α₋ and r.
    last: Numbers<2>,
}

impl Default for AdGd {
    fn default() -> Self {
        AdGd::starting_from(1e-6)
    }
}

impl AdGd {
    /// The rule with this rate of the first step.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(rate: f64) -> Self {
        AdGd { last: Numbers::new([("rate", positive("the first rate", rate)), ("ratio", f64::INFINITY)]) }
    }

    fn decided<T: Real>(&mut self, step: &Step<'_, T>) -> Result<Choice, Reason> {
        descent(&step.line)?;
        let [last, ratio] = self.last.now();
        let Some(previous) = step.previous else {
            self.last.propose(Some([last, ratio]));
            return by_formula(last);
        };
        let moved = distance(step.theta, &previous.theta);
        let change = distance(step.gradient, &previous.gradient);
        // Where nothing moved, the change of the gradient is that of the batch.
        let local = if moved > 0.0 { moved / (2.0 * change) } else { f64::INFINITY };
        let choice = by_formula(local.min((1.0 + ratio).sqrt() * last))?;
        if choice.alpha > 0.0 {
            self.last.propose(Some([choice.alpha, choice.alpha / last]));
        }
        Ok(choice)
    }
}

impl<T: Real> Rule<T> for AdGd {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.last.withdraw();
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    remembers!(last);

    fn name(&self) -> &'static str {
        "ad_gd"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{descend, quadratic};

    #[test]
    fn the_rate_follows_the_local_estimate_as_far_as_the_last_allow() {
        // Curvature 1 everywhere: the estimate is 1/2, taken at once from r = ∞.
        let rates = |first| {
            let seen = descend(AdGd::starting_from(first), quadratic(&[1.0]), &[1.0], 3);
            seen.iter().map(|s| s.choice.alpha).collect::<Vec<_>>()
        };
        assert_eq!(rates(0.25), [0.25, 0.5, 0.5]);
        // From curvature 2 at the first step to 1 later: |x| < 1 there would be 1/2, but √(1 + r) holds it back.
        let mut rule = AdGd::starting_from(0.25);
        rule.last.propose(Some([0.125, 0.5625]));
        rule.last.advance();
        let seen = descend(rule, quadratic(&[1.0]), &[1.0], 3);
        let rates: Vec<_> = seen.iter().map(|s| s.choice.alpha).collect();
        approx::assert_relative_eq!(rates[1], 1.25 * 0.125, max_relative = 1e-15);
        approx::assert_relative_eq!(rates[2], 1.5 * rates[1], max_relative = 1e-15);
    }

    #[test]
    fn without_a_rate_it_converges_on_an_ill_conditioned_quadratic() {
        for first in [1e-6, 1e-3] {
            let seen = descend(AdGd::starting_from(first), quadratic(&[1.0, 100.0]), &[1.0, 1.0], 600);
            assert!(seen[599].value < 1e-8 * seen[0].value, "from {first}: {}", seen[599].value);
        }
    }
}
