//! Step-size rules: how far to go along a direction.
//!
//! A rule looks at one step and chooses its rate. What many rules want beside their formula (averaging, bounds, laziness, a
//! schedule, …) are [wrappers](wrap) around any of them, and a [`Policy`] puts the wrappers together in their usual order. Rules by
//! other authors, to compare with, are in [`rivals`].

mod approximate;
mod choice;
mod constant;
mod exact;
mod grouped;
mod joint;
mod policy;
mod polynomial;
pub mod rivals;
#[cfg(test)]
pub(crate) mod testing;
mod third_order;
pub mod wrap;

use std::fmt;

use ad_core::{Params, Real, Tensor};
use nn::{State, StateError};

use crate::line::Line;

pub use approximate::ApproximateGen;
pub use choice::{Choice, Parabola, Reason, Shares};
pub use constant::Constant;
pub use exact::{Denominator, ExactGen};
pub use grouped::{GroupedGen, Grouping};
pub use joint::Joint;
pub(crate) use joint::Mover;
pub use policy::Policy;
pub use polynomial::PolynomialGen;
pub use third_order::ThirdOrderGen;

/// The rate that a rule falls back to where it can tell none.
pub const DEFAULT_RATE: f64 = 1e-3;

/// What a rule decides from.
#[allow(missing_debug_implementations, reason = "an objective may be a closure")]
pub struct Step<'a, T: Real> {
    /// Number of steps decided before this one.
    pub index: u64,
    /// Parameters θ.
    pub theta: &'a Params<Tensor<T>>,
    /// Gradient g = ∇f(θ).
    pub gradient: &'a Params<Tensor<T>>,
    /// Direction ω; the step will be θ ← θ − α ω.
    pub omega: &'a Params<Tensor<T>>,
    /// The [momentum](nn::Direction::momentum) β of ω.
    pub momentum: f64,
    /// The step before, if one was taken.
    pub previous: Option<&'a Taken<T>>,
    /// The loss along the line, on demand.
    pub line: Line<'a, T>,
}

/// A step that was taken.
#[derive(Clone, Debug)]
pub struct Taken<T: Real> {
    /// The rate α.
    pub alpha: f64,
    /// Parameters before the step.
    pub theta: Params<Tensor<T>>,
    /// Gradient there.
    pub gradient: Params<Tensor<T>>,
    /// Direction taken.
    pub omega: Params<Tensor<T>>,
}

/// A step-size rule. It may keep state from step to step; it sees a step once, and never changes it.
///
/// After [`choose`](Rule::choose) either [`taken`](Rule::taken) or [`forget`](Rule::forget) is called.
pub trait Rule<T: Real>: fmt::Debug + Send {
    /// The rate for this step, and why.
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice;

    /// Whether the rule asks for the curvature at the step of this number: it is then found first, and num with it.
    fn asks_curvature(&self, _index: u64) -> bool {
        false
    }

    /// The step was taken at this rate: the one chosen, or what wrappers made of it.
    fn taken(&mut self, _alpha: f64) {}

    /// The step was not taken, because something became infinite or NaN at the rate chosen or probed: a rule that builds on its
    /// last rate starts afresh, or it would overflow again and again.
    fn forget(&mut self) {}

    /// What the rule remembers from step to step; nothing by default.
    fn state(&self) -> State<T> {
        State::default()
    }

    /// Goes on from a state of the same kind of rule; the parameters are `theta`.
    ///
    /// # Errors
    /// If the state is another rule's; this rule is then to be thrown away.
    fn restore(&mut self, state: State<T>, _theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        state.end()
    }

    /// A short name, such as `exact`.
    fn name(&self) -> &'static str;
}

impl<T: Real, R: Rule<T> + ?Sized> Rule<T> for Box<R> {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        (**self).choose(step)
    }

    fn asks_curvature(&self, index: u64) -> bool {
        (**self).asks_curvature(index)
    }

    fn taken(&mut self, alpha: f64) {
        (**self).taken(alpha);
    }

    fn forget(&mut self) {
        (**self).forget();
    }

    fn state(&self) -> State<T> {
        (**self).state()
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        (**self).restore(state, theta)
    }

    fn name(&self) -> &'static str {
        (**self).name()
    }
}

/// The last rate that was used, if there is one; part of the state of many rules.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
struct LastRate(Option<f64>);

impl LastRate {
    /// The entry in a state: the rate's bits.
    const ENTRY: &str = "last_rate";

    /// Notes a rate. One of 0 tells nothing to go on from.
    fn note(&mut self, alpha: f64) {
        if alpha > 0.0 {
            self.0 = Some(alpha);
        }
    }

    fn state<T: Real>(self) -> State<T> {
        self.0.map_or_else(State::default, |alpha| State::default().with_number(Self::ENTRY, alpha.to_bits()))
    }

    fn restored<T: Real>(mut state: State<T>) -> Result<Self, StateError> {
        let known = state.numbers.contains_key(Self::ENTRY);
        let last = known.then(|| state.take_number(Self::ENTRY)).transpose()?;
        state.end()?;
        Ok(LastRate(last.map(f64::from_bits)))
    }
}

/// What a rule or wrapper that remembers the last rate alone, in `self.last`, does when its step was taken or not, and how it is
/// saved.
macro_rules! remembers_last_rate {
    (rule) => {
        fn taken(&mut self, alpha: f64) {
            self.last.note(alpha);
        }

        fn restore(
            &mut self,
            state: nn::State<T>,
            _theta: &ad_core::Params<ad_core::Tensor<T>>,
        ) -> Result<(), nn::StateError> {
            self.last = $crate::rule::LastRate::restored(state)?;
            Ok(())
        }

        $crate::rule::remembers_last_rate!(both);
    };
    (wrapper) => {
        fn taken(&mut self, alpha: f64) -> f64 {
            self.last.note(alpha);
            alpha
        }

        fn restore(&mut self, state: nn::State<T>) -> Result<(), nn::StateError> {
            self.last = $crate::rule::LastRate::restored(state)?;
            Ok(())
        }

        $crate::rule::remembers_last_rate!(both);
    };
    (both) => {
        fn forget(&mut self) {
            self.last = $crate::rule::LastRate::default();
        }

        fn state(&self) -> nn::State<T> {
            self.last.state()
        }
    };
}
use remembers_last_rate;
