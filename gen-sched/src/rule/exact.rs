//! Exact GeN.

use ad_core::{Params, Real, Tensor};
use nn::{State, StateError};

use crate::rule::{Choice, Parabola, Policy, Rule, Situation, Step, recalled, remembered, stale};

/// Exact GeN: α* = num/den with num = df(θ)·ω and den = d²f(θ)(ω, ω), both exact.
///
/// Cost: one curvature sweep at each step that fits the parabola. Where the parabola has no minimum to step to, the default
/// rate; along a direction with momentum the rate is held back ([`Policy::is_cautious`]). See [`Policy`] for the settings and [`Reason`](crate::Reason) for the cases.
///
/// Source: Bu and Xu, arXiv 2407.02772, equation (3.1), with the exact denominator.
#[derive(Clone, Debug)]
pub struct ExactGen {
    policy: Policy,
    last: Option<f64>,
}

impl ExactGen {
    /// The rule with these settings.
    ///
    /// # Panics
    /// If a setting is out of its range.
    #[track_caller]
    pub fn new(policy: Policy) -> Self {
        ExactGen { policy: policy.checked(), last: None }
    }
}

impl Default for ExactGen {
    fn default() -> Self {
        ExactGen::new(Policy::default())
    }
}

impl<T: Real> Rule<T> for ExactGen {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        if let (Some(alpha), false) = (self.last, self.policy.is_due(step.index)) {
            return stale(alpha);
        }
        let den = step.line.curvature().den;
        let parabola = Parabola { num: step.line.num(), den };
        let choice = self.policy.decide(parabola, &Situation::of(step), self.last);
        if choice.alpha > 0.0 {
            self.last = Some(choice.alpha);
        }
        choice
    }

    fn asks_curvature(&self, index: u64) -> bool {
        self.last.is_none() || self.policy.is_due(index)
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
        "exact"
    }
}
