//! Stable Armijo line search.

use ad_core::Real;

use super::search::{backtrack, exhausted, found};
use super::{Numbers, coefficient, descent, fraction, positive, remembers};
use crate::rule::{Choice, Reason, Rule, Step};

/// SaLSA: Armijo's line search on moving averages of decrease and slope, made the more rarely the steadier its rates are.
///
/// ```text
///   s ← β₃ s + (1 − β₃) num        start at α = 1.1 α₋        α ← 0.8 α until β₃ h + (1 − β₃)(g(0) − g(α)) ≥ c α s
///   h ← what it then is            searched again after min(10, 1/(r − 1)) steps
/// ```
///
/// where r ≥ 1 is the ratio of two averages of the rates found, over about 10 and 100 of them; the first 10 steps are all searched.
/// Between searches the last rate found is kept ([`Reason::Stale`]). num is the scaled ‖g‖² in the paper, whose ω is Adam's; along any ω it
/// is g·ω. A batch whose own loss rises may be accepted, as the averages decide; a loss that does not change is.
///
/// Cost: a forward pass for each try, mostly one, at some of the steps. Defaults: c = 0.5, shrinking by 0.8, growing by 1.1, β₃ = 0.9, from a
/// rate of 1. Meant for small batches, on which plain Armijo makes rates too small.
///
/// Source: Kenneweg et al., *No learning rates needed: introducing SALSA*, arXiv 2407.20650, and its official code.
#[derive(Clone, Copy, Debug)]
pub struct Salsa {
    c: f64,
    beta: f64,
    shrink: f64,
    growth: f64,
    kept: Numbers<6>,
}

impl Default for Salsa {
    fn default() -> Self {
        Salsa { c: 0.5, beta: 0.9, shrink: 0.8, growth: 1.1, kept: kept(1.0) }
    }
}

fn kept(rate: f64) -> Numbers<6> {
    let averages = [("slow", TINY), ("fast", TINY), ("decrease", 0.0), ("slope", 0.0)];
    Numbers::new([("rate", rate), ("since", 0.0), averages[0], averages[1], averages[2], averages[3]])
}

impl Salsa {
    /// Accepts an averaged decrease of this share c of what the averaged slope promises.
    ///
    /// # Panics
    /// If it is not within (0, 1).
    #[track_caller]
    pub fn accepting(self, c: f64) -> Self {
        Salsa { c: fraction("c", c), ..self }
    }

    /// Averages decrease and slope with this β₃; with 0 it is Armijo's search.
    ///
    /// # Panics
    /// If it is not within [0, 1).
    #[track_caller]
    pub fn averaging(self, beta3: f64) -> Self {
        Salsa { beta: coefficient("β₃", beta3), ..self }
    }

    /// Multiplies a rate that is not accepted by the first factor, and the last one found, before a search, by the second.
    ///
    /// # Panics
    /// If the first is not within (0, 1), or the second is below 1 or not finite.
    #[track_caller]
    pub fn changing(self, shrink: f64, growth: f64) -> Self {
        assert!(growth.is_finite() && growth >= 1.0, "the growth must be at least 1 and finite, not {growth}");
        Salsa { shrink: fraction("the shrinking", shrink), growth, ..self }
    }

    /// With this rate in the place of the one before the first.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, rate: f64) -> Self {
        Salsa { kept: kept(positive("the first rate", rate)), ..self }
    }

    fn decided<T: Real>(&mut self, step: &mut Step<'_, T>) -> Result<Choice, Reason> {
        let num = descent(&step.line)?;
        let [rate, since, slow, fast, decrease, slope] = self.kept.now();
        if step.index >= EARLY && since + 1.0 < pause(slow, fast) {
            self.kept.propose(Some([rate, since + 1.0, slow, fast, decrease, slope]));
            return Ok(Choice::new(rate, Reason::Stale));
        }
        let mix = |old: f64, new: f64| self.beta * old + (1.0 - self.beta) * new;
        let (here, slope) = (step.line.value(), mix(slope, num));
        let mut fallen = 0.0;
        let accepts = |alpha| {
            fallen = here - step.line.at(alpha);
            fallen == 0.0 || mix(decrease, fallen) >= self.c * alpha * slope
        };
        Ok(match backtrack(self.growth * rate, self.shrink, TRIES, accepts) {
            Ok(alpha) => {
                let [slow, fast] = [0.99 * slow + 0.01 * alpha, 0.9 * fast + 0.1 * alpha];
                self.kept.propose(Some([alpha, 0.0, slow, fast, mix(decrease, fallen), slope]));
                found(alpha)
            }
            Err(last) => exhausted(last),
        })
    }
}

/// Steps from one search to the next, where the rates found had these averages.
fn pause(slow: f64, fast: f64) -> f64 {
    let change = (fast / slow).max(slow / fast) - 1.0;
    (1.0 / (change + TINY)).min(10.0)
}

impl<T: Real> Rule<T> for Salsa {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.kept.withdraw();
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    remembers!(kept);

    fn name(&self) -> &'static str {
        "salsa"
    }
}

const TRIES: u32 = 100;
/// The first steps, which are all searched.
const EARLY: u64 = 10;
const TINY: f64 = 1e-8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{descend, quadratic};

    #[test]
    fn the_averages_decide() {
        // f = 4x²: num = 64 x², and g(α) = 4x² (1 − 8α)².
        let rule = Salsa::default().averaging(0.5).changing(0.5, 1.5);
        let seen = descend(rule, quadratic(&[8.0]), &[1.0], 1);
        // 4 − 4 (1 − 8α)² ≥ 32 α for α ≤ 1/8: the fifth of 3/2, 3/4, ….
        assert_eq!((seen[0].choice.alpha, seen[0].choice.reason), (0.09375, Reason::Search));
        assert_eq!(seen[0].cost.values, 5);

        // With c = 1/4: 4 − 4 (1 − 8α)² ≥ 16 α for α ≤ 3/16, so from 1/8·(3/2) = 3/16 that; x = −1/2.
        let rule = Salsa::default().averaging(0.5).accepting(0.25).changing(0.5, 1.5).starting_from(0.125);
        let seen = descend(rule, quadratic(&[8.0]), &[1.0], 2);
        assert_eq!(seen[0].choice.alpha, 0.1875);
        // h = 3/2, s = 32; then s = 16 + 8, and 9/32: 3/4 + ½ (1 − (5/4)²) = 15/32 < 9/32 · 6; 9/64: 3/4 + ½ (1 − 1/64) ≥ 27/32.
        assert_eq!((seen[1].x[0], seen[1].choice.alpha), (-0.5, 0.140625));
        assert_eq!(seen[1].cost.values, 2);
    }

    #[test]
    fn steady_rates_are_seldom_searched() {
        let seen = descend(Salsa::default(), quadratic(&[1.0, 4.0]), &[3.0, 2.0], 300);
        let count = |from: usize| seen[from..].iter().filter(|s| s.choice.reason == Reason::Stale).count();
        assert!(seen[..10].iter().all(|s| s.choice.reason == Reason::Search));
        assert!(count(10) > 0 && seen.iter().all(|s| s.choice.reason != Reason::Stale || s.cost.values == 0));
        assert!(seen[299].value < 1e-6 * seen[0].value);
        assert_eq!(
            (pause(1.0, 1.0), pause(1.0, 1.25), pause(1.25, 1.0)),
            (10.0, 1.0 / (0.25 + 1e-8), 1.0 / (0.25 + 1e-8))
        );
    }
}
