//! Prodigy.

use ad_core::{Params, Real, Tensor};
use nn::{Direction, State, StateError, moved};

use super::trees::{Trees, absolute_sum, pairs, restored, sum};
use super::{Numbers, at_least_one, by_formula, coefficient, inner, positive};
use crate::rule::{Choice, Reason, Rule, Step};

/// Prodigy: Adam whose rate is an estimate d of the distance from the start to the minimum. It owns its direction.
///
/// ```text
///   r ← β₃ r + (d/d₀) λ g·(θ₀ − θ)        s ← β₃ s + (d/d₀) λ g        λ = c₁ d
///   m ← β₁ m + (1 − β₁) d g               v ← β₂ v + (1 − β₂) d² g²
///   d ← max(d, c r/‖s‖₁), from its second growth on by no more than a factor
///   ω = m / (√v + d ε)        α = λ
/// ```
///
/// λ is made of the d before; c₁ is a scale of the rate, 1 unless training is unstable. ω has Adam's moments without the correction for
/// their start, as its authors advise: the sizes of steps come from d. Its direction counts as one without
/// [momentum](Direction::momentum), since no rate is fitted to a batch.
///
/// Cost: none; four arrays for each parameter are kept. Defaults: β₁ = 0.9, β₂ = 0.999, β₃ = √β₂, ε = 10⁻⁸, d₀ = 10⁻⁶, c = 1, growth
/// unlimited, the authors'. Good in place of Adam, with a cosine schedule.
///
/// Source: Mishchenko and Defazio, *Prodigy: an expeditiously adaptive parameter-free learner*, arXiv 2306.06101, and its official code.
#[derive(Clone, Debug)]
pub struct Prodigy<T: Real> {
    betas: [f64; 2],
    beta3: f64,
    epsilon: f64,
    scale: f64,
    first: f64,
    coefficient: f64,
    growth: f64,
    /// d, the greatest estimate so far, and r.
    kept: Numbers<3>,
    /// m, v, s and θ₀.
    trees: Trees<T, 4>,
}

/// What a step makes of the numbers and trees.
struct Next<T: Real> {
    numbers: [f64; 3],
    trees: [Params<Tensor<T>>; 4],
}

impl<T: Real> Default for Prodigy<T> {
    fn default() -> Self {
        Prodigy {
            betas: [0.9, 0.999],
            beta3: 0.999f64.sqrt(),
            epsilon: 1e-8,
            scale: 1.0,
            first: 1e-6,
            coefficient: 1.0,
            growth: f64::INFINITY,
            kept: kept(1e-6),
            trees: Trees::new(["m", "v", "s", "start"]),
        }
    }
}

fn kept(first: f64) -> Numbers<3> {
    Numbers::new([("d", first), ("d_max", first), ("numerator", 0.0)])
}

impl<T: Real> Prodigy<T> {
    /// With these coefficients of the moments; β₃ becomes √β₂.
    ///
    /// # Panics
    /// If one is not within [0, 1).
    #[track_caller]
    pub fn with_betas(self, beta1: f64, beta2: f64) -> Self {
        let betas = [coefficient("β₁", beta1), coefficient("β₂", beta2)];
        Prodigy { betas, beta3: beta2.sqrt(), ..self }
    }

    /// With this ε.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn offset(self, epsilon: f64) -> Self {
        Prodigy { epsilon: positive("ε", epsilon), ..self }
    }

    /// With this factor of the rate.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn scaled(self, scale: f64) -> Self {
        Prodigy { scale: positive("the scale", scale), ..self }
    }

    /// With this first estimate d₀ of the distance, which should be too small rather than too large.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, first: f64) -> Self {
        Prodigy { first: positive("d₀", first), kept: kept(first), ..self }
    }

    /// With this factor c of the estimate: what to tune, if anything, from 0.5 to 2.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn estimating(self, c: f64) -> Self {
        Prodigy { coefficient: positive("c", c), ..self }
    }

    /// Lets d grow by no more than this factor in a step; 1.02 makes a kind of warm-up.
    ///
    /// # Panics
    /// If it is below 1.
    #[track_caller]
    pub fn growing(self, factor: f64) -> Self {
        Prodigy { growth: at_least_one("the growth", factor), ..self }
    }

    /// The rate λ.
    fn rate(&self) -> f64 {
        self.scale * self.kept.now()[0]
    }

    fn next(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Next<T> {
        let [d, most, numerator] = self.kept.now();
        let [m, v, s, start] = self.trees.now(theta);
        let start = if self.trees.kept().is_some() { start } else { theta.clone() };
        let [b1, b2] = self.betas;
        let weight = d / self.first * self.rate();
        let numerator = self.beta3 * numerator + weight * inner(gradient, &moved(&start, 1.0, theta));
        let s = sum(self.beta3, &s, weight, gradient);
        let m = sum(b1, &m, (1.0 - b1) * d, gradient);
        let (old, new) = (T::from_f64(b2), T::from_f64((1.0 - b2) * d * d));
        let v = pairs([&v, gradient], move |v, g| old * v + new * (g * g));
        let length = absolute_sum(&s);
        let estimate = if length > 0.0 { self.coefficient * numerator / length } else { d };
        let most = most.max(estimate);
        let d = if d == self.first { d.max(estimate) } else { d };
        Next { numbers: [most.min(d * self.growth), most, numerator], trees: [m, v, s, start] }
    }
}

impl<T: Real> Direction<T> for Prodigy<T> {
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let Next { numbers: [d, ..], trees: [m, v, ..] } = self.next(theta, gradient);
        let epsilon = T::from_f64(d * self.epsilon);
        pairs([&m, &v], move |m, v| m / (v.sqrt() + epsilon))
    }

    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        let Next { numbers, trees } = self.next(theta, gradient);
        self.kept.propose(Some(numbers));
        self.kept.advance();
        self.trees.set(trees);
    }

    fn state(&self) -> State<T> {
        self.trees.save(self.kept.save(State::default()))
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        (self.kept, self.trees) = restored((self.kept, self.trees.clone()), state, theta)?;
        Ok(())
    }
}

impl<T: Real> Rule<T> for Prodigy<T> {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        let decided = if step.line.num().is_finite() { by_formula(self.rate()) } else { Err(Reason::NonFinite) };
        decided.unwrap_or_else(Choice::fallen)
    }

    fn name(&self) -> &'static str {
        "prodigy"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Mover;
    use crate::rule::testing::{Descent, descend_jointly, distances, quadratic};

    #[test]
    fn d_becomes_the_distance_gone_and_the_rate_follows_a_step_later() {
        // Without averages ω = g/|g| and c r/‖s‖₁ = 4 − x: x is 4, 3, 2, 1, −1, 2, and d after these steps 1, 1, 2, 3, 3, 3.
        let rule = Prodigy::default().with_betas(0.0, 0.0).starting_from(1.0);
        let seen = descend_jointly(rule, quadratic(&[1.0]), &[4.0], 6);
        for (s, (x, alpha)) in
            seen.iter().zip([(4.0, 1.0), (3.0, 1.0), (2.0, 1.0), (1.0, 2.0), (-1.0, 3.0), (2.0, 3.0)])
        {
            approx::assert_relative_eq!(s.x[0], x, max_relative = 1e-6);
            approx::assert_relative_eq!(s.choice.alpha, alpha, max_relative = 1e-6);
        }
    }

    #[test]
    fn the_steps_are_those_of_the_recurrences() {
        const C: [f64; 2] = [1.0, 7.0];
        let (d0, b1, b2, eps) = (0.01f64, 0.9, 0.99, 1e-8);
        let (x0, b3) = ([3.0, -2.0], b2.sqrt());
        let (mut x, mut d, mut most, mut r) = (x0, d0, d0, 0.0);
        let [mut m, mut v, mut s] = [[0.0; 2]; 3];
        let rule = Prodigy::default().with_betas(b1, b2).starting_from(d0);
        for seen in descend_jointly(rule, quadratic(&C), &x0, 40) {
            let lambda = d;
            r *= b3;
            for i in 0..2 {
                approx::assert_relative_eq!(seen.x[i], x[i], max_relative = 1e-9);
                let g = C[i] * x[i];
                r += d / d0 * lambda * g * (x0[i] - x[i]);
                m[i] = b1 * m[i] + (1.0 - b1) * d * g;
                v[i] = b2 * v[i] + (1.0 - b2) * d * d * g * g;
                s[i] = b3 * s[i] + d / d0 * lambda * g;
            }
            let estimate = r / (s[0].abs() + s[1].abs());
            d = if d == d0 { d.max(estimate) } else { d };
            most = estimate.max(most);
            d = most.max(d.min(most));
            for i in 0..2 {
                x[i] -= lambda * m[i] / (v[i].sqrt() + d * eps);
            }
        }
    }

    #[test]
    fn d_grows_to_the_distance() {
        let mut descent = Descent::new(Mover::Joint(Box::new(Prodigy::<f64>::default())), &[5.0, -5.0]);
        descent.steps(&distances, 400);
        let d = descent.number("d");
        assert!(d > 5.0 / 4.0 && d < 5.0 * 2.0, "{d}");
    }
}
