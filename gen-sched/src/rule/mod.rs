//! Step-size rules: how far to go along a direction.

mod approximate;
mod constant;
mod exact;

pub use approximate::ApproximateGen;
pub use constant::Constant;
pub use exact::ExactGen;

use std::fmt;

use ad_core::{Params, Real, Tensor};
use nn::{State, StateError};

use crate::line::Line;

/// The rate that GeN falls back to where its parabola has no minimum.
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
pub trait Rule<T: Real>: fmt::Debug + Send {
    /// The rate for this step, and why.
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice;

    /// Whether the rule asks for the curvature at the step of this number: it is then found first, and num with it.
    fn asks_curvature(&self, _index: u64) -> bool {
        false
    }

    /// Called after [`choose`](Rule::choose) where the step was not taken, because something became infinite or NaN at the
    /// rate chosen or probed: a rule that builds on its last rate starts afresh, or it would overflow again and again.
    fn forget(&mut self) {}

    /// What the rule remembers from step to step; nothing by default.
    fn state(&self) -> State<T> {
        State::default()
    }

    /// Goes on from a state of the same kind of rule; the parameters are `theta`.
    ///
    /// # Errors
    /// If the state is another rule's; this rule is then as it was.
    fn restore(&mut self, state: State<T>, _theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        state.end()
    }

    /// A short name, such as `exact`.
    fn name(&self) -> &'static str;
}

/// A rule's decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The rate α; not used where the reason is [`Reason::NonFinite`].
    pub alpha: f64,
    /// Why this rate.
    pub reason: Reason,
    /// The parabola that the rule saw, if it looked for one.
    pub parabola: Option<Parabola>,
}

/// The parabola f − α num + ½ α² den that a rule fitted to the loss along the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parabola {
    /// Minus its slope at 0: df·ω, or an estimate.
    pub num: f64,
    /// Its second derivative: d²f(ω, ω), or an estimate.
    pub den: f64,
}

impl Parabola {
    /// The decrease that the parabola predicts at α: α num − ½ α² den.
    pub fn decrease(&self, alpha: f64) -> f64 {
        alpha * self.num - 0.5 * alpha * alpha * self.den
    }

    /// Its minimiser num/den, or why it has none to step to.
    pub fn minimiser(&self) -> Result<f64, Reason> {
        let Parabola { num, den } = *self;
        match num / den {
            _ if !num.is_finite() || !den.is_finite() => Err(Reason::NonFinite),
            _ if num == 0.0 && den == 0.0 => Err(Reason::Stationary),
            _ if num <= 0.0 => Err(Reason::NoDescent),
            _ if den < 0.0 => Err(Reason::Concave),
            alpha if alpha.is_finite() => Ok(alpha),
            _ => Err(Reason::Linear),
        }
    }
}

/// Why a rule chose its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The minimiser of the parabola, averaged if the rule averages.
    Parabola,
    /// The same, held within the rule's bounds.
    Clamped,
    /// The last rate again: the rule looks only every Φ steps.
    Stale,
    /// The parabola opens downwards, den < 0.
    Concave,
    /// The loss is linear along the line, den = 0 with num > 0 (or too small to divide by).
    Linear,
    /// ω is no direction of descent, num ≤ 0.
    NoDescent,
    /// Both num and den are 0, as where every ReLU is dead.
    Stationary,
    /// A loss, gradient, num, den or parameter is infinite or NaN, or would be after the step: no step is taken.
    NonFinite,
    /// The rule always takes this rate.
    Constant,
}

impl Reason {
    /// Every reason, in the order in which reports list them.
    pub const ALL: [Reason; 9] = [
        Reason::Parabola,
        Reason::Clamped,
        Reason::Stale,
        Reason::Concave,
        Reason::Linear,
        Reason::NoDescent,
        Reason::Stationary,
        Reason::NonFinite,
        Reason::Constant,
    ];

    /// The name in reports and files.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Parabola => "parabola",
            Reason::Clamped => "clamped",
            Reason::Stale => "stale",
            Reason::Concave => "concave",
            Reason::Linear => "linear",
            Reason::NoDescent => "no_descent",
            Reason::Stationary => "stationary",
            Reason::NonFinite => "non_finite",
            Reason::Constant => "constant",
        }
    }

    /// Whether the rule could not use its parabola and fell back.
    pub fn is_fallback(self) -> bool {
        !matches!(self, Reason::Parabola | Reason::Clamped | Reason::Stale | Reason::Constant)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What exact and approximate GeN have in common: bounds, the fallback, laziness, averaging, and caution along momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Lower bound on a rate found from the parabola; 0 by default.
    pub lr_min: f64,
    /// Upper bound on a rate found from the parabola; none (infinite) by default.
    pub lr_max: f64,
    /// The rate where the parabola has no minimum to step to; [`DEFAULT_RATE`] by default. The bounds do not apply to it.
    pub default_rate: f64,
    /// Φ: the parabola is fitted at every Φ-th step, and whenever there is no rate to keep; 1 by default. Between fits the
    /// last rate is kept, be it a fallback's: a concave fit holds the default rate for Φ steps.
    pub every: u64,
    /// γ in α ← γ α + (1 − γ) α*, within [0, 1); 0 (no averaging) by default. The rate before counts as it was used: held
    /// within the bounds, or a fallback's.
    pub gamma: f64,
    /// Whether the rate is held back where ω has [momentum](nn::Direction::momentum) β > 0; it is by default:
    ///
    /// ```text
    ///   α* = min(num/den, (f − floor)/num) / (1 + β)        averaged with γ, but never more than that
    /// ```
    ///
    /// 1 + β: with gradients that are independent from batch to batch, ω = Σ βᵏ g₋ₖ has the curvature of one of them times
    /// 1/(1 − β²), so num/den is 1 − β² times the rate a that is best along g alone. But ω moves the parameters along g again and
    /// again, by num/den · (1 + β + β² + …) = (1 + β) a in all.
    ///
    /// (f − floor)/num, the step of Polyak (1969), is where the tangent meets the least loss there can be. A batch that is nearly
    /// linear along the averaged ω would else send the parameters far beyond what its parabola tells of.
    ///
    /// Without both, exact GeN along momentum or Adam diverges on the handwritten digits.
    pub is_cautious: bool,
    /// A lower bound of the loss, for caution along momentum: 0 by default, which all of [`nn::Loss`] have; −∞ where none is
    /// known. A loss that is not above it shows that it is none.
    pub floor: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            lr_min: 0.0,
            lr_max: f64::INFINITY,
            default_rate: DEFAULT_RATE,
            every: 1,
            gamma: 0.0,
            is_cautious: true,
            floor: 0.0,
        }
    }
}

impl Policy {
    /// Panics unless every setting is within its range.
    #[track_caller]
    fn checked(self) -> Self {
        let Policy { lr_min, lr_max, default_rate, every, gamma, floor, .. } = self;
        assert!(lr_min.is_finite() && lr_min >= 0.0, "lr_min must be finite and ≥ 0, not {lr_min}");
        assert!(lr_max >= lr_min, "lr_max must be at least lr_min = {lr_min}, not {lr_max}");
        assert!(
            default_rate.is_finite() && default_rate >= 0.0,
            "the default rate must be finite and ≥ 0, not {default_rate}"
        );
        assert!(every > 0, "the parabola must be fitted every 1 or more steps, not 0");
        assert!((0.0..1.0).contains(&gamma), "γ must be within [0, 1), not {gamma}");
        assert!(floor < f64::INFINITY, "the floor must be below the loss, not {floor}");
        self
    }

    /// The rate for the parabola at a step after `last`, the rate before, if there is one to average with.
    fn decide(&self, parabola: Parabola, at: &Situation, last: Option<f64>) -> Choice {
        let (alpha, reason) = match parabola.minimiser() {
            Ok(found) => {
                let best = self.held(found, parabola.num, at);
                let averaged = last.map_or(best, |last| self.gamma * last + (1.0 - self.gamma) * best);
                let target = if self.is_held(at) { averaged.min(best) } else { averaged };
                let alpha = target.clamp(self.lr_min, self.lr_max);
                (alpha, if alpha == target { Reason::Parabola } else { Reason::Clamped })
            }
            Err(Reason::NonFinite) => (0.0, Reason::NonFinite),
            Err(reason) => (self.default_rate, reason),
        };
        Choice { alpha, reason, parabola: Some(parabola) }
    }

    /// Whether rates are held back.
    fn is_held(&self, at: &Situation) -> bool {
        self.is_cautious && at.momentum > 0.0
    }

    /// The minimiser of the parabola, held back along momentum.
    fn held(&self, found: f64, num: f64, at: &Situation) -> f64 {
        let room = at.value - self.floor;
        match self.is_held(at) {
            true if room > 0.0 => found.min(room / num) / (1.0 + at.momentum),
            true => found / (1.0 + at.momentum),
            false => found,
        }
    }

    /// Whether the parabola is fitted at this step.
    fn is_due(&self, index: u64) -> bool {
        index.is_multiple_of(self.every)
    }
}

/// What a policy must know of a step beside its parabola.
struct Situation {
    /// The loss f.
    value: f64,
    /// The momentum β of ω.
    momentum: f64,
}

impl Situation {
    fn of<T: Real>(step: &Step<'_, T>) -> Self {
        Situation { value: step.line.value(), momentum: step.momentum }
    }
}

/// The state of a rule that remembers its last rate.
fn remembered<T: Real>(last: Option<f64>) -> State<T> {
    last.map_or_else(State::default, |alpha| State::default().with_number(LAST, alpha.to_bits()))
}

/// The last rate of such a state.
fn recalled<T: Real>(mut state: State<T>) -> Result<Option<f64>, StateError> {
    let last = state.numbers.contains_key(LAST).then(|| state.take_number(LAST)).transpose()?;
    state.end()?;
    Ok(last.map(f64::from_bits))
}

/// The entry of the last rate, by its bits.
const LAST: &str = "last_rate";

/// The last rate again.
fn stale(alpha: f64) -> Choice {
    Choice { alpha, reason: Reason::Stale, parabola: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_of_a_parabola_has_its_name() {
        let of = |num, den| Parabola { num, den }.minimiser();
        assert_eq!(of(2.0, 4.0), Ok(0.5));
        assert_eq!(of(2.0, -4.0), Err(Reason::Concave));
        assert_eq!(of(2.0, 0.0), Err(Reason::Linear));
        assert_eq!(of(1e300, 1e-300), Err(Reason::Linear));
        assert_eq!(of(0.0, 0.0), Err(Reason::Stationary));
        assert_eq!(of(0.0, 1.0), Err(Reason::NoDescent));
        assert_eq!(of(-1.0, 1.0), Err(Reason::NoDescent));
        assert_eq!(of(-1.0, -1.0), Err(Reason::NoDescent));
        assert_eq!(of(f64::NAN, 1.0), Err(Reason::NonFinite));
        assert_eq!(of(1.0, f64::INFINITY), Err(Reason::NonFinite));
    }

    #[test]
    fn a_policy_averages_then_clamps_and_falls_back() {
        let policy = Policy { lr_max: 0.6, gamma: 0.5, ..Policy::default() };
        let rate = |num, den, last| {
            let choice = policy.decide(Parabola { num, den }, &Situation { value: 0.01, momentum: 0.0 }, last);
            (choice.alpha, choice.reason)
        };
        assert_eq!(rate(1.0, 2.0, None), (0.5, Reason::Parabola));
        assert_eq!(rate(1.0, 2.0, Some(0.1)), (0.3, Reason::Parabola));
        assert_eq!(rate(1.0, 1.0, Some(0.4)), (0.6, Reason::Clamped));
        assert_eq!(rate(1.0, -1.0, Some(0.4)), (DEFAULT_RATE, Reason::Concave));
        assert_eq!(rate(f64::NAN, 1.0, Some(0.4)), (0.0, Reason::NonFinite));
    }

    #[test]
    fn along_momentum_a_rate_is_held_back() {
        let rate = |policy: Policy, num, den, value, last| {
            let choice = policy.decide(Parabola { num, den }, &Situation { value, momentum: 0.25 }, last);
            (choice.alpha, choice.reason)
        };
        let policy = Policy { floor: 1.0, ..Policy::default() };
        // num/den = 5 where the tangent meets the floor beyond that, and at 2.5.
        assert_eq!(rate(policy, 10.0, 2.0, 100.0, None), (4.0, Reason::Parabola));
        assert_eq!(rate(policy, 10.0, 2.0, 26.0, None), (2.0, Reason::Parabola));
        // No floor is known, or a loss refutes it.
        assert_eq!(rate(Policy { floor: f64::NEG_INFINITY, ..policy }, 10.0, 2.0, 26.0, None).0, 4.0);
        assert_eq!(rate(policy, 10.0, 2.0, 0.5, None).0, 4.0);
        // An average may be below, and not above.
        let averaging = Policy { gamma: 0.5, ..policy };
        assert_eq!(rate(averaging, 10.0, 2.0, 100.0, Some(2.0)).0, 3.0);
        assert_eq!(rate(averaging, 10.0, 2.0, 100.0, Some(8.0)).0, 4.0);
        assert_eq!(rate(Policy { lr_max: 1.5, ..policy }, 10.0, 2.0, 26.0, None), (1.5, Reason::Clamped));
        assert_eq!(rate(policy, 10.0, -2.0, 26.0, None), (DEFAULT_RATE, Reason::Concave));
        let bold = Policy { is_cautious: false, ..averaging };
        assert_eq!(rate(bold, 10.0, 2.0, 26.0, Some(8.0)).0, 6.5);
    }

    #[test]
    #[should_panic(expected = "the floor must be below the loss, not inf")]
    fn a_floor_that_no_loss_is_above_is_refused() {
        ExactGen::new(Policy { floor: f64::INFINITY, ..Policy::default() });
    }

    #[test]
    #[should_panic(expected = "γ must be within [0, 1), not 1")]
    fn a_gamma_of_one_is_refused() {
        ExactGen::new(Policy { gamma: 1.0, ..Policy::default() });
    }
}
