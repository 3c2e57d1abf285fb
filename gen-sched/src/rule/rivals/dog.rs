//! Distance over gradients.

use ad_core::{Params, Real, Tensor};
use nn::{State, StateError};

use super::trees::Trees;
use super::{Numbers, by_formula, descent, distance, inner, positive};
use crate::rule::{Choice, Reason, Rule, Step};

/// DoG: the greatest distance from the start so far, over the root of the sum of squared gradients; or DoWG, which weights them.
///
/// ```text
///   r̄ = max(r̄₋, ‖θ − θ₀‖), at first r_ε (1 + ‖θ₀‖)
///   DoG:  G ← G + ‖ω‖²       α = r̄/√G        DoWG:  G ← G + r̄² ‖ω‖²       α = r̄²/√G
/// ```
///
/// The papers have ω = g. Along another ω it is the length of steps that counts, hence ‖ω‖².
///
/// Cost: none; a copy of the first parameters is kept. Defaults: DoG with r_ε = 10⁻⁶, and G from 10⁻⁸ as in the official code; for DoWG
/// from 0. Rates
/// only grow with the distance and shrink with time, so the authors evaluate an average of the iterates, which is not part of this rule.
///
/// Sources: Ivgi, Hinder and Carmon, *DoG is SGD's best friend*, arXiv 2302.12022; Khaled, Mishchenko and Jin, *DoWG unleashed*, arXiv
/// 2305.16284.
#[derive(Clone, Debug)]
pub struct Dog<T: Real> {
    is_weighted: bool,
    first: f64,
    /// r̄, 0 before the first step, and G.
    sums: Numbers<2>,
    start: Trees<T, 1>,
    /// Where the first step, not taken yet, would start.
    start_next: Option<Params<Tensor<T>>>,
}

impl<T: Real> Default for Dog<T> {
    fn default() -> Self {
        Dog { is_weighted: false, first: 1e-6, sums: sums(1e-8), start: Trees::new(["start"]), start_next: None }
    }
}

fn sums(squares: f64) -> Numbers<2> {
    Numbers::new([("distance", 0.0), ("squares", squares)])
}

impl<T: Real> Dog<T> {
    /// With weights: DoWG.
    pub fn weighted(self) -> Self {
        Dog { is_weighted: true, sums: sums(0.0), ..self }
    }

    /// With this r_ε. It should be too small rather than too large: 10⁻⁴ with batch normalization.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, first: f64) -> Self {
        Dog { first: positive("r_ε", first), ..self }
    }

    fn decided(&mut self, step: &Step<'_, T>) -> Result<Choice, Reason> {
        descent(&step.line)?;
        let [far, squares] = self.sums.now();
        let far = match self.start.kept() {
            Some([start]) => far.max(distance(step.theta, start)),
            None => {
                self.start_next = Some(step.theta.clone());
                self.first * (1.0 + inner(step.theta, step.theta).sqrt())
            }
        };
        let (weight, square) = (if self.is_weighted { far * far } else { 1.0 }, inner(step.omega, step.omega));
        let squares = squares + weight * square;
        self.sums.propose(Some([far, squares]));
        let over = if self.is_weighted { weight } else { far };
        by_formula(over / squares.sqrt())
    }

    fn withdraw(&mut self) {
        self.sums.withdraw();
        self.start_next = None;
    }
}

impl<T: Real> Rule<T> for Dog<T> {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.withdraw();
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    fn taken(&mut self, _alpha: f64) {
        self.sums.advance();
        if let Some(start) = self.start_next.take() {
            self.start.set([start]);
        }
    }

    fn forget(&mut self) {
        self.withdraw();
    }

    fn state(&self) -> State<T> {
        self.start.save(self.sums.save(State::default()))
    }

    fn restore(&mut self, mut state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.sums.take(&mut state)?;
        self.start.take(&mut state, theta)?;
        self.start_next = None;
        state.end()
    }

    fn name(&self) -> &'static str {
        "dog"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{descend, quadratic};

    #[test]
    fn the_first_rates_by_hand() {
        // x₀ = 4, g = 4: r̄ = ¼ · 5, so one step of length 5/4; then g = 11/4 and ‖x − x₀‖ = 5/4.
        let rates = |rule: Dog<f64>| {
            let seen = descend(rule.starting_from(0.25), quadratic(&[1.0]), &[4.0], 2);
            seen.iter().map(|s| s.choice.alpha).collect::<Vec<_>>()
        };
        let [dog, dowg] = [rates(Dog::default()), rates(Dog::default().weighted())];
        let squares = [16.0, 16.0 + 121.0 / 16.0f64];
        for step in 0..2 {
            approx::assert_relative_eq!(dog[step], 1.25 / squares[step].sqrt(), max_relative = 1e-8);
            approx::assert_relative_eq!(dowg[step], dog[step], max_relative = 1e-8);
        }
    }

    #[test]
    fn from_any_first_distance_it_reaches_the_minimum() {
        for first in [1e-8, 1e-6, 1e-2] {
            for rule in [Dog::default(), Dog::default().weighted()] {
                let seen = descend(rule.starting_from(first), quadratic(&[1.0, 4.0]), &[3.0, 2.0], 1000);
                assert!(seen[999].value < 1e-3 * seen[0].value, "{first}: {}", seen[999].value);
            }
        }
    }
}
