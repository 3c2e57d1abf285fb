//! Directions by name.

use std::fmt;
use std::str::FromStr;

use ad_core::Real;

use super::{Adagrad, Adam, Direction, GroupSettings, Grouped, Lion, Momentum, RmsProp, Sgd};

/// Names, formulas and usual settings: an optimizer is listed here, or has none.
macro_rules! optimizers {
    ($($(#[$doc:meta])* $kind:ident $name:literal: $formula:literal => $start:expr;)*) => {
        /// An optimizer by name, whose [`direction`](Optimizer::direction) has the settings that are usual.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Optimizer {
            $($(#[$doc])* $kind,)*
        }

        impl Optimizer {
            /// Every optimizer.
            pub const ALL: &[Optimizer] = &[$(Optimizer::$kind),*];
            /// The names that can be parsed, in the same order.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The formula of ω without weight decay.
            pub fn formula(self) -> &'static str {
                match self {
                    $(Optimizer::$kind => $formula,)*
                }
            }

            /// The direction without weight decay, before its first step.
            fn start<T: Real>(self) -> Box<dyn Direction<T>> {
                match self {
                    $(Optimizer::$kind => Box::new($start),)*
                }
            }
        }

        impl fmt::Display for Optimizer {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Optimizer::$kind => $name,)*
                })
            }
        }

        impl FromStr for Optimizer {
            type Err = UnknownOptimizer;

            fn from_str(name: &str) -> Result<Self, UnknownOptimizer> {
                match name {
                    $($name => Ok(Optimizer::$kind),)*
                    _ => Err(UnknownOptimizer { found: name.to_string() }),
                }
            }
        }
    };
}

optimizers! {
    /// [`Sgd`].
    Sgd "sgd": "g, the gradient" => Sgd::new();
    /// [`Momentum`] with β = 0.9.
    Momentum "momentum": "m, with m ← 0.9 m + g" => Momentum::new(0.9);
    /// [`Momentum`] with β = 0.9 in Nesterov's form.
    Nesterov "nesterov": "g + 0.9 m, with m ← 0.9 m + g" => Momentum::new(0.9).nesterov();
    /// [`RmsProp`] with β = 0.99 and ε = 10⁻⁸.
    RmsProp "rmsprop": "g / (√v + ε), with v ← 0.99 v + 0.01 g²" => RmsProp::default();
    /// [`RmsProp`] with the same settings, centred.
    RmsPropCentered "rmsprop_centered":
        "g / (√(v − μ²) + ε), with v ← 0.99 v + 0.01 g² and μ ← 0.99 μ + 0.01 g" => RmsProp::default().centered();
    /// [`Adagrad`] with ε = 10⁻¹⁰.
    Adagrad "adagrad": "g / (√s + ε), with s ← s + g²" => Adagrad::default();
    /// [`Adam`] with β₁ = 0.9, β₂ = 0.999 and ε = 10⁻⁸.
    Adam "adam": "m̂ / (√v̂ + ε), Adam's" => Adam::default();
    /// [`Adam`] with the same settings, as AMSGrad.
    AmsGrad "amsgrad": "m̂ / (√v̂ + ε), Adam's with the greatest v so far" => Adam::default().amsgrad();
    /// [`AdamW`](super::AdamW) with the same settings.
    AdamW "adamw": "m̂ / (√v̂ + ε) + λθ, AdamW's" => Adam::default();
    /// [`Lion`] with β₁ = 0.9 and β₂ = 0.99.
    Lion "lion": "sign(0.9 m + 0.1 g), Lion's" => Lion::default();
}

impl Optimizer {
    /// The λ of weight decay that is usual: 0.01 for AdamW, as in PyTorch, and otherwise 0.
    pub fn usual_decay(self) -> f64 {
        if self == Optimizer::AdamW { 0.01 } else { 0.0 }
    }

    /// The direction before its first step, with weight decay λ on all parameters: decoupled for AdamW and Lion, as their
    /// papers have it, and otherwise coupled.
    ///
    /// ```
    /// use nn::{Direction, Optimizer};
    /// let optimizer: Optimizer = "adam".parse()?;
    /// let direction: Box<dyn Direction<f32>> = optimizer.direction(optimizer.usual_decay());
    /// assert_eq!(direction.state().numbers["steps"], 0);
    /// # Ok::<(), nn::UnknownOptimizer>(())
    /// ```
    ///
    /// # Panics
    /// If λ is negative or not finite.
    #[track_caller]
    pub fn direction<T: Real>(self, lambda: f64) -> Box<dyn Direction<T>> {
        let none = GroupSettings::default();
        let is_decoupled = matches!(self, Optimizer::AdamW | Optimizer::Lion);
        let settings = if is_decoupled { none.decoupled_decay(lambda) } else { none.coupled_decay(lambda) };
        Box::new(Grouped::new(self.start(), settings))
    }
}

/// A name that is no optimizer's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("unknown optimizer {found:?}: expected one of {}", Optimizer::NAMES.join(", "))]
pub struct UnknownOptimizer {
    /// The name given.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use ad_core::{Params, Tensor};

    use super::*;

    #[test]
    fn names_round_trip() {
        for (optimizer, name) in Optimizer::ALL.iter().zip(Optimizer::NAMES) {
            assert_eq!((optimizer.to_string().as_str(), name.parse()), (*name, Ok(*optimizer)));
        }
        let message = "newton".parse::<Optimizer>().unwrap_err().to_string();
        assert!(
            message.starts_with("unknown optimizer \"newton\": expected one of sgd, momentum, nesterov, "),
            "{message}"
        );
    }

    #[test]
    fn decay_is_decoupled_where_the_optimizer_means_it_so() {
        let theta = Params::new([("w", Tensor::scalar(3.0f64))]);
        let g = theta.map(|_| Tensor::scalar(0.0));
        for &optimizer in Optimizer::ALL {
            // Without a gradient, decoupled decay is all there is of ω.
            let omega = optimizer.direction(0.5).propose(&theta, &g).get("w").item();
            let decoupled = matches!(optimizer, Optimizer::AdamW | Optimizer::Lion);
            let is_gradient = matches!(optimizer, Optimizer::Sgd | Optimizer::Momentum);
            assert_eq!(omega == 1.5, decoupled || is_gradient, "{optimizer}: {omega}");
        }
        assert_eq!(Optimizer::AdamW.usual_decay(), 0.01);
    }
}
