//! Momentum models.

use ad_core::{Params, Real, Tensor};
use nn::{Direction, State, StateError};

use super::trees::{Trees, sum};
use super::{Numbers, by_formula, capped, coefficient, inner};
use crate::rule::{Choice, Reason, Rule, Step};

/// MoMo: the step of Polyak on a model of the loss that averages the tangents of past batches. It owns its direction, their averaged
/// gradient.
///
/// ```text
///   m ← β m + (1 − β) g    f̄ ← β f̄ + (1 − β) f    γ ← β γ + (1 − β) g·θ    from the first g, f and g·θ
///   ω = m        h = f̄ + m·θ − γ        α = min(most, max(h − f*, 0) / ‖m‖²)
/// ```
///
/// h is what the averaged tangents say of the loss at θ. A model that is below f* makes no step.
///
/// Its direction counts as one without [momentum](Direction::momentum), since the rule allows for it. At steps where a wrapper leaves the
/// rule unasked, f̄ stays as it is.
///
/// Cost: none. Defaults: β = 0.9, f* = 0, at most 1. Good where a lower bound of the loss is known and momentum is wanted; without
/// their estimate of f*, and without weight decay.
///
/// Source: Schaipp et al., *MoMo: momentum models for adaptive learning rates*, arXiv 2305.07583, Algorithm 1, and its official code.
#[derive(Clone, Debug)]
pub struct Momo<T: Real> {
    beta: f64,
    floor: f64,
    most: f64,
    /// f̄; NaN before the first step.
    loss: Numbers<1>,
    /// γ.
    product: Numbers<1>,
    mean: Trees<T, 1>,
}

impl<T: Real> Default for Momo<T> {
    fn default() -> Self {
        Momo::new(1.0)
    }
}

impl<T: Real> Momo<T> {
    /// The rule with this greatest rate; it may be infinite.
    ///
    /// # Panics
    /// If it is not positive.
    #[track_caller]
    pub fn new(most: f64) -> Self {
        assert!(most > 0.0, "the greatest rate must be positive, not {most}");
        let (loss, product) = (Numbers::new([("loss", f64::NAN)]), Numbers::new([("product", 0.0)]));
        Momo { beta: 0.9, floor: 0.0, most, loss, product, mean: Trees::new(["m"]) }
    }

    /// With this β of the averages.
    ///
    /// # Panics
    /// If it is not within [0, 1).
    #[track_caller]
    pub fn averaging(self, beta: f64) -> Self {
        Momo { beta: coefficient("β", beta), ..self }
    }

    /// With this lower bound f* of the loss.
    ///
    /// # Panics
    /// If it is not finite.
    #[track_caller]
    pub fn above(self, floor: f64) -> Self {
        assert!(floor.is_finite(), "the lower bound of the loss must be finite, not {floor}");
        Momo { floor, ..self }
    }

    fn mixed(&self, old: f64, new: f64) -> f64 {
        self.beta * old + (1.0 - self.beta) * new
    }

    /// γ with one more gradient.
    fn product_with(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> f64 {
        let ([product], new) = (self.product.now(), inner(gradient, theta));
        if self.mean.kept().is_some() { self.mixed(product, new) } else { new }
    }

    fn decided(&mut self, step: &Step<'_, T>) -> Result<Choice, Reason> {
        let ([mean], new) = (self.loss.now(), step.line.value());
        let loss = if mean.is_nan() { new } else { self.mixed(mean, new) };
        self.loss.propose(Some([loss]));
        let model = loss + inner(step.omega, step.theta) - self.product_with(step.theta, step.gradient);
        let square = inner(step.omega, step.omega);
        if square == 0.0 {
            return Err(Reason::NoDescent);
        }
        let room = model - self.floor;
        Ok(capped(by_formula(if room < 0.0 { 0.0 } else { room / square })?, self.most))
    }
}

impl<T: Real> Direction<T> for Momo<T> {
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        match self.mean.kept() {
            Some([mean]) => sum(self.beta, mean, 1.0 - self.beta, gradient),
            None => gradient.clone(),
        }
    }

    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.product.propose(Some([self.product_with(theta, gradient)]));
        self.product.advance();
        self.mean.set([self.propose(theta, gradient)]);
    }

    fn state(&self) -> State<T> {
        self.mean.save(self.product.save(self.loss.save(State::default())))
    }

    fn restore(&mut self, mut state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        let mut again = self.clone();
        again.loss.take(&mut state)?;
        again.product.take(&mut state)?;
        again.mean.take(&mut state, theta)?;
        state.end()?;
        *self = again;
        Ok(())
    }
}

impl<T: Real> Rule<T> for Momo<T> {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        self.loss.withdraw();
        self.decided(step).unwrap_or_else(Choice::fallen)
    }

    fn taken(&mut self, _alpha: f64) {
        self.loss.advance();
    }

    fn forget(&mut self) {
        self.loss.withdraw();
    }

    fn name(&self) -> &'static str {
        "momo"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::testing::{descend_jointly, quadratic};

    #[test]
    fn the_model_averages_tangents() {
        // f = x²/2 from 4, β = ½: the first step is Polyak's, 8/16, to 2.
        let seen = descend_jointly(Momo::new(f64::INFINITY).averaging(0.5), quadratic(&[1.0]), &[4.0], 3);
        assert_eq!((seen[0].choice.alpha, seen[0].choice.reason), (0.5, Reason::Formula));
        // m = 3, f̄ = 5, γ = 10: h = 5 + 6 − 10 = 1, and α = 1/9 leads to 5/3.
        assert_eq!((seen[1].x[0], seen[1].choice.alpha), (2.0, 1.0 / 9.0));
        // m = 7/3, f̄ = 5/2 + 25/36, γ = 5 + 25/18: h = (115 + 140 − 230)/36 = 25/36.
        approx::assert_relative_eq!(seen[2].choice.alpha, 25.0 / 36.0 * 9.0 / 49.0, max_relative = 1e-13);
    }

    #[test]
    fn no_rate_is_above_the_most_and_none_below_the_bound() {
        let first = |rule: Momo<f64>| {
            let seen = descend_jointly(rule, quadratic(&[1.0]), &[4.0], 1);
            (seen[0].choice.alpha, seen[0].choice.reason)
        };
        assert_eq!(first(Momo::new(0.25)), (0.25, Reason::Clamped));
        assert_eq!(first(Momo::default().above(9.0)), (0.0, Reason::Formula));
    }

    #[test]
    fn it_converges_with_any_greatest_rate() {
        for most in [0.05, 1.0, 100.0] {
            let seen = descend_jointly(Momo::new(most), quadratic(&[1.0, 10.0]), &[3.0, 2.0], 200);
            assert!(seen[199].value < 1e-3 * seen[0].value, "{most}: {}", seen[199].value);
        }
    }
}
