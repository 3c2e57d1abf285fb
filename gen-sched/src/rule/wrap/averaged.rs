//! Moving averages of rates.

use ad_core::Real;

use crate::rule::wrap::Wrapper;
use crate::rule::{Choice, LastRate, Rule, Step, remembers_last_rate};

/// α ← γ α₋ + (1 − γ) α, where α₋ is the rate before as it was used: after bounds, or a fallback's. Never more than the
/// rule [vouches for](Choice::most). A fallback is not averaged.
///
/// Source: Bu and Xu, arXiv 2407.02772, Algorithm 1, with γ = 0.9.
#[derive(Clone, Copy, Debug)]
pub struct Averaged {
    gamma: f64,
    start: Option<f64>,
    last: LastRate,
}

impl Averaged {
    /// The average with this γ; the first rate has nothing to be averaged with.
    ///
    /// # Panics
    /// If γ is not within [0, 1).
    #[track_caller]
    pub fn new(gamma: f64) -> Self {
        assert!((0.0..1.0).contains(&gamma), "γ must be within [0, 1), not {gamma}");
        Averaged { gamma, start: None, last: LastRate::default() }
    }

    /// The same average, in which the first rate is averaged with this one.
    pub fn starting_from(self, rate: f64) -> Self {
        Averaged { start: Some(rate), ..self }
    }
}

impl<T: Real> Wrapper<T> for Averaged {
    fn choose(&mut self, rule: &mut dyn Rule<T>, step: &mut Step<'_, T>) -> Choice {
        let choice = rule.choose(step);
        match self.last.0.or(self.start) {
            Some(last) if !choice.reason.is_fallback() => {
                let averaged = self.gamma * last + (1.0 - self.gamma) * choice.alpha;
                Choice { alpha: averaged.min(choice.most), ..choice }
            }
            _ => choice,
        }
    }

    remembers_last_rate!(wrapper);
}
