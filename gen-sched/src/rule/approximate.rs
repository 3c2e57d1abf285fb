//! Approximate GeN.

use ad_core::{Params, Real, Tensor};
use nn::{State, StateError};

use crate::rule::{Choice, Parabola, Policy, Rule, Situation, Step, recalled, remembered, stale};

/// Approximate GeN: the parabola through three points of the loss along the line, g(−α), g(0) and g(α), where α is the
/// rate before.
///
/// ```text
///   num ≈ (g(−α) − g(α)) / 2α        den ≈ (g(−α) − 2 g(0) + g(α)) / α²
///   α ← γ α + (1 − γ) num/den        if num > 0 and den > 0, else the default rate
/// ```
///
/// Along a direction with momentum the rate is held back ([`Policy::is_cautious`]).
///
/// The estimates carry an error of order α². The first probe is at the default rate, and so is the next after one that
/// overflowed. A second difference within rounding of the losses, 4 ε |g(0)| in the precision of the step, tells nothing
/// about den and counts as 0.
///
/// Cost: two forward passes at each step that fits the parabola. Source: Bu and Xu, arXiv 2407.02772.
#[derive(Clone, Debug)]
pub struct ApproximateGen {
    policy: Policy,
    last: Option<f64>,
}

impl ApproximateGen {
    /// The rule with these settings.
    ///
    /// # Panics
    /// If a setting is out of its range, or the default rate is 0: there would be nothing to probe with.
    #[track_caller]
    pub fn new(policy: Policy) -> Self {
        let policy = policy.checked();
        assert!(policy.default_rate > 0.0, "approximate GeN probes at the default rate, which must not be 0");
        ApproximateGen { policy, last: None }
    }
}

impl Default for ApproximateGen {
    fn default() -> Self {
        ApproximateGen::new(Policy { gamma: 0.9, ..Policy::default() })
    }
}

impl<T: Real> Rule<T> for ApproximateGen {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        if let (Some(alpha), false) = (self.last, self.policy.is_due(step.index)) {
            return stale(alpha);
        }
        let alpha = self.last.unwrap_or(self.policy.default_rate);
        let (back, here, ahead) = (step.line.at(-alpha), step.line.value(), step.line.at(alpha));
        let difference = back - 2.0 * here + ahead;
        let noise = 4.0 * T::EPSILON * here.abs();
        let second = if difference.abs() <= noise { 0.0 } else { difference };
        let parabola = Parabola { num: (back - ahead) / (2.0 * alpha), den: second / (alpha * alpha) };
        let choice = self.policy.decide(parabola, &Situation::of(step), Some(alpha));
        if choice.alpha > 0.0 {
            self.last = Some(choice.alpha);
        }
        choice
    }

    fn forget(&mut self) {
        self.last = None;
    }

    fn state(&self) -> State<T> {
        remembered(self.last)
    }

    fn restore(&mut self, state: State<T>, _theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.last = recalled(state)?;
        Ok(())
    }

    fn name(&self) -> &'static str {
        "approx"
    }
}
