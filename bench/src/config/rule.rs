//! `[rule]`: how far a step goes.

use ad_core::Real;
use gen_sched::{ApproximateGen, Constant, DEFAULT_RATE, ExactGen, Policy};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::error::ConfigError;
use super::read::Reader;

/// A learning-rate rule with every parameter settled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Rule {
    /// α = num/den from exact derivatives.
    Exact(GenParameters),
    /// α from the loss at three points.
    Approx(GenParameters),
    /// The same α at every step.
    Constant {
        /// The rate.
        lr: f64,
    },
}

/// Parameters of both forms of GeN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GenParameters {
    /// The least rate, 0 for none.
    pub lr_min: f64,
    /// The greatest rate, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr_max: Option<f64>,
    /// The rate where the rule does not apply.
    pub default_lr: f64,
    /// The moving average's coefficient, 0 ≤ γ < 1.
    pub gamma: f64,
    /// Steps from one choice to the next (Φ), at least 1.
    pub every: usize,
    /// Whether rates are held back along momentum ([`Policy::is_cautious`]).
    pub cautious: bool,
}

impl GenParameters {
    /// The usual ones, with this γ.
    pub fn with_gamma(gamma: f64) -> Self {
        GenParameters { lr_min: 0.0, lr_max: None, default_lr: DEFAULT_RATE, gamma, every: 1, cautious: true }
    }
}

/// γ of approximate GeN where it is not set.
pub const APPROXIMATE_GAMMA: f64 = 0.9;

impl Default for Rule {
    fn default() -> Self {
        Rule::Exact(GenParameters::with_gamma(0.0))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstantSettings {
    lr: f64,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct GenSettings {
    lr_min: Option<f64>,
    lr_max: Option<f64>,
    default_lr: Option<f64>,
    gamma: Option<f64>,
    every: Option<usize>,
    cautious: Option<bool>,
}

impl Rule {
    pub(super) fn read(mut table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
        let rule = match reader.kind(&mut table, "kind", &["exact", "approx", "constant"], Some("exact"))? {
            "constant" => Rule::Constant { lr: reader.settings::<ConstantSettings>(table)?.lr },
            kind => {
                let (gamma, is_exact) = if kind == "exact" { (0.0, true) } else { (APPROXIMATE_GAMMA, false) };
                let s: GenSettings = reader.settings(table)?;
                let usual = GenParameters::with_gamma(gamma);
                let settings = GenParameters {
                    lr_min: s.lr_min.unwrap_or(usual.lr_min),
                    lr_max: s.lr_max,
                    default_lr: s.default_lr.unwrap_or(usual.default_lr),
                    gamma: s.gamma.unwrap_or(usual.gamma),
                    every: s.every.unwrap_or(usual.every),
                    cautious: s.cautious.unwrap_or(usual.cautious),
                };
                if is_exact { Rule::Exact(settings) } else { Rule::Approx(settings) }
            }
        };
        rule.check().map_err(|(key, message)| reader.complaint_at(key, message))?;
        Ok(rule)
    }

    /// The setting that makes no sense, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let positive = |key, x: f64| match x {
            x if x.is_finite() && x > 0.0 => Ok(()),
            _ => Err((key, format!("found {x}, expected a number above 0"))),
        };
        let s = match self {
            Rule::Constant { lr } => return positive("lr", *lr),
            Rule::Exact(settings) | Rule::Approx(settings) => settings,
        };
        positive("default_lr", s.default_lr)?;
        if !(s.lr_min.is_finite() && s.lr_min >= 0.0) {
            return Err(("lr_min", format!("found {}, expected a number from 0", s.lr_min)));
        }
        if let Some(lr_max) = s.lr_max {
            positive("lr_max", lr_max)?;
            if lr_max < s.lr_min {
                return Err(("lr_max", format!("found {lr_max}, expected at least lr_min, {}", s.lr_min)));
            }
        }
        match s {
            GenParameters { gamma, .. } if !(0.0..1.0).contains(gamma) => {
                Err(("gamma", format!("found {gamma}, expected a number from 0 to below 1")))
            }
            GenParameters { every: 0, .. } => Err(("every", "found 0, expected at least 1".to_owned())),
            _ => Ok(()),
        }
    }

    /// The name by which `--rule` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Exact(_) => "exact",
            Rule::Approx(_) => "approx",
            Rule::Constant { .. } => "constant",
        }
    }

    /// The name in titles.
    pub fn title(self) -> &'static str {
        match self {
            Rule::Exact(_) => "Exact GeN",
            Rule::Approx(_) => "Approximate GeN",
            Rule::Constant { .. } => "Constant rate",
        }
    }

    /// The rule before its first step.
    pub fn start<T: Real>(self) -> Box<dyn gen_sched::Rule<T>> {
        match self {
            Rule::Exact(settings) => Box::new(ExactGen::new(policy(settings))),
            Rule::Approx(settings) => Box::new(ApproximateGen::new(policy(settings))),
            Rule::Constant { lr } => Box::new(Constant::new(lr)),
        }
    }
}

fn policy(settings: GenParameters) -> Policy {
    let GenParameters { lr_min, lr_max, default_lr, gamma, every, cautious } = settings;
    Policy {
        lr_min,
        lr_max: lr_max.unwrap_or(f64::INFINITY),
        default_rate: default_lr,
        every: every as u64,
        gamma,
        is_cautious: cautious,
        ..Policy::default()
    }
}
