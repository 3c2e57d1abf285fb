//! Limits on how fast a rate changes.

use ad_core::Real;

use crate::rule::wrap::Wrapper;
use crate::rule::wrap::clamped::held;
use crate::rule::{Choice, LastRate, Rule, Step, remembers_last_rate};

/// Holds a rate within [shrink · α₋, grow · α₋], where α₋ is the rate before as it was used; the reason is then
/// [`Clamped`](crate::Reason::Clamped). A fallback is let through.
///
/// Put it around an average, not into one: within a factor of 2 in an average of ten steps, a rate grows by a tenth a step.
#[derive(Clone, Copy, Debug)]
pub struct Limited {
    shrink: f64,
    grow: f64,
    last: LastRate,
}

impl Limited {
    /// The least and the greatest factor from one rate to the next.
    ///
    /// # Panics
    /// If not 0 ≤ shrink ≤ 1 ≤ grow.
    #[track_caller]
    pub fn new(shrink: f64, grow: f64) -> Self {
        let fits = (0.0..=1.0).contains(&shrink) && grow >= 1.0;
        assert!(
            fits,
            "a rate must be let shrink by a factor from 0 to 1 and grow by one from 1, not {shrink} and {grow}"
        );
        Limited { shrink, grow, last: LastRate::default() }
    }
}

impl<T: Real> Wrapper<T> for Limited {
    fn choose(&mut self, rule: &mut dyn Rule<T>, step: &mut Step<'_, T>) -> Choice {
        let choice = rule.choose(step);
        match self.last.0 {
            Some(last) => held(choice, self.shrink * last, self.grow * last),
            None => choice,
        }
    }

    remembers_last_rate!(wrapper);
}
