//! Quadratic loss approximation.

use ad_core::Real;

use super::{descent, positive, touching};
use crate::rule::{Choice, DEFAULT_RATE, LastRate, Reason, Rule, Step, remembers_last_rate};

/// QLABGrad: the minimiser of the parabola that has the slope of g at 0 and meets it at one probe.
///
/// ```text
///   den ≈ 2 (g(h) − g(0) + h num) / h²        α = num/den
/// ```
///
/// where h is the rate before, near which the parabola is to hold. num is ‖g‖² in the paper, with ω = g. On a quadratic it is exact, elsewhere it carries an error of order h.
/// As for approximate GeN, a bend within rounding of the losses, 4 ε |g(0)| in the precision of the step, counts as none.
///
/// Cost: one forward pass. Defaults: a first probe at 10⁻³. Good where [`ApproximateGen`](crate::ApproximateGen) is, for half its
/// cost.
///
/// Source: Fu and Wu, *QLABGrad*, arXiv 2302.00252.
#[derive(Clone, Copy, Debug)]
pub struct QlabGrad {
    first_probe: f64,
    last: LastRate,
}

impl Default for QlabGrad {
    fn default() -> Self {
        QlabGrad::probing(DEFAULT_RATE)
    }
}

impl QlabGrad {
    /// The rule that first probes at this rate.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn probing(first_probe: f64) -> Self {
        QlabGrad { first_probe: positive("the first probe", first_probe), last: LastRate::default() }
    }

    fn decided<T: Real>(&self, step: &mut Step<'_, T>) -> Result<Choice, Reason> {
        let num = descent(&step.line)?;
        let h = self.last.0.unwrap_or(self.first_probe);
        let here = step.line.value();
        let losses = [here, step.line.at(h)];
        Ok(Choice::minimising(touching(num, losses, h, 4.0 * T::EPSILON * here.abs())))
    }
}

impl<T: Real> Rule<T> for QlabGrad {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    remembers_last_rate!(rule);

    fn name(&self) -> &'static str {
        "qlabgrad"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{choose, descend, quadratic};

    #[test]
    fn on_a_quadratic_it_is_exact() {
        // g(α) = 2 (1 − 4α)²: at h = 1/2 it is 2 again, so den = 2 · ½ · 16 · 4 = 64, and num = 16.
        let choice = choose(&mut QlabGrad::probing(0.5), quadratic(&[4.0]), &[1.0], 0.0);
        assert_eq!((choice.alpha, choice.reason), (0.25, Reason::Parabola));
        assert_eq!(choice.parabola.map(|p| (p.num, p.den)), Some((16.0, 64.0)));
        let exact = descend(crate::ExactGen::default(), quadratic(&[1.0, 10.0]), &[3.0, 2.0], 10);
        let seen = descend(QlabGrad::default(), quadratic(&[1.0, 10.0]), &[3.0, 2.0], 10);
        for (a, b) in seen.iter().zip(&exact) {
            approx::assert_relative_eq!(a.choice.alpha, b.choice.alpha, max_relative = 1e-6);
            assert_eq!(a.cost.values, 1);
        }
    }

    #[test]
    fn a_probe_that_overflows_is_forgotten() {
        let mut rule = QlabGrad::probing(0.5);
        Rule::<f64>::taken(&mut rule, 1e200);
        assert_eq!(choose(&mut rule, quadratic(&[4.0]), &[1.0], 0.0).reason, Reason::NonFinite);
        Rule::<f64>::forget(&mut rule);
        assert_eq!(choose(&mut rule, quadratic(&[4.0]), &[1.0], 0.0).alpha, 0.25);
    }
}
