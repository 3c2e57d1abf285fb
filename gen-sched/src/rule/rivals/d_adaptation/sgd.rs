//! D-Adaptation for gradient descent.

use ad_core::{Params, Real, Tensor};
use nn::{Direction, State, StateError};

use super::{Settings, chosen};
use crate::rule::rivals::trees::{Trees, restored, sum};
use crate::rule::rivals::{Numbers, at_least_one, coefficient, inner, positive};
use crate::rule::{Choice, Rule, Step};

/// What a step that is committed goes by, until it is known at which rate.
#[derive(Clone, Debug)]
struct Committed<T: Real> {
    gradient: Params<Tensor<T>>,
    omega: Params<Tensor<T>>,
}

/// D-Adaptation for gradient descent: the rate is a lower estimate d of the distance from the start to the minimum, over the length of the
/// first gradient. It owns its direction, the gradient with momentum.
///
/// ```text
///   λ = c d/‖g₀‖        z ← z − λ g from θ₀        θ ← β θ + (1 − β) z        hence ω = (1 − β)((θ − z)/λ + g), α = λ
///   s ← s + λ g        w ← w + λ²‖g‖²        d ← max(d, (‖s‖² − w)/‖s‖), growing by no more than a factor
/// ```
///
/// For a convex loss and β = 0, half of (‖s‖² − w)/‖s‖ never exceeds the distance; the authors' code leaves the half out, and so does
/// this. c is a scale of the rate. Where a wrapper changes the rate, s, w and z are of the rate used. Its direction counts as one without
/// [momentum](Direction::momentum), as θ is an average of z.
///
/// Cost: none; two arrays for each parameter are kept. Defaults: c = 1, β = 0, d from d₀ = 10⁻⁶, growth unlimited, those of the code.
/// Good for convex losses; d never shrinks, so that one bad batch may end a training, and with β = 0.9 it may be several times the distance.
///
/// Source: Defazio and Mishchenko, *Learning-rate-free learning by D-Adaptation*, arXiv 2301.07733, and its official code, `DAdaptSGD`.
#[derive(Clone, Debug)]
pub struct DAdaptedSgd<T: Real> {
    settings: Settings,
    beta: f64,
    /// d, ‖g₀‖ (0 before the first step) and w.
    kept: Numbers<3>,
    /// s, and θ − z.
    trees: Trees<T, 2>,
    committed: Option<Committed<T>>,
}

impl<T: Real> Default for DAdaptedSgd<T> {
    fn default() -> Self {
        let trees = Trees::new(["s", "lag"]);
        DAdaptedSgd { settings: Settings::DEFAULT, beta: 0.0, kept: sgd_kept(1e-6), trees, committed: None }
    }
}

fn sgd_kept(first: f64) -> Numbers<3> {
    Numbers::new([("d", first), ("first_length", 0.0), ("squares", 0.0)])
}

impl<T: Real> DAdaptedSgd<T> {
    /// With this momentum β; with 0 the direction is the gradient.
    ///
    /// # Panics
    /// If it is not within [0, 1).
    #[track_caller]
    pub fn with_momentum(self, beta: f64) -> Self {
        DAdaptedSgd { beta: coefficient("β", beta), ..self }
    }

    /// With this first estimate d₀ of the distance, which should be too small rather than too large.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn starting_from(self, first: f64) -> Self {
        DAdaptedSgd { kept: sgd_kept(positive("d₀", first)), ..self }
    }

    /// With this factor c of the rate.
    ///
    /// # Panics
    /// If it is not positive and finite.
    #[track_caller]
    pub fn scaled(self, scale: f64) -> Self {
        let settings = Settings { scale: positive("the scale", scale), ..self.settings };
        DAdaptedSgd { settings, ..self }
    }

    /// Lets d grow by no more than this factor in a step; 1.02 makes a kind of warm-up.
    ///
    /// # Panics
    /// If it is below 1.
    #[track_caller]
    pub fn growing(self, factor: f64) -> Self {
        let settings = Settings { growth: at_least_one("the growth", factor), ..self.settings };
        DAdaptedSgd { settings, ..self }
    }

    /// ‖g₀‖, where this may be g₀.
    fn first_length(&self, gradient: &Params<Tensor<T>>) -> f64 {
        let [_, length, _] = self.kept.now();
        if length > 0.0 { length } else { inner(gradient, gradient).sqrt() }
    }

    /// The rate λ; infinite where there is no gradient yet.
    fn rate(&self, gradient: &Params<Tensor<T>>) -> f64 {
        self.settings.scale * self.kept.now()[0] / self.first_length(gradient)
    }

    fn advance(&mut self, alpha: f64, Committed { gradient, omega }: Committed<T>) {
        let [d, _, squares] = self.kept.now();
        let [s, _] = self.trees.now(&gradient);
        let s = sum(1.0, &s, alpha, &gradient);
        let squares = squares + alpha * alpha * inner(&gradient, &gradient);
        let length = inner(&s, &s);
        let d = self.settings.grown(d, (length - squares) / length.sqrt());
        self.kept.propose(Some([d, self.first_length(&gradient), squares]));
        self.kept.advance();
        // θ − z shrinks by the share that θ goes of the way to z.
        let lag = omega.map(|omega| omega.scaled(alpha * self.beta / (1.0 - self.beta)));
        self.trees.set([s, lag]);
    }
}

impl<T: Real> Direction<T> for DAdaptedSgd<T> {
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let share = 1.0 - self.beta;
        match self.trees.kept() {
            Some([_, lag]) if self.beta > 0.0 => sum(share / self.rate(gradient), lag, share, gradient),
            _ => gradient.map(|g| g.scaled(share)),
        }
    }

    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.committed = Some(Committed { gradient: gradient.clone(), omega: self.propose(theta, gradient) });
    }

    fn state(&self) -> State<T> {
        self.trees.save(self.kept.save(State::default()))
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        (self.kept, self.trees) = restored((self.kept, self.trees.clone()), state, theta)?;
        Ok(())
    }
}

impl<T: Real> Rule<T> for DAdaptedSgd<T> {
    fn choose(&mut self, step: &mut Step<'_, T>) -> Choice {
        chosen(step, self.rate(step.gradient))
    }

    fn taken(&mut self, alpha: f64) {
        if let Some(committed) = self.committed.take() {
            self.advance(alpha, committed);
        }
    }

    fn forget(&mut self) {
        self.committed = None;
    }

    fn name(&self) -> &'static str {
        "d_adapted_sgd"
    }
}
