//! Rules that look only now and then.

use ad_core::Real;

use crate::rule::wrap::Wrapper;
use crate::rule::{Choice, LastRate, Reason, Rule, Step, remembers_last_rate};

/// Asks the rule at every Φ-th step, and whenever there is no rate to keep; between, the last rate is kept as it was used, be
/// it a fallback's: a concave parabola holds the default rate for Φ steps.
///
/// Source: Bu and Xu, arXiv 2407.02772, Algorithm 1, where Φ is 8 in most experiments.
#[derive(Clone, Copy, Debug)]
pub struct Lazy {
    every: u64,
    last: LastRate,
}

impl Lazy {
    /// This Φ.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn new(every: u64) -> Self {
        assert!(every > 0, "the rule must be asked every 1 or more steps, not 0");
        Lazy { every, last: LastRate::default() }
    }

    /// The rate to keep at this step, if the rule is not asked.
    fn kept(&self, index: u64) -> Option<f64> {
        self.last.0.filter(|_| !index.is_multiple_of(self.every))
    }
}

impl<T: Real> Wrapper<T> for Lazy {
    fn choose(&mut self, rule: &mut dyn Rule<T>, step: &mut Step<'_, T>) -> Choice {
        self.kept(step.index).map_or_else(|| rule.choose(step), |alpha| Choice::new(alpha, Reason::Stale))
    }

    fn asks_curvature(&self, rule: &dyn Rule<T>, index: u64) -> bool {
        self.kept(index).is_none() && rule.asks_curvature(index)
    }

    remembers_last_rate!(wrapper);
}
