//! D-Adaptation for Adam.

use ad_core::{Params, Real, Tensor};
use nn::{Direction, State, StateError};

use super::{Settings, chosen};
use crate::rule::rivals::trees::{Trees, absolute_sum, pairs, restored, sum};
use crate::rule::rivals::{Numbers, at_least_one, coefficient, inner, positive};
use crate::rule::{Choice, Rule, Step};

/// D-Adaptation for Adam: the rate is an estimate d of the distance from the start to the minimum. It owns its direction, Adam's.
///
/// ```text
///   λ = c d        m ← β₁ m + (1 − β₁) λ g        v ← β₂ v + (1 − β₂) g²        a = √v + ε        ω = m/(λ a), α = λ
///   s ← β₂ s + (1 − β₂) λ g        w ← β₂ w + (1 − β₂) λ² g·g/a
///   d ← max(d, (s·s/a / (1 − β₂) − w) / ‖s‖₁), growing by no more than a factor
/// ```
///
/// Adam's moments are without the correction for their start. c is a scale of the rate. Where a wrapper changes the rate, m, s and w are
/// of the rate used. Its direction counts as one without [momentum](Direction::momentum), since no rate is fitted to a batch.
///
/// Cost: none; three arrays for each parameter are kept. Defaults: c = 1, β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, d from d₀ = 10⁻⁶, growth
/// unlimited, the authors'; with this β₁ d may come to be several times the distance. [`Prodigy`](crate::rivals::Prodigy) is its successor, with a faster estimate.
///
/// Source: Defazio and Mishchenko, *Learning-rate-free learning by D-Adaptation*, arXiv 2301.07733, and its official code, `DAdaptAdam`.
#[derive(Clone, Debug)]
pub struct DAdaptedAdam<T: Real> {
    settings: Settings,
    betas: [f64; 2],
    epsilon: f64,
    /// d and w.
    kept: Numbers<2>,
    /// m, v and s.
    trees: Trees<T, 3>,
    committed: Option<Params<Tensor<T>>>,
}

impl<T: Real> Default for DAdaptedAdam<T> {
    fn default() -> Self {
        let (kept, trees) = (adam_kept(1e-6), Trees::new(["m", "v", "s"]));
        DAdaptedAdam { settings: Settings::DEFAULT, betas: [0.9, 0.999], epsilon: 1e-8, kept, trees, committed: None }
    }
}

fn adam_kept(first: f64) -> Numbers<2> {
    Numbers::new([("d", first), ("squares", 0.0)])
}

impl<T: Real> DAdaptedAdam<T> {
    /// With these coefficients of the moments.
    ///
    /// # Panics
    /// If one is not within [0, 1).
    #[track_caller]
    pub fn with_betas(self, beta1: f64, beta2: f64) -> Self {
        DAdaptedAdam { betas: [coefficient("β₁", beta1), coefficient("β₂", beta2)], ..self }
    }

    /// With this ε.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn offset(self, epsilon: f64) -> Self {
        DAdaptedAdam { epsilon: positive("ε", epsilon), ..self }
    }

    /// With this first estimate d₀ of the distance, which should be too small rather than too large.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, first: f64) -> Self {
        DAdaptedAdam { kept: adam_kept(positive("d₀", first)), ..self }
    }

    /// With this factor c of the rate.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn scaled(self, scale: f64) -> Self {
        let settings = Settings { scale: positive("the scale", scale), ..self.settings };
        DAdaptedAdam { settings, ..self }
    }

    /// Lets d grow by no more than this factor in a step; 1.02 makes a kind of warm-up.
    ///
    /// # Panics
    /// If it is below 1.
    #[track_caller]
    pub fn growing(self, factor: f64) -> Self {
        let settings = Settings { growth: at_least_one("the growth", factor), ..self.settings };
        DAdaptedAdam { settings, ..self }
    }

    fn rate(&self) -> f64 {
        self.settings.scale * self.kept.now()[0]
    }

    /// m and v after one more gradient at this rate.
    fn moments(&self, rate: f64, gradient: &Params<Tensor<T>>) -> [Params<Tensor<T>>; 2] {
        let [m, v, _] = self.trees.now(gradient);
        let [b1, b2] = self.betas;
        let [old, new] = [b2, 1.0 - b2].map(T::from_f64);
        [sum(b1, &m, (1.0 - b1) * rate, gradient), pairs([&v, gradient], move |v, g| old * v + new * (g * g))]
    }

    /// x/a with these second moments.
    fn over_a(&self, x: &Params<Tensor<T>>, v: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let epsilon = T::from_f64(self.epsilon);
        pairs([x, v], move |x, v| x / (v.sqrt() + epsilon))
    }

    fn advance(&mut self, alpha: f64, gradient: &Params<Tensor<T>>) {
        let [d, squares] = self.kept.now();
        let [_, _, s] = self.trees.now(gradient);
        let [m, v] = self.moments(alpha, gradient);
        let (beta, share) = (self.betas[1], 1.0 - self.betas[1]);
        let s = sum(beta, &s, share * alpha, gradient);
        let squares = beta * squares + share * alpha * alpha * inner(gradient, &self.over_a(gradient, &v));
        let estimate = (inner(&s, &self.over_a(&s, &v)) / share - squares) / absolute_sum(&s);
        self.kept.propose(Some([self.settings.grown(d, estimate), squares]));
        self.kept.advance();
        self.trees.set([m, v, s]);
    }
}

impl<T: Real> Direction<T> for DAdaptedAdam<T> {
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let rate = self.rate();
        let [m, v] = self.moments(rate, gradient);
        self.over_a(&m, &v).map(|x| x.scaled(1.0 / rate))
    }

    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.committed = Some(gradient.clone());
    }

    fn state(&self) -> State<T> {
        self.trees.save(self.kept.save(State::default()))
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        (self.kept, self.trees) = restored((self.kept, self.trees.clone()), state, theta)?;
        Ok(())
    }
}

impl<T: Real> Rule<T> for DAdaptedAdam<T> {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        chosen(step, self.rate())
    }

    fn taken(&mut self, alpha: f64) {
        if let Some(gradient) = self.committed.take() {
            self.advance(alpha, &gradient);
        }
    }

    fn forget(&mut self) {
        self.committed = None;
    }

    fn name(&self) -> &'static str {
        "d_adapted_adam"
    }
}
