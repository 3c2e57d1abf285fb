//! Hessian-aware scaling.

use ad_core::Real;

use super::search::{backtrack, exhausted, falls_enough, found};
use super::{descent, fraction, inner, positive};
use crate::line::Line;
use crate::rule::{Choice, Parabola, Reason, Rule, Step};

/// How ω is scaled, shortest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scaling {
    /// g·ω / ω·Hω: the minimiser of the parabola, as in the method of conjugate gradients.
    ConjugateGradient,
    /// √(CG · MR), which is ‖g‖/‖Hg‖ along ω = g: the geometric mean of the other two.
    GeometricMean,
    /// g·Hω / ‖Hω‖²: where ‖g − s Hω‖ is least, as in the method of minimal residuals.
    #[default]
    MinimalResidual,
}

/// Hessian-aware scaling: a rate s told by curvature, and Armijo's line search from there.
///
/// ```text
///   CG: s = num/den        MR: s = g·Hω / ‖Hω‖²        GM: s = √(CG · MR)        where den > σ‖ω‖², else s = 1
///   α = s, ½ s, ¼ s, … until g(α) ≤ g(0) − ρ α num; and 2s, 4s, … while that holds, where den < 0
/// ```
///
/// The paper has ω = g. Near a minimum with positive curvature the first α is accepted.
///
/// Cost: a Hessian–vector product (for CG the cheaper curvature sweep) and a forward pass for each try, mostly one. Defaults: minimal
/// residuals, ρ = 10⁻⁴, σ = 10⁻⁶, s = 1 where curvature is flat or negative. Good in full batch.
///
/// Source: Smee, Roosta and Wright, *First-ish order methods: Hessian-aware scalings of gradient descent*, arXiv 2502.03701.
#[derive(Clone, Copy, Debug)]
pub struct HessianAware {
    scaling: Scaling,
    rho: f64,
    sigma: f64,
    flat: f64,
}

impl Default for HessianAware {
    fn default() -> Self {
        HessianAware::new(Scaling::default())
    }
}

impl HessianAware {
    /// The rule with this scaling.
    pub fn new(scaling: Scaling) -> Self {
        HessianAware { scaling, rho: 1e-4, sigma: 1e-6, flat: 1.0 }
    }

    /// Accepts a decrease of this share ρ of what the tangent promises.
    ///
    /// # Panics
    /// If it is not within (0, ½): the minimiser of a parabola would not be accepted.
    #[track_caller]
    pub fn accepting(self, rho: f64) -> Self {
        assert!(rho > 0.0 && rho < 0.5, "ρ must be within (0, ½), not {rho}");
        HessianAware { rho, ..self }
    }

    /// Takes den/‖ω‖² for flat up to this σ, and starts from this rate there and where it is negative.
    ///
    /// # Panics
    /// If σ is not within (0, 1), or the rate is not positive and finite.
    #[track_caller]
    pub fn where_flat(self, sigma: f64, rate: f64) -> Self {
        HessianAware { sigma: fraction("σ", sigma), flat: positive("the rate", rate), ..self }
    }

    fn decided<T: Real>(&self, step: &mut Step<'_, T>) -> Result<Choice, Reason> {
        let num = descent(&step.line)?;
        let (den, rate) = self.scaled(step, num);
        if !den.is_finite() || !rate.is_finite() {
            return Err(Reason::NonFinite);
        }
        let line = &mut step.line;
        let choice = match backtrack(rate, 0.5, TRIES, |alpha| falls_enough(line, self.rho, num, alpha)) {
            Ok(alpha) if alpha == rate && den < 0.0 => found(self.forward(line, num, alpha)),
            Ok(alpha) => found(alpha),
            Err(last) => exhausted(last),
        };
        Ok(choice.seeing(Parabola { num, den }))
    }

    /// den and the rate to search from.
    fn scaled<T: Real>(&self, step: &mut Step<'_, T>, num: f64) -> (f64, f64) {
        let square = inner(step.omega, step.omega);
        let (den, rate) = match self.scaling {
            Scaling::ConjugateGradient => {
                let den = step.line.curvature().den;
                (den, num / den)
            }
            Scaling::GeometricMean | Scaling::MinimalResidual => {
                let hvp = step.line.hvp();
                let den = inner(step.omega, hvp);
                let minimal = inner(step.gradient, hvp) / inner(hvp, hvp);
                let is_minimal = self.scaling == Scaling::MinimalResidual;
                (den, if is_minimal { minimal } else { (minimal * (num / den)).sqrt() })
            }
        };
        let is_strong = den > self.sigma * square && rate > 0.0;
        (den, if is_strong { rate } else { self.flat })
    }

    /// The last of α, 2α, 4α, … up to which the loss falls enough.
    fn forward<T: Real>(&self, line: &mut Line<'_, T>, num: f64, alpha: f64) -> f64 {
        let refused = backtrack(2.0 * alpha, 2.0, TRIES, |alpha| !falls_enough(line, self.rho, num, alpha));
        refused.unwrap_or_else(|last| last) / 2.0
    }
}

impl<T: Real> Rule<T> for HessianAware {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    fn asks_curvature(&self, _index: u64) -> bool {
        self.scaling == Scaling::ConjugateGradient
    }

    fn name(&self) -> &'static str {
        "hessian_aware"
    }
}

const TRIES: u32 = 50;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{choose, descend, quadratic};

    const ALL: [Scaling; 3] = [Scaling::ConjugateGradient, Scaling::GeometricMean, Scaling::MinimalResidual];

    #[test]
    fn in_one_dimension_all_are_the_inverse_of_the_curvature() {
        for scaling in ALL {
            let seen = descend(HessianAware::new(scaling), quadratic(&[4.0]), &[3.0], 1);
            assert_eq!((seen[0].choice.alpha, seen[0].choice.reason), (0.25, Reason::Search), "{scaling:?}");
            let hvps = u64::from(scaling != Scaling::ConjugateGradient);
            assert_eq!((seen[0].cost.hvps, seen[0].cost.curvatures, seen[0].cost.values), (hvps, 1 - hvps, 1));
        }
    }

    #[test]
    fn the_formulas() {
        // g = (1, 2), Hg = (1, 4), H²: g·g = 5, g·Hg = 9, Hg·Hg = 17.
        let rates =
            ALL.map(|scaling| choose(&mut HessianAware::new(scaling), quadratic(&[1.0, 2.0]), &[1.0, 1.0], 0.0).alpha);
        approx::assert_relative_eq!(rates[0], 5.0 / 9.0, max_relative = 1e-15);
        approx::assert_relative_eq!(rates[1], (5.0f64 / 17.0).sqrt(), max_relative = 1e-15);
        approx::assert_relative_eq!(rates[2], 9.0 / 17.0, max_relative = 1e-15);
    }

    #[test]
    fn near_a_minimum_the_first_try_is_accepted() {
        for scaling in ALL {
            let seen = descend(HessianAware::new(scaling), quadratic(&[1.0, 20.0]), &[1.0, 1.0], 100);
            assert!(seen.iter().all(|s| s.cost.values == 1), "{scaling:?}");
            assert!(seen[99].value < 1e-3 * seen[0].value, "{scaling:?}: {}", seen[99].value);
        }
    }

    #[test]
    fn down_a_concave_loss_it_goes_far() {
        use ad_core::{Ops, Params, Var};
        // x⁴/4 − x²/2 at 1/2: g = −3/8, H = −1/4; the steps 1, 2 and 4 lead to 7/8, 5/4 and 2.
        let f = |p: &Params<Var<crate::rule::testing::T>>| {
            let x = p.get("x");
            (x.powi(4).scale(0.25) - x.powi(2).scale(0.5)).sum_all()
        };
        for scaling in ALL {
            let choice = choose(&mut HessianAware::new(scaling), f, &[0.5], 0.0);
            assert_eq!((choice.alpha, choice.reason), (2.0, Reason::Search), "{scaling:?}");
        }
    }
}
