//! The directions that GeN is timed along.

use ad_core::Real;
use clap::ValueEnum;
use nn::{Adam, Direction, Momentum, Sgd};
use serde::Serialize;

/// The optimizer whose direction ω GeN is computed along, with the settings that are usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DirectionName {
    /// The gradient
    Sgd,
    /// The gradient with momentum, β = 0.9
    Momentum,
    /// Adam with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8
    Adam,
}

impl DirectionName {
    /// The name by which `--direction` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            DirectionName::Sgd => "sgd",
            DirectionName::Momentum => "momentum",
            DirectionName::Adam => "adam",
        }
    }

    /// The formula of ω as [`measure`](super::measure()) sets it up, and what is in it.
    pub fn meaning(self) -> &'static str {
        match self {
            DirectionName::Sgd => "g, the gradient",
            DirectionName::Momentum => "g + 0.9 m, with g the gradient and m that on the other set",
            DirectionName::Adam => "m̂ / (√v̂ + ε), Adam's after one step on the other set",
        }
    }

    /// The direction before its first step.
    pub(super) fn start<T: Real>(self) -> Box<dyn Direction<T>> {
        match self {
            DirectionName::Sgd => Box::new(Sgd::new()),
            DirectionName::Momentum => Box::new(Momentum::new(0.9)),
            DirectionName::Adam => Box::new(Adam::default()),
        }
    }
}
