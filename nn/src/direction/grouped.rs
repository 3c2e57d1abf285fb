//! Weight decay, and groups of parameters with settings of their own.

use ad_core::{Multiple, Params, Real, Tensor};

use super::memory::zeros;
use super::pattern::fits;
use super::{Direction, State, StateError};

/// What a group of parameters has of its own.
///
/// ```
/// use nn::GroupSettings;
/// let frozen = GroupSettings::default().scale(0.0);
/// assert_eq!(frozen, GroupSettings { coupled_decay: 0.0, decoupled_decay: 0.0, scale: 0.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupSettings {
    /// λ of the weight decay λθ that is added to the gradient, and so goes through the direction's averages: the gradient of
    /// (λ/2)‖θ‖². PyTorch's `weight_decay`, except with AdamW.
    pub coupled_decay: f64,
    /// λ of the weight decay λθ that is added to ω. PyTorch's `weight_decay` with AdamW.
    pub decoupled_decay: f64,
    /// The factor of ω, decoupled decay included: the group's learning rate is α times that. 0 freezes the group.
    pub scale: f64,
}

impl Default for GroupSettings {
    /// No decay, and ω as it is.
    fn default() -> Self {
        GroupSettings { coupled_decay: 0.0, decoupled_decay: 0.0, scale: 1.0 }
    }
}

impl GroupSettings {
    /// The same settings with this λ of coupled weight decay.
    pub fn coupled_decay(self, lambda: f64) -> Self {
        GroupSettings { coupled_decay: lambda, ..self }
    }

    /// The same settings with this λ of decoupled weight decay.
    pub fn decoupled_decay(self, lambda: f64) -> Self {
        GroupSettings { decoupled_decay: lambda, ..self }
    }

    /// The same settings with this factor of ω.
    pub fn scale(self, scale: f64) -> Self {
        GroupSettings { scale, ..self }
    }

    #[track_caller]
    fn checked(self) -> Self {
        let GroupSettings { coupled_decay, decoupled_decay, scale } = self;
        for (what, x) in [("coupled decay", coupled_decay), ("decoupled decay", decoupled_decay), ("scale", scale)] {
            assert!(x.is_finite() && x >= 0.0, "{what} must be finite and ≥ 0, not {x}");
        }
        self
    }

    fn is_frozen(self) -> bool {
        self.scale == 0.0
    }
}

/// A direction with weight decay and parameter groups: with ω(g) that of the inner direction, a parameter moves along
/// s (ω(g + λ₁θ) + λ₂θ), with coupled decay λ₁, decoupled decay λ₂ and scale s by its group.
///
/// A frozen parameter, s = 0, rests, and the inner direction takes its gradient for 0. The state is the inner direction's.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, GroupSettings, Grouped, Sgd};
/// let names = ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"];
/// let theta = Params::new(names.map(|name| (name, Tensor::scalar(2.0))));
/// let g = theta.map(|_| Tensor::scalar(1.0));
/// let direction = Grouped::new(Sgd::new(), GroupSettings::default().coupled_decay(0.1))
///     .group("layers.0.*", GroupSettings::default().scale(0.0))
///     .group("*.bias", GroupSettings::default());
/// let omega = direction.propose(&theta, &g);
/// assert_eq!(omega.arrays().iter().map(|o| o.item()).collect::<Vec<_>>(), [0.0, 0.0, 1.2, 1.0]);
/// ```
#[derive(Clone, Debug)]
pub struct Grouped<D> {
    inner: D,
    /// Of the parameters that are in no group.
    others: GroupSettings,
    /// Pattern and settings of each group.
    groups: Vec<(String, GroupSettings)>,
}

impl<D> Grouped<D> {
    /// A direction with these settings for all parameters that no [`group`](Grouped::group) takes.
    ///
    /// # Panics
    /// If a setting is negative or not finite.
    #[track_caller]
    pub fn new(inner: D, settings: GroupSettings) -> Self {
        Grouped { inner, others: settings.checked(), groups: Vec::new() }
    }

    /// Makes a group of the parameters whose name fits a pattern, in which `*` stands for any characters, such as `*.bias` or
    /// `layers.0.*`. A parameter belongs to the first group that it fits.
    ///
    /// # Panics
    /// If a setting is negative or not finite.
    #[track_caller]
    pub fn group(mut self, pattern: &str, settings: GroupSettings) -> Self {
        self.groups.push((pattern.to_string(), settings.checked()));
        self
    }

    /// The settings of a parameter.
    pub fn settings(&self, name: &str) -> GroupSettings {
        self.groups.iter().find(|(pattern, _)| fits(pattern, name)).map_or(self.others, |(_, settings)| *settings)
    }

    /// Whether ω is that of the inner direction, of the gradient as it is, for every parameter.
    fn leaves_alone(&self) -> bool {
        self.groups.is_empty() && self.others == GroupSettings::default()
    }

    /// The gradient that the inner direction sees.
    #[track_caller]
    fn decayed<T: Real>(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let mut names = theta.names().iter();
        theta.zip(gradient, |w, g| {
            let settings = self.settings(names.next().expect("a name for each parameter"));
            match settings.coupled_decay {
                _ if settings.is_frozen() => zeros(g),
                0.0 => g.clone(),
                lambda => g.plus_scaled(lambda, w),
            }
        })
    }
}

impl<T: Real, D: Direction<T>> Direction<T> for Grouped<D> {
    #[track_caller]
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        if self.leaves_alone() {
            return self.inner.propose(theta, gradient);
        }
        let omega = self.inner.propose(theta, &self.decayed(theta, gradient));
        let mut names = theta.names().iter();
        theta.zip(&omega, |w, o| {
            let settings = self.settings(names.next().expect("a name for each parameter"));
            match (settings.decoupled_decay, settings.scale) {
                _ if settings.is_frozen() => zeros(o),
                (0.0, 1.0) => o.clone(),
                (0.0, s) => o.scaled(s),
                (lambda, s) => {
                    let (lambda, s) = (T::from_f64(lambda), T::from_f64(s));
                    o.combined(w, move |o, w| s * (o + lambda * w))
                }
            }
        })
    }

    #[track_caller]
    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.inner.commit(theta, &self.decayed(theta, gradient));
    }

    fn multiple(&self, name: &str) -> Option<Multiple> {
        let settings = self.settings(name);
        let GroupSettings { coupled_decay, decoupled_decay, scale } = settings;
        if settings.is_frozen() {
            return Some(Multiple { adjoint: 0.0, value: 0.0 });
        }
        self.inner.multiple(name).map(|Multiple { adjoint, value }| Multiple {
            adjoint: scale * adjoint,
            value: scale * (adjoint * coupled_decay + value + decoupled_decay),
        })
    }

    fn momentum(&self) -> f64 {
        self.inner.momentum()
    }

    /// Those of the parameters in no group, then those of the groups in their order.
    fn scales(&self) -> Vec<f64> {
        [self.others.scale].into_iter().chain(self.groups.iter().map(|(_, settings)| settings.scale)).collect()
    }

    fn state(&self) -> State<T> {
        self.inner.state()
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.inner.restore(state, theta)
    }
}
