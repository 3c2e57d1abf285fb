//! `[direction]`: what steps are taken along.

use ad_core::Real;
use nn::{
    Adagrad, Adam, Clipped, Direction as Proposes, GroupSettings, Grouped, Lion, Momentum, Optimizer, RmsProp, Sgd,
};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::by_name;
use super::error::ConfigError;
use super::read::Reader;

/// The optimizer along whose direction steps are taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Direction {
    /// The optimizer.
    #[serde(rename = "kind", serialize_with = "by_name")]
    pub optimizer: Optimizer,
    /// Its settings.
    #[serde(flatten)]
    pub settings: Settings,
}

/// What may be set; what is not has the value that is usual for the optimizer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// β of momentum, nesterov and rmsprop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// β₁ of adam, amsgrad, adamw and lion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// β₂ of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// ε of rmsprop, adagrad, adam, amsgrad and adamw.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// λ of weight decay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether weight decay is added to ω instead of the gradient; so by default for adamw and lion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoupled: Option<bool>,
    /// The greatest norm of the gradient; a longer one is shortened to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// The greatest magnitude of a gradient's element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<f64>,
    /// Groups of parameters with settings of their own; a parameter belongs to the first that its name fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

/// A group of parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Names of the parameters, with `*` for any characters.
    pub pattern: String,
    /// λ of weight decay; that of all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether that is added to ω instead of the gradient; as for all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoupled: Option<bool>,
    /// The factor of the group's learning rate; 0 freezes it.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

impl From<Optimizer> for Direction {
    fn from(optimizer: Optimizer) -> Self {
        Direction { optimizer, settings: Settings::default() }
    }
}

/// The settings that directions of every kind have.
const COMMON: [&str; 5] = ["weight_decay", "decoupled", "clip_norm", "clip_value", "groups"];

/// The settings of an optimizer's own.
fn own(optimizer: Optimizer) -> &'static [&'static str] {
    match optimizer {
        Optimizer::Sgd => &[],
        Optimizer::Momentum | Optimizer::Nesterov => &["beta"],
        Optimizer::RmsProp | Optimizer::RmsPropCentered => &["beta", "epsilon"],
        Optimizer::Adagrad => &["epsilon"],
        Optimizer::Adam | Optimizer::AmsGrad | Optimizer::AdamW => &["beta1", "beta2", "epsilon"],
        Optimizer::Lion => &["beta1", "beta2"],
    }
}

impl Direction {
    pub(super) fn read(mut table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
        let kind = reader.kind(&mut table, "kind", Optimizer::NAMES, Some("sgd"))?;
        let optimizer: Optimizer = kind.parse().expect("a listed optimizer");
        reader.only(&table, &[own(optimizer), &COMMON, &["kind"]].concat())?;
        let direction = Direction { optimizer, settings: reader.settings(table)? };
        direction.check(reader)?;
        Ok(direction)
    }

    fn check(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        let Settings { beta, beta1, beta2, epsilon, weight_decay, clip_norm, clip_value, groups, .. } = &self.settings;
        let check = |key: &str, x: Option<f64>, holds: fn(f64) -> bool, expected: &str| match x {
            Some(x) if !(x.is_finite() && holds(x)) => {
                Err(reader.complaint_at(key, format!("found {x}, expected {expected}")))
            }
            _ => Ok(()),
        };
        for (key, x) in [("beta", beta), ("beta1", beta1), ("beta2", beta2)] {
            check(key, *x, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")?;
        }
        for (key, x) in [("epsilon", epsilon), ("clip_norm", clip_norm), ("clip_value", clip_value)] {
            check(key, *x, |x| x > 0.0, "a number above 0")?;
        }
        check("weight_decay", *weight_decay, |x| x >= 0.0, "a number from 0")?;
        for (i, group) in groups.iter().enumerate() {
            let key = |name: &str| format!("groups[{i}].{name}");
            check(&key("weight_decay"), group.weight_decay, |x| x >= 0.0, "a number from 0")?;
            check(&key("scale"), Some(group.scale), |x| x >= 0.0, "a number from 0")?;
        }
        if clip_norm.is_some() && clip_value.is_some() {
            return Err(reader.complaint_at("clip_value", "found beside clip_norm, expected one of them"));
        }
        Ok(())
    }

    /// λ of weight decay, where no group has another.
    pub fn weight_decay(&self) -> f64 {
        self.settings.weight_decay.unwrap_or(self.optimizer.usual_decay())
    }

    /// The same direction with every setting filled in.
    pub fn resolved(&self) -> Self {
        let has = |key: &str| own(self.optimizer).contains(&key);
        let s = self.settings.clone();
        let (beta, beta1, beta2, epsilon) = self.usual();
        let settings = Settings {
            beta: s.beta.or(has("beta").then_some(beta)),
            beta1: s.beta1.or(has("beta1").then_some(beta1)),
            beta2: s.beta2.or(has("beta2").then_some(beta2)),
            epsilon: s.epsilon.or(has("epsilon").then_some(epsilon)),
            weight_decay: Some(self.weight_decay()),
            decoupled: Some(self.is_decoupled()),
            ..s
        };
        Direction { optimizer: self.optimizer, settings }
    }

    fn is_decoupled(&self) -> bool {
        self.settings.decoupled.unwrap_or(matches!(self.optimizer, Optimizer::AdamW | Optimizer::Lion))
    }

    /// β, β₁, β₂ and ε where they are not set.
    fn usual(&self) -> (f64, f64, f64, f64) {
        match self.optimizer {
            Optimizer::RmsProp | Optimizer::RmsPropCentered => (0.99, 0.9, 0.999, 1e-8),
            Optimizer::Adagrad => (0.9, 0.9, 0.999, 1e-10),
            Optimizer::Lion => (0.9, 0.9, 0.99, 1e-8),
            _ => (0.9, 0.9, 0.999, 1e-8),
        }
    }

    /// The direction before its first step.
    pub fn start<T: Real>(&self) -> Box<dyn Proposes<T>> {
        let (beta, beta1, beta2, epsilon) = self.usual();
        let s = &self.settings;
        let (beta, epsilon) = (s.beta.unwrap_or(beta), s.epsilon.unwrap_or(epsilon));
        let (beta1, beta2) = (s.beta1.unwrap_or(beta1), s.beta2.unwrap_or(beta2));
        let inner: Box<dyn Proposes<T>> = match self.optimizer {
            Optimizer::Sgd => Box::new(Sgd::new()),
            Optimizer::Momentum => Box::new(Momentum::new(beta)),
            Optimizer::Nesterov => Box::new(Momentum::new(beta).nesterov()),
            Optimizer::RmsProp => Box::new(RmsProp::new(beta, epsilon)),
            Optimizer::RmsPropCentered => Box::new(RmsProp::new(beta, epsilon).centered()),
            Optimizer::Adagrad => Box::new(Adagrad::new(epsilon, 0.0)),
            Optimizer::Adam | Optimizer::AdamW => Box::new(Adam::new(beta1, beta2, epsilon)),
            Optimizer::AmsGrad => Box::new(Adam::new(beta1, beta2, epsilon).amsgrad()),
            Optimizer::Lion => Box::new(Lion::new(beta1, beta2)),
        };
        let decays = |lambda: f64, is_decoupled: bool| match is_decoupled {
            true => GroupSettings::default().decoupled_decay(lambda),
            false => GroupSettings::default().coupled_decay(lambda),
        };
        let grouped = s.groups.iter().fold(
            Grouped::new(inner, decays(self.weight_decay(), self.is_decoupled())),
            |all, group| {
                let lambda = group.weight_decay.unwrap_or(self.weight_decay());
                let is_decoupled = group.decoupled.unwrap_or(self.is_decoupled());
                all.group(&group.pattern, decays(lambda, is_decoupled).scale(group.scale))
            },
        );
        match (s.clip_norm, s.clip_value) {
            (Some(limit), _) => Box::new(Clipped::by_norm(grouped, limit)),
            (_, Some(limit)) => Box::new(Clipped::by_value(grouped, limit)),
            _ => Box::new(grouped),
        }
    }
}

#[cfg(test)]
mod tests {
    use ad_core::{Params, Tensor};

    use super::*;

    #[test]
    fn what_is_not_set_is_usual() {
        // The optimizer's own idea of what is usual is in nn: three steps of both agree.
        for &optimizer in Optimizer::ALL {
            let mut mine = Direction::from(optimizer).resolved().start::<f64>();
            let mut usual = optimizer.direction::<f64>(optimizer.usual_decay());
            let mut theta = Params::new([("w", Tensor::from_vec(&[2], vec![3.0, -1.0]))]);
            for _ in 0..3 {
                let g = theta.map(|w| Tensor::from_fn(&[2], |i| w.data()[i].sin() + 0.1 * i as f64));
                assert_eq!(mine.propose(&theta, &g).arrays(), usual.propose(&theta, &g).arrays(), "{optimizer}");
                mine.commit(&theta, &g);
                usual.commit(&theta, &g);
                theta = theta.zip(&g, |w, g| w.plus_scaled(-0.1, g));
            }
        }
    }
}
