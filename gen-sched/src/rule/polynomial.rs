//! GeN on a polynomial fitted to many points.

use ad_core::Real;

use crate::fit::{Fit, least_squares};
use crate::rule::{Choice, DEFAULT_RATE, LastRate, Parabola, Reason, Rule, Step, remembers_last_rate};

/// Polynomial GeN: steps to the first minimum of the polynomial of degree 2, 3 or 4 that fits the loss at k ≥ 4 points of the
/// line best,
///
/// ```text
///   g(α) − g(0) ≈ c₁ α + c₂ α² (+ c₃ α³ + c₄ α⁴)        in least squares over α = s h, h the rate before
/// ```
///
/// where s runs through the offsets, −2, −1, 1, 2 by default. A fit is used only if its R² is at least the gate, 0.99 by default, and,
/// where a point is held out, if the polynomial meets that too: within a tenth of the spread of the losses. With more points than
/// coefficients the gate can fail, with three points it cannot. A fit that fails takes the default rate, [`Reason::Misfit`].
///
/// Cost: a forward pass for each offset, and one for the point held out. Source: Bu and Xu, arXiv 2407.02772, appendix, and
/// their code, whose gate is R² > 0.99 too.
#[derive(Clone, Debug, PartialEq)]
pub struct PolynomialGen {
    offsets: Vec<f64>,
    degree: usize,
    gate: f64,
    held_out: Option<f64>,
    last: LastRate,
}

impl Default for PolynomialGen {
    /// A parabola through the loss here and at four points, with a gate of 0.99.
    fn default() -> Self {
        PolynomialGen::through(&[-2.0, -1.0, 1.0, 2.0], 2)
    }
}

impl PolynomialGen {
    /// The rule with probes at these multiples of the rate before and a polynomial of this degree.
    ///
    /// # Panics
    /// If the degree is not 2, 3 or 4, or the offsets are not four at least, more than the degree, and distinct numbers other than 0.
    #[track_caller]
    pub fn through(offsets: &[f64], degree: usize) -> Self {
        assert!((2..=4).contains(&degree), "a polynomial of degree 2, 3 or 4 is fitted, not {degree}");
        let fits = offsets.iter().enumerate().all(|(i, s)| s.is_finite() && *s != 0.0 && !offsets[..i].contains(s));
        assert!(fits, "offsets must be distinct numbers other than 0, not {offsets:?}");
        let (found, least) = (offsets.len(), 4.max(degree + 1));
        assert!(found >= least, "a polynomial of degree {degree} is fitted to {least} points or more, not {found}");
        PolynomialGen { offsets: offsets.to_vec(), degree, gate: 0.99, held_out: None, last: LastRate::default() }
    }

    /// The same rule, which asks for this R² at least.
    ///
    /// # Panics
    /// If it is above 1.
    #[track_caller]
    pub fn gate(self, least: f64) -> Self {
        assert!(least <= 1.0, "no fit has an R² above 1, and {least} was asked for");
        PolynomialGen { gate: least, ..self }
    }

    /// The same rule, which checks its polynomial at this multiple of the rate before, a point that it is not fitted to.
    ///
    /// # Panics
    /// If it is 0 or one of the offsets.
    #[track_caller]
    pub fn holding_out(self, offset: f64) -> Self {
        let fits = offset.is_finite() && offset != 0.0 && !self.offsets.contains(&offset);
        assert!(fits, "a point held out must be none of the others, as {offset} is");
        PolynomialGen { held_out: Some(offset), ..self }
    }

    /// Whether the fit describes its points and the one held out.
    fn holds<T: Real>(&self, fit: &Fit, h: f64, step: &mut Step<'_, T>) -> bool {
        let meets = |offset: f64| {
            let found = step.line.at(offset * h) - step.line.value();
            (found - fit.at(offset)).abs() <= HELD_OUT_TOLERANCE * fit.spread
        };
        fit.r_squared >= self.gate && self.held_out.is_none_or(meets)
    }
}

/// How far from the point held out a fit may be, in shares of the spread of the losses.
const HELD_OUT_TOLERANCE: f64 = 0.1;

impl<T: Real> Rule<T> for PolynomialGen {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        let h = self.last.0.unwrap_or(DEFAULT_RATE);
        let here = step.line.value();
        let rises: Vec<f64> = self.offsets.iter().map(|s| step.line.at(s * h) - here).collect();
        if !rises.iter().all(|rise| rise.is_finite()) {
            return Choice::fallen(Reason::NonFinite);
        }
        let Some(fit) = least_squares(&self.offsets, &rises, self.degree) else {
            return Choice::fallen(Reason::Misfit);
        };
        let parabola = Parabola { num: -fit.coefficients[0] / h, den: 2.0 * fit.coefficients[1] / (h * h) };
        if !self.holds(&fit, h, step) {
            return Choice::fallen(Reason::Misfit).seeing(parabola);
        }
        match fit.first_minimum() {
            _ if self.degree == 2 => Choice::minimising(parabola),
            Some(s) => Choice::new(s * h, Reason::Polynomial).seeing(parabola),
            None => Choice::minimising(parabola),
        }
    }

    remembers_last_rate!(rule);

    fn name(&self) -> &'static str {
        "polynomial"
    }
}

#[cfg(test)]
mod tests {
    use ad_core::{Ops, Params, Tensor, Var};

    use super::*;
    use crate::rule::testing::{choose, descend, quadratic};

    fn quartic(p: &Params<Var<Tensor<f64>>>) -> Var<Tensor<f64>> {
        // Along the gradient at 1 it is (1 − 4α)⁴, at its minimum at α = ¼.
        p.get("x").powi(4).sum_all()
    }

    #[test]
    fn a_parabola_is_found_exactly_and_costs_its_points() {
        let seen = descend(PolynomialGen::default(), quadratic(&[1.0, 4.0]), &[1.0, 0.5], 3);
        approx::assert_relative_eq!(seen[0].choice.alpha, 5.0 / 17.0, max_relative = 1e-9);
        assert_eq!((seen[0].choice.reason, seen[0].cost.values), (Reason::Parabola, 4));
        let held = PolynomialGen::default().holding_out(0.5);
        assert_eq!(descend(held, quadratic(&[1.0]), &[1.0], 1)[0].cost.values, 5);
    }

    #[test]
    fn a_quartic_needs_a_quartic() {
        let rule = || PolynomialGen::through(&[-2.0, -1.0, 1.0, 2.0, 3.0], 4);
        let mut exact = rule();
        Rule::<f64>::taken(&mut exact, 0.1);
        let choice = choose(&mut exact, quartic, &[1.0], 0.0);
        assert_eq!(choice.reason, Reason::Polynomial);
        // A fourfold root: its place is known to the fourth root of the precision.
        approx::assert_relative_eq!(choice.alpha, 0.25, max_relative = 1e-3);
    }

    #[test]
    fn a_poor_fit_is_not_used() {
        // With probes as long as 0.4, the quartic is no parabola.
        let at_length = |rule: PolynomialGen| {
            let mut rule = rule;
            Rule::<f64>::taken(&mut rule, 0.4);
            choose(&mut rule, quartic, &[1.0], 0.0).reason
        };
        assert_eq!(at_length(PolynomialGen::default()), Reason::Misfit);
        assert_ne!(at_length(PolynomialGen::default().gate(0.0)), Reason::Misfit);
        assert_eq!(at_length(PolynomialGen::default().gate(0.0).holding_out(4.0)), Reason::Misfit);
    }

    #[test]
    #[should_panic(expected = "a polynomial of degree 4 is fitted to 5 points or more, not 4")]
    fn too_few_points_are_refused() {
        let _ = PolynomialGen::through(&[-2.0, -1.0, 1.0, 2.0], 4);
    }
}
