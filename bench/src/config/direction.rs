//! `[direction]`: what steps are taken along.

use ad_core::Real;
use nn::{
    Adagrad, Adam, Clipped, Direction as Proposes, GroupSettings, Grouped, Lion, Momentum, Optimizer, RmsProp, Sgd,
    Split,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

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
    /// β, where the optimizer has one; that of all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// β₁, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta1: Option<f64>,
    /// β₂, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta2: Option<f64>,
    /// ε, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f64>,
    /// λ of weight decay; that of all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// Whether that is added to ω instead of the gradient; that of all by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoupled: Option<bool>,
    /// The factor of the group's learning rate; 0 freezes it.
    #[serde(default = "one")]
    pub scale: f64,
}

impl Settings {
    /// β, β₁, β₂ and ε, where they are set.
    fn coefficients(&self) -> [Option<f64>; 4] {
        [self.beta, self.beta1, self.beta2, self.epsilon]
    }
}

impl Group {
    /// β, β₁, β₂ and ε, where they are the group's own.
    fn coefficients(&self) -> [Option<f64>; 4] {
        [self.beta, self.beta1, self.beta2, self.epsilon]
    }
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

/// The settings that groups have with every optimizer.
const OF_GROUPS: [&str; 4] = ["pattern", "weight_decay", "decoupled", "scale"];

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
        for (i, group) in table.get("groups").and_then(Value::as_array).into_iter().flatten().enumerate() {
            if let Value::Table(group) = group {
                reader.below(&format!("groups[{i}]"), |reader| {
                    reader.only(group, &[own(optimizer), &OF_GROUPS].concat())
                })?;
            }
        }
        let direction = Direction { optimizer, settings: reader.settings(table)? };
        direction.check(reader)?;
        Ok(direction)
    }

    fn check(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        let Settings { clip_norm, clip_value, groups, .. } = &self.settings;
        let check = |key: &str, x: Option<f64>, holds: fn(f64) -> bool, expected: &str| match x {
            Some(x) if !(x.is_finite() && holds(x)) => {
                Err(reader.complaint_at(key, format!("found {x}, expected {expected}")))
            }
            _ => Ok(()),
        };
        let positive = |key: &str, x: Option<f64>| check(key, x, |x| x > 0.0, "a number above 0");
        let from_zero = |key: &str, x: Option<f64>| check(key, x, |x| x >= 0.0, "a number from 0");
        let shared = |place: &str, [beta, beta1, beta2, epsilon]: [Option<f64>; 4], weight_decay| {
            for (name, x) in [("beta", beta), ("beta1", beta1), ("beta2", beta2)] {
                check(&format!("{place}{name}"), x, |x| (0.0..1.0).contains(&x), "a number from 0 to below 1")?;
            }
            positive(&format!("{place}epsilon"), epsilon)?;
            from_zero(&format!("{place}weight_decay"), weight_decay)
        };
        shared("", self.settings.coefficients(), self.settings.weight_decay)?;
        positive("clip_norm", *clip_norm)?;
        positive("clip_value", *clip_value)?;
        for (i, group) in groups.iter().enumerate() {
            shared(&format!("groups[{i}]."), group.coefficients(), group.weight_decay)?;
            from_zero(&format!("groups[{i}].scale"), Some(group.scale))?;
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

    /// The same direction with every setting filled in, but those that groups have of their own.
    pub fn resolved(&self) -> Self {
        let has = |key: &str, x: f64| own(self.optimizer).contains(&key).then_some(x);
        let Coefficients { beta, beta1, beta2, epsilon } = self.coefficients();
        let settings = Settings {
            beta: has("beta", beta),
            beta1: has("beta1", beta1),
            beta2: has("beta2", beta2),
            epsilon: has("epsilon", epsilon),
            weight_decay: Some(self.weight_decay()),
            decoupled: Some(self.is_decoupled()),
            ..self.settings.clone()
        };
        Direction { optimizer: self.optimizer, settings }
    }

    fn is_decoupled(&self) -> bool {
        self.settings.decoupled.unwrap_or(matches!(self.optimizer, Optimizer::AdamW | Optimizer::Lion))
    }

    /// The coefficients where no group has others.
    fn coefficients(&self) -> Coefficients {
        Coefficients::usual(self.optimizer).or(self.settings.coefficients())
    }

    /// The direction before its first step.
    pub fn start<T: Real>(&self) -> Box<dyn Proposes<T>> {
        let inner = self.inner();
        let decays = |lambda: f64, is_decoupled: bool| match is_decoupled {
            true => GroupSettings::default().decoupled_decay(lambda),
            false => GroupSettings::default().coupled_decay(lambda),
        };
        let s = &self.settings;
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

    /// The direction without weight decay, scales and clipping.
    fn inner<T: Real>(&self) -> Box<dyn Proposes<T>> {
        match self.optimizer {
            Optimizer::Sgd => Box::new(Sgd::new()),
            Optimizer::Momentum => self.split(|c| Momentum::new(c.beta)),
            Optimizer::Nesterov => self.split(|c| Momentum::new(c.beta).nesterov()),
            Optimizer::RmsProp => self.split(|c| RmsProp::new(c.beta, c.epsilon)),
            Optimizer::RmsPropCentered => self.split(|c| RmsProp::new(c.beta, c.epsilon).centered()),
            Optimizer::Adagrad => self.split(|c| Adagrad::new(c.epsilon, 0.0)),
            Optimizer::Adam | Optimizer::AdamW => self.split(|c| Adam::new(c.beta1, c.beta2, c.epsilon)),
            Optimizer::AmsGrad => self.split(|c| Adam::new(c.beta1, c.beta2, c.epsilon).amsgrad()),
            Optimizer::Lion => self.split(|c| Lion::new(c.beta1, c.beta2)),
        }
    }

    /// One direction for all, or if groups have coefficients of their own, one for each group.
    fn split<T: Real, D: Proposes<T> + Clone + 'static>(&self, of: impl Fn(Coefficients) -> D) -> Box<dyn Proposes<T>> {
        let (all, groups) = (self.coefficients(), &self.settings.groups);
        let own = |group: &Group| all.or(group.coefficients());
        match groups.iter().any(|group| own(group) != all) {
            false => Box::new(of(all)),
            true => Box::new(groups.iter().fold(Split::new(of(all)), |split, g| split.along(&g.pattern, of(own(g))))),
        }
    }
}

/// The numbers in the formula of an optimizer's ω; each uses some.
#[derive(Clone, Copy, PartialEq)]
struct Coefficients {
    beta: f64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl Coefficients {
    /// Those of an optimizer, where they are not set.
    fn usual(optimizer: Optimizer) -> Self {
        let common = Coefficients { beta: 0.9, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        match optimizer {
            Optimizer::RmsProp | Optimizer::RmsPropCentered => Coefficients { beta: 0.99, ..common },
            Optimizer::Adagrad => Coefficients { epsilon: 1e-10, ..common },
            Optimizer::Lion => Coefficients { beta2: 0.99, ..common },
            _ => common,
        }
    }

    /// These, but for those of β, β₁, β₂ and ε that are given.
    fn or(self, [beta, beta1, beta2, epsilon]: [Option<f64>; 4]) -> Self {
        Coefficients {
            beta: beta.unwrap_or(self.beta),
            beta1: beta1.unwrap_or(self.beta1),
            beta2: beta2.unwrap_or(self.beta2),
            epsilon: epsilon.unwrap_or(self.epsilon),
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

    #[test]
    fn groups_have_coefficients_of_their_own() {
        let text = "beta1 = 0.8
            groups = [{ pattern = \"a*\", beta2 = 0.5, scale = 2.0 }, { pattern = \"*b\" }, { pattern = \"ab\", beta1 = 0.0 }]";
        let settings = toml::from_str(text).unwrap();
        let mut mixed = Direction { optimizer: Optimizer::Adam, settings }.start::<f64>();
        let mut alone = [Adam::new(0.8, 0.5, 1e-8), Adam::new(0.8, 0.999, 1e-8)];
        let names = ["ab", "b"];
        for g in [[3.0, -1.0], [-1.0, 2.0], [0.5, 0.5]] {
            let tree = Params::new(names.into_iter().zip(g.map(Tensor::scalar)));
            let omega = mixed.propose(&tree, &tree);
            for (i, scale) in [2.0, 1.0].into_iter().enumerate() {
                let one = Params::new([(names[i], Tensor::scalar(g[i]))]);
                assert_eq!(omega.get(names[i]).item(), scale * alone[i].propose(&one, &one).get(names[i]).item());
                alone[i].commit(&one, &one);
            }
            mixed.commit(&tree, &tree);
        }
    }
}
