//! Curvature dynamics aware tuning.

use ad_core::Real;

use super::{Numbers, by_formula, coefficient, positive, remembers};
use crate::rule::{Choice, Parabola, Reason, Rule, Step};

/// CDAT: σ times the minimiser of the parabola along ω, whichever way it opens, with numerator and denominator averaged.
///
/// ```text
///   α = σ n/d        n ← β n + (1 − β) max(num, 0)        d ← β d + (1 − β)(|den| + ε)        from n = d = 0
/// ```
///
/// Both averages start from 0 with the same weights, which leaves the first α at σ num/|den|. Along momentum, a batch with num ≤ 0 is
/// stepped along at the rate of the averages, with the reason [`Reason::NoDescent`]; without averaging the rate is 0 there.
///
/// Cost: one curvature sweep. Defaults: σ = 2, where the parabola is back at the present loss, "on edge"; β = 0.9; ε = 0. σ = 2 is good
/// in full batch, where σ = 1 is greedy and lets the sharpness grow; in small batches σ below 2 does better.
///
/// Source: Roulet et al., *Stepping on the edge: curvature aware learning rate tuners*, arXiv 2407.06183.
#[derive(Clone, Copy, Debug)]
pub struct Cdat {
    sigma: f64,
    beta: f64,
    epsilon: f64,
    averages: Numbers<2>,
}

impl Default for Cdat {
    fn default() -> Self {
        Cdat::new(2.0)
    }
}

impl Cdat {
    /// The rule with this σ.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn new(sigma: f64) -> Self {
        let averages = Numbers::new([("numerator", 0.0), ("denominator", 0.0)]);
        Cdat { sigma: positive("σ", sigma), beta: 0.9, epsilon: 0.0, averages }
    }

    /// With this β of the averages; 0 does not average.
    ///
    /// # Panics
    /// If it is not within [0, 1).
    #[track_caller]
    pub fn averaging(self, beta: f64) -> Self {
        Cdat { beta: coefficient("β", beta), ..self }
    }

    /// With this ε in the denominator.
    ///
    /// # Panics
    /// If it is negative or not finite.
    #[track_caller]
    pub fn offset(self, epsilon: f64) -> Self {
        assert!(epsilon.is_finite() && epsilon >= 0.0, "ε must be finite and ≥ 0, not {epsilon}");
        Cdat { epsilon, ..self }
    }

    fn decided(&mut self, Parabola { num, den }: Parabola) -> Result<Choice, Reason> {
        if !num.is_finite() || !den.is_finite() {
            return Err(Reason::NonFinite);
        }
        let [n, d] = self.averages.now();
        let mix = |old: f64, new: f64| self.beta * old + (1.0 - self.beta) * new;
        let [n, d] = [mix(n, num.max(0.0)), mix(d, den.abs() + self.epsilon)];
        self.averages.propose(Some([n, d]));
        if n == 0.0 && d == 0.0 {
            return Err(Reason::Stationary);
        }
        let choice = by_formula(self.sigma * n / d)?;
        Ok(if num > 0.0 { choice } else { Choice { reason: Reason::NoDescent, ..choice } })
    }
}

impl<T: Real> Rule<T> for Cdat {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.averages.withdraw();
        let den = step.line.curvature().den;
        let parabola = Parabola { num: step.line.num(), den };
        self.decided(parabola).unwrap_or_else(Choice::fallen).seeing(parabola)
    }

    fn asks_curvature(&self, _index: u64) -> bool {
        true
    }

    remembers!(averages);

    fn name(&self) -> &'static str {
        "cdat"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{choose, descend, quadratic};

    #[test]
    fn numerator_and_denominator_are_averaged_apart() {
        let mut rule = Cdat::new(1.5).averaging(0.5);
        let mut next = |num, den| {
            let choice = rule.decided(Parabola { num, den }).unwrap();
            Rule::<f64>::taken(&mut rule, choice.alpha);
            (choice.alpha, choice.reason)
        };
        // n and d: 4 and 2, 2 + 0 and 1 + 4, 1 + 1 and 2.5 + 0.5.
        assert_eq!(next(8.0, -4.0), (3.0, Reason::Formula));
        assert_eq!(next(-1.0, 8.0), (0.6, Reason::NoDescent));
        assert_eq!(next(2.0, 1.0), (1.0, Reason::Formula));
    }

    #[test]
    fn without_averaging_it_is_a_multiple_of_the_minimiser() {
        let choice = choose(&mut Cdat::default().averaging(0.0), quadratic(&[5.0]), &[3.0], 0.0);
        assert_eq!((choice.alpha, choice.reason), (0.4, Reason::Formula));
        assert_eq!(choice.parabola, Some(Parabola { num: 225.0, den: 1125.0 }));
    }

    #[test]
    fn greedy_falls_and_on_edge_stays_level_on_a_quadratic() {
        let of = |sigma| descend(Cdat::new(sigma).averaging(0.0), quadratic(&[1.0, 10.0]), &[10.0, 1.0], 40);
        let greedy = of(1.0);
        assert!(greedy.windows(2).all(|w| w[1].value < w[0].value) && greedy[39].value < 1e-4 * greedy[0].value);
        let edge = of(2.0);
        assert!(edge.iter().all(|s| (s.value / edge[0].value - 1.0).abs() < 1e-9));
        let seen = descend(Cdat::new(1.9), quadratic(&[1.0, 10.0]), &[10.0, 1.0], 200);
        assert!(seen[199].value < 1e-2 * seen[0].value);
    }

    #[test]
    #[should_panic(expected = "β must be within [0, 1), not 1")]
    fn an_average_that_never_forgets_is_refused() {
        let _ = Cdat::default().averaging(1.0);
    }
}
