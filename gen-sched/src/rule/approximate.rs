//! Approximate GeN.

use ad_core::Real;

use crate::fit::least_squares;
use crate::rule::{Choice, DEFAULT_RATE, LastRate, Parabola, Rule, Step, remembers_last_rate};

/// Approximate GeN: the parabola through three points of the loss along the line, g(−h), g(0) and g(h), where h is the
/// rate before.
///
/// ```text
///   num ≈ (g(−h) − g(h)) / 2h        den ≈ (g(−h) − 2 g(0) + g(h)) / h²        α = num/den
/// ```
///
/// The estimates carry an error of order h². The first probe, and the next after one that overflowed, has a length of its own.
/// A second difference within rounding of the losses, 4 ε |g(0)| in the precision of the step, tells nothing about den and
/// counts as 0. Its authors average the rate with γ = 0.9 ([`Averaged`](crate::wrap::Averaged)).
///
/// Cost: two forward passes. Source: Bu and Xu, arXiv 2407.02772, Algorithm 1; the same parabola is LQA of Zhu et al., arXiv 2004.03260.
#[derive(Clone, Copy, Debug)]
pub struct ApproximateGen {
    first_probe: f64,
    last: LastRate,
}

impl ApproximateGen {
    /// The rule that first probes at this rate.
    ///
    /// # Panics
    /// If it is not positive and finite: there would be nothing to probe with.
    #[track_caller]
    pub fn probing(first_probe: f64) -> Self {
        let fits = first_probe.is_finite() && first_probe > 0.0;
        assert!(fits, "approximate GeN probes at a rate that is positive and finite, not {first_probe}");
        ApproximateGen { first_probe, last: LastRate::default() }
    }
}

impl Default for ApproximateGen {
    /// First probes at [`DEFAULT_RATE`].
    fn default() -> Self {
        ApproximateGen::probing(DEFAULT_RATE)
    }
}

impl<T: Real> Rule<T> for ApproximateGen {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        let h = self.last.0.unwrap_or(self.first_probe);
        let (back, here, ahead) = (step.line.at(-h), step.line.value(), step.line.at(h));
        Choice::minimising(Parabola::through([back, here, ahead], h, 4.0 * T::EPSILON * here.abs()))
    }

    remembers_last_rate!(rule);

    fn name(&self) -> &'static str {
        "approx"
    }
}

impl Parabola {
    /// The parabola of least squares through 0 at 0 and these rises g(α) − g(0) of the loss, as pairs (α, rise); `None` where they do not
    /// tell one.
    ///
    /// ```
    /// use gen_sched::Parabola;
    /// let rises = [-2.0, -1.0, 1.0, 2.0].map(|a: f64| (a, -3.0 * a + 0.5 * 4.0 * a * a));
    /// assert_eq!(Parabola::fit(&rises), Some(Parabola { num: 3.0, den: 4.0 }));
    /// ```
    pub fn fit(rises: &[(f64, f64)]) -> Option<Self> {
        let unit = rises.iter().fold(0.0f64, |most, (alpha, _)| most.max(alpha.abs()));
        let (x, y): (Vec<f64>, Vec<f64>) = rises.iter().map(|(alpha, rise)| (alpha / unit, *rise)).unzip();
        let fit = least_squares(&x, &y, 2)?;
        Some(Parabola { num: -fit.coefficients[0] / unit, den: 2.0 * fit.coefficients[1] / (unit * unit) })
    }

    /// The parabola through g(−h), g(0) and g(h), where a second difference of at most `noise` counts as 0.
    pub fn through([back, here, ahead]: [f64; 3], h: f64, noise: f64) -> Self {
        let difference = back - 2.0 * here + ahead;
        let second = if difference.abs() <= noise { 0.0 } else { difference };
        Parabola { num: (back - ahead) / (2.0 * h), den: second / (h * h) }
    }
}
