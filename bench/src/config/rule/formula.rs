//! What a rule is beside its policy: its formula and that formula's settings, each rule in one place.

use ad_core::Real;
use gen_sched::{Denominator, Grouping, Joint, Rule};
use serde::{Deserialize, Serialize};
use toml::Table;

use super::policy::Policy;
use super::range::Range;
use super::start::Start;
use crate::config::error::ConfigError;
use crate::config::read::Reader;

/// A rule before its first step.
#[derive(Debug)]
pub enum Started<T: Real> {
    /// One that goes along any direction.
    Apart(Box<dyn Rule<T>>),
    /// One that owns its direction.
    Joint(Box<dyn Joint<T>>),
}

macro_rules! formulas {
    ($(
        $(#[doc = $doc:literal])*
        $formula:ident = $name:literal, $title:literal, $usual:expr, {
            $($(#[$attribute:meta])* $key:ident: $type:ty = $default:expr, $range:expr;)*
        }
    )*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub struct $formula {
                $($(#[$attribute])* pub $key: $type,)*
            }

            impl Default for $formula {
                fn default() -> Self {
                    $formula { $($key: $default,)* }
                }
            }
        )*

        /// A rule's formula, by its name in configurations.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Formula {
            $($(#[doc = $doc])* #[serde(rename = $name)] $formula($formula),)*
        }

        impl Formula {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// The formula of this name with its usual settings.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Formula::$formula($formula::default())),)*
                    _ => None,
                }
            }

            /// The formula of this name, which is known, with the settings in a table.
            pub(super) fn read(name: &str, table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
                match name {
                    $($name => Ok(Formula::$formula(reader.settings(table)?)),)*
                    _ => unreachable!("the name {name:?} was looked up"),
                }
            }

            /// The keys of the settings of a formula of this name.
            pub(super) fn keys(name: &str) -> &'static [&'static str] {
                match name {
                    $($name => &[$(stringify!($key)),*],)*
                    _ => &[],
                }
            }

            /// The setting that makes no sense, and why.
            pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
                match self {
                    $(Formula::$formula(settings) => {
                        $(if let Some(message) = Range::complaint($range, &settings.$key) {
                            return Err((stringify!($key), message));
                        })*
                        Start::check(settings)
                    })*
                }
            }

            /// The name in configurations and of folders.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Formula::$formula(_) => $name,)*
                }
            }

            /// The name in titles.
            pub fn title(&self) -> &'static str {
                match self {
                    $(Formula::$formula(_) => $title,)*
                }
            }

            /// The policy that is usual for it.
            pub fn usual_policy(&self) -> Policy {
                match self {
                    $(Formula::$formula(_) => $usual,)*
                }
            }

            /// The patterns of parameters' names that its groups are told by.
            pub(crate) fn patterns(&self) -> &[String] {
                match self {
                    Formula::Grouped(Grouped { groups: Grouping::ByPattern(patterns), .. }) => patterns,
                    _ => &[],
                }
            }

            /// Whether it owns its direction.
            pub fn is_joint(&self) -> bool {
                match self {
                    $(Formula::$formula(_) => <$formula as Start>::IS_JOINT,)*
                }
            }

            /// The rule before its first step.
            pub(super) fn start<T: Real>(&self, policy: gen_sched::Policy) -> Started<T> {
                match self {
                    $(Formula::$formula(settings) => Start::start(settings, policy),)*
                }
            }
        }
    };
}

formulas! {
    /// α = num/den from exact derivatives.
    Exact = "exact", "Exact GeN", Policy::exact(), {
        /// What to divide by.
        #[serde(with = "denominator")]
        denominator: Denominator = Denominator::Total, Range::Any;
    }
    /// α from the loss at three points.
    Approx = "approx", "Approximate GeN", Policy::approximate(), {}
    /// α from the loss at four points or more.
    Polynomial = "polynomial", "Polynomial GeN", Policy::approximate(), {
        /// The probes, in multiples of the rate before.
        offsets: Vec<f64> = vec![-2.0, -1.0, 1.0, 2.0], Range::Any;
        /// The polynomial's degree, 2 to 4.
        degree: u64 = 2, Range::Any;
        /// The least R² of a fit that is used.
        gate: f64 = 0.99, Range::AtMostOne;
        /// A point to check the fit at, in multiples of the rate before.
        #[serde(skip_serializing_if = "Option::is_none")]
        held_out: Option<f64> = None, Range::Any;
    }
    /// α from exact derivatives up to the third.
    ThirdOrder = "third_order", "Third-order GeN", Policy::exact(), {}
    /// A rate for each group of parameters, from the exact curvature between all of them.
    Grouped = "grouped", "Grouped GeN", Policy { trusted: true, ..Policy::exact() }, {
        /// The groups: `layer`, `kind`, or patterns.
        #[serde(with = "groups")]
        groups: Grouping = Grouping::ByLayer, Range::Any;
        /// Whether groups are taken one by one.
        diagonal: bool = false, Range::Any;
    }
    /// The same α at every step.
    Fixed = "constant", "Constant rate", Policy::none(), {
        /// The rate.
        lr: f64 = 0.1, Range::Positive;
    }
    /// The step of Polyak, capped.
    SpsMax = "sps_max", "Polyak's SPS_max", Policy::none(), {
        /// The share c of the squared gradient.
        c: f64 = 0.5, Range::Positive;
        /// The least loss f*.
        floor: f64 = 0.0, Range::Any;
        /// The first cap.
        first: f64 = 1.0, Range::Positive;
        /// Steps in which the cap may double.
        doubling: u64 = 500, Range::AtLeastOne;
    }
    /// The loss over the squared gradient, capped.
    AliG = "ali_g", "ALI-G", Policy::none(), {
        /// The greatest rate.
        most: f64 = 0.1, Range::Positive;
    }
    /// Along its averaged gradient, from a model of the loss.
    Momo = "momo", "MoMo", Policy::none(), {
        /// The greatest rate.
        most: f64 = 1.0, Range::Positive;
        /// The average's coefficient.
        beta: f64 = 0.9, Range::Coefficient;
        /// The least loss f*.
        floor: f64 = 0.0, Range::Any;
    }
    /// A share of the way to a fraction of the least loss seen.
    L4 = "l4", "L4", Policy::none(), {
        /// The share of the way.
        share: f64 = 0.15, Range::Share;
    }
    /// Backtracks until the loss falls enough.
    Armijo = "armijo", "Armijo line search", Policy::none(), {
        /// The share of the slope's decrease that is enough.
        c: f64 = 0.1, Range::Coefficient;
        /// The factor of a rate that was too long.
        shrink: f64 = 0.9, Range::Coefficient;
        /// The first rate tried.
        first: f64 = 1.0, Range::Positive;
        /// The greatest rate tried.
        most: f64 = 10.0, Range::Positive;
        /// Steps in which the rate may double.
        doubling: u64 = 500, Range::AtLeastOne;
    }
    /// Backtracks until the averaged loss falls enough.
    Salsa = "salsa", "SaLSA", Policy::none(), {
        /// The share of the slope's decrease that is enough.
        c: f64 = 0.5, Range::Coefficient;
        /// The first rate tried.
        first: f64 = 1.0, Range::Positive;
    }
    /// A parabola from slope and one probe.
    QlabGrad = "qlabgrad", "QLABGrad", Policy::none(), {
        /// The length of the first probe.
        probe: f64 = 1e-3, Range::Positive;
    }
    /// The same with probes and steps of given lengths.
    Pal = "pal", "PAL", Policy::none(), {
        /// The probe's length.
        mu: f64 = 1.0, Range::Positive;
        /// The longest step.
        longest: f64 = 10f64.sqrt(), Range::Positive;
    }
    /// σ num/|den|, both averaged.
    Cdat = "cdat", "CDAT", Policy::none(), {
        /// σ, the factor of the greedy rate: 2 is on the edge of stability.
        edge: f64 = 2.0, Range::Positive;
        /// The average's coefficient.
        beta: f64 = 0.9, Range::Coefficient;
    }
    /// From num, den and Hω, then backtracks.
    HessianAware = "hessian_aware", "Hessian-aware scaling", Policy::none(), {
        /// The scaling: mr, cg or gm.
        scaling: String = "mr".to_owned(), Range::Any;
    }
    /// From the last changes of parameters and gradient.
    BarzilaiBorwein = "barzilai_borwein", "Barzilai–Borwein", Policy::none(), {
        /// Whether the shorter of its two steps is taken.
        short: bool = false, Range::Any;
        /// The first rate.
        first: f64 = 1e-3, Range::Positive;
    }
    /// The same, bounded by the last rates.
    AdGd = "ad_gd", "AdGD", Policy::none(), {
        /// The first rate.
        first: f64 = 1e-6, Range::Positive;
    }
    /// Grows while gradients agree.
    Hypergradient = "hypergradient", "Hypergradient", Policy::none(), {
        /// The rate of the rate.
        beta: f64 = 1e-6, Range::Positive;
        /// The first rate.
        first: f64 = 1e-3, Range::Positive;
        /// Whether the rate changes by factors.
        multiplicative: bool = false, Range::Any;
    }
    /// The greatest distance from the start over the root of all squared gradients.
    Dog = "dog", "DoG", Policy::none(), {
        /// The first distance.
        first: f64 = 1e-6, Range::Positive;
        /// Whether gradients are weighted by distances: DoWG.
        weighted: bool = false, Range::Any;
    }
    /// An estimate of the distance to the minimum, along the gradient.
    DAdaptedSgd = "d_adapted_sgd", "D-Adapted SGD", Policy::none(), {
        /// The first distance.
        first: f64 = 1e-6, Range::Positive;
        /// The factor of its rate.
        scale: f64 = 1.0, Range::Positive;
        /// The momentum of its direction.
        momentum: f64 = 0.0, Range::Coefficient;
    }
    /// The same along Adam's direction.
    DAdaptedAdam = "d_adapted_adam", "D-Adapted Adam", Policy::none(), {
        /// The first distance.
        first: f64 = 1e-6, Range::Positive;
        /// The factor of its rate.
        scale: f64 = 1.0, Range::Positive;
    }
    /// A faster estimate of the distance, along Adam's direction.
    Prodigy = "prodigy", "Prodigy", Policy::none(), {
        /// The first distance.
        first: f64 = 1e-6, Range::Positive;
        /// The factor of its rate.
        scale: f64 = 1.0, Range::Positive;
    }
}

/// A denominator by its name.
mod denominator {
    use gen_sched::Denominator;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(it: &Denominator, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(it.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Denominator, D::Error> {
        let name = String::deserialize(from)?;
        let known = Denominator::ALL.map(Denominator::name).join(", ");
        let found = Denominator::ALL.into_iter().find(|it| it.name() == name);
        found.ok_or_else(|| D::Error::custom(format!("found {name:?}, expected one of {known}")))
    }
}

/// Groups of parameters: a word or a list of patterns.
mod groups {
    use gen_sched::Grouping;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Word(String),
        Patterns(Vec<String>),
    }

    pub(super) fn serialize<S: Serializer>(it: &Grouping, to: S) -> Result<S::Ok, S::Error> {
        match it {
            Grouping::ByLayer => Written::Word("layer".to_owned()),
            Grouping::ByKind => Written::Word("kind".to_owned()),
            Grouping::ByPattern(patterns) => Written::Patterns(patterns.clone()),
        }
        .serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Grouping, D::Error> {
        match Written::deserialize(from) {
            Ok(Written::Word(word)) if word == "layer" => Ok(Grouping::ByLayer),
            Ok(Written::Word(word)) if word == "kind" => Ok(Grouping::ByKind),
            Ok(Written::Patterns(patterns)) => Ok(Grouping::ByPattern(patterns)),
            Ok(Written::Word(word)) => Err(D::Error::custom(format!("found {word:?}, expected {EXPECTED}"))),
            Err(_) => Err(D::Error::custom(format!("expected {EXPECTED}"))),
        }
    }

    const EXPECTED: &str = "layer, kind, or a list of patterns";
}
