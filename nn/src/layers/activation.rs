//! Activation functions by name.

use std::fmt;
use std::str::FromStr;

use ad_core::{Array, Ops};

use crate::module::{Architecture, Declarations, Module, Scope};

/// An elementwise activation. At kinks its derivative is that of the primitive: 0 for ReLU at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// x.
    Identity,
    /// max(x, 0).
    Relu,
    /// x where x > 0, else slope·x.
    LeakyRelu {
        /// The slope on the negative side; by name 0.01, as in PyTorch.
        slope: f64,
    },
    /// x where x > 0, else α(eˣ − 1).
    Elu {
        /// By name 1.
        alpha: f64,
    },
    /// Hyperbolic tangent.
    Tanh,
    /// 1/(1 + e⁻ˣ).
    Sigmoid,
    /// log(1 + eˣ).
    Softplus,
    /// x Φ(x), by the error function.
    Gelu,
    /// GELU's tanh form.
    GeluTanh,
    /// x σ(x).
    Silu,
}

/// Names: an activation that is not listed does not compile, as its name is not known.
macro_rules! named {
    ($($name:literal: $kind:pat => $by_name:expr;)*) => {
        /// The activations by name.
        const NAMED: &[(&str, Activation)] = &[$(($name, $by_name)),*];

        impl fmt::Display for Activation {
            /// The name alone: settings are left out.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($kind => $name,)*
                })
            }
        }
    };
}

named! {
    "identity": Activation::Identity => Activation::Identity;
    "relu": Activation::Relu => Activation::Relu;
    "leaky_relu": Activation::LeakyRelu { .. } => Activation::LeakyRelu { slope: 0.01 };
    "elu": Activation::Elu { .. } => Activation::Elu { alpha: 1.0 };
    "tanh": Activation::Tanh => Activation::Tanh;
    "sigmoid": Activation::Sigmoid => Activation::Sigmoid;
    "softplus": Activation::Softplus => Activation::Softplus;
    "gelu": Activation::Gelu => Activation::Gelu;
    "gelu_tanh": Activation::GeluTanh => Activation::GeluTanh;
    "silu": Activation::Silu => Activation::Silu;
}

impl Activation {
    /// The function, element by element.
    pub fn apply<A: Array>(self, x: &A) -> A {
        match self {
            Activation::Identity => x.clone(),
            Activation::Relu => x.relu(),
            Activation::LeakyRelu { slope } => x.leaky_relu(slope),
            Activation::Elu { alpha } => x.elu(alpha),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::Softplus => x.softplus(),
            Activation::Gelu => x.gelu(),
            Activation::GeluTanh => x.gelu_tanh(),
            Activation::Silu => x.silu(),
        }
    }

    /// The factor on 1/√in that keeps the size of activations from layer to layer: √2 for the ReLU family (He et al.,
    /// arXiv 1502.01852), 5/3 for tanh as in PyTorch, else 1.
    pub fn gain(self) -> f64 {
        match self {
            Activation::Relu | Activation::Elu { .. } | Activation::Gelu | Activation::GeluTanh | Activation::Silu => {
                2f64.sqrt()
            }
            Activation::LeakyRelu { slope } => (2.0 / (1.0 + slope * slope)).sqrt(),
            Activation::Tanh => 5.0 / 3.0,
            Activation::Identity | Activation::Sigmoid | Activation::Softplus => 1.0,
        }
    }

    /// The names that can be parsed.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMED.iter().map(|(name, _)| *name)
    }
}

impl FromStr for Activation {
    type Err = UnknownActivation;

    fn from_str(name: &str) -> Result<Self, UnknownActivation> {
        let known = NAMED.iter().find(|(n, _)| *n == name);
        known.map(|(_, activation)| *activation).ok_or_else(|| UnknownActivation { found: name.to_string() })
    }
}

/// A name that is no activation's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("unknown activation {found:?}: expected one of {}", Activation::names().collect::<Vec<_>>().join(", "))]
pub struct UnknownActivation {
    /// The name given.
    pub found: String,
}

impl Architecture for Activation {
    fn declare(&self, _to: &mut Declarations<'_>) {}
}

impl<A: Array> Module<A> for Activation {
    fn forward(&self, _p: &Scope<'_, A>, x: &A) -> A {
        self.apply(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for (name, activation) in NAMED {
            assert_eq!(name.parse(), Ok(*activation));
            assert_eq!(activation.to_string(), *name);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let message = "rleu".parse::<Activation>().unwrap_err().to_string();
        assert!(message.starts_with("unknown activation \"rleu\": expected one of identity, relu, "), "{message}");
    }
}
