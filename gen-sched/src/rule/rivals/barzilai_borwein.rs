//! The step of Barzilai and Borwein.

use ad_core::Real;
use nn::moved;

use super::{by_formula, descent, inner, positive};
use crate::rule::{Choice, Reason, Rule, Step};

/// Which least-squares solution of s = α y the rate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Secant {
    /// s·s / s·y: the longer step.
    #[default]
    Long,
    /// s·y / y·y: the shorter one.
    Short,
}

/// The step of Barzilai and Borwein: the rate that fits the last changes of parameters and gradient best, as a quasi-Newton method with
/// a multiple of the identity.
///
/// ```text
///   s = θ − θ₋    y = g − g₋        long: α = s·s / s·y    short: α = s·y / y·y
/// ```
///
/// Both are the inverse of the curvature along s, one as it is and one with y's own length. Along another ω than g the formula is the same,
/// and tells of curvature in the parameters, not in what ω scales them to. With s·y < 0 the loss is [`Reason::Concave`] along s, with s·y = 0
/// [`Reason::Linear`]: the default rate.
///
/// Cost: none. Defaults: the long form, after a first rate of 10⁻³. Good in full batch, where the loss falls in leaps with rises
/// between; with small batches y is mostly noise.
///
/// Source: Barzilai and Borwein, *Two-point step size gradient methods*, IMA Journal of Numerical Analysis 8 (1988).
#[derive(Clone, Copy, Debug)]
pub struct BarzilaiBorwein {
    secant: Secant,
    first: f64,
}

impl Default for BarzilaiBorwein {
    fn default() -> Self {
        BarzilaiBorwein::new(Secant::Long)
    }
}

impl BarzilaiBorwein {
    /// The rule in this form.
    pub fn new(secant: Secant) -> Self {
        BarzilaiBorwein { secant, first: crate::DEFAULT_RATE }
    }

    /// With this rate of the first step.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, rate: f64) -> Self {
        BarzilaiBorwein { first: positive("the first rate", rate), ..self }
    }

    fn decided<T: Real>(&self, step: &Step<'_, T>) -> Result<Choice, Reason> {
        descent(&step.line)?;
        let Some(previous) = step.previous else { return by_formula(self.first) };
        let s = moved(step.theta, 1.0, &previous.theta);
        let y = moved(step.gradient, 1.0, &previous.gradient);
        match inner(&s, &y) {
            sy if sy > 0.0 => by_formula(match self.secant {
                Secant::Long => inner(&s, &s) / sy,
                Secant::Short => sy / inner(&y, &y),
            }),
            sy if sy < 0.0 => Err(Reason::Concave),
            0.0 => Err(Reason::Linear),
            _ => Err(Reason::NonFinite),
        }
    }
}

impl<T: Real> Rule<T> for BarzilaiBorwein {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    fn name(&self) -> &'static str {
        "barzilai_borwein"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{descend, quadratic};

    fn rates(secant: Secant, steps: u64) -> Vec<f64> {
        let rule = BarzilaiBorwein::new(secant).starting_from(0.5);
        descend(rule, quadratic(&[1.0, 2.0]), &[4.0, 1.0], steps).iter().map(|s| s.choice.alpha).collect()
    }

    #[test]
    fn both_forms_fit_the_last_changes() {
        // g = (4, 2), s = −(2, 1), y = −(2, 2).
        assert_eq!(rates(Secant::Long, 2), [0.5, 5.0 / 6.0]);
        assert_eq!(rates(Secant::Short, 2), [0.5, 6.0 / 8.0]);
    }

    #[test]
    fn in_two_dimensions_it_converges_faster_than_linearly() {
        for secant in [Secant::Long, Secant::Short] {
            let seen = descend(BarzilaiBorwein::new(secant), quadratic(&[1.0, 100.0]), &[1.0, 1.0], 40);
            assert!(seen.iter().any(|s| s.value < 1e-20 * seen[0].value), "{secant:?}");
        }
    }

    #[test]
    fn a_concave_loss_has_no_such_step() {
        let seen = descend(BarzilaiBorwein::default(), quadratic(&[-1.0]), &[1.0], 2);
        assert_eq!((seen[1].choice.alpha, seen[1].choice.reason), (1e-3, Reason::Concave));
    }
}
