//! `[study]`: what is measured on the training run that the other tables describe.

use std::path::Path;

use nn::Activation;
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

use super::error::ConfigError;
use super::read::{self, Reader};
use super::{Config, STUDY, by_name};

/// A study with every setting settled: the kind of study, and the run that it is made on.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// What is measured.
    pub kind: Kind,
    /// The run.
    pub config: Config,
}

/// What a study measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// How wrong estimates of α* are.
    Estimation(Estimation),
    /// How far parabolas reach, and where curvature sits.
    Reach(Reach),
}

/// Settings of a study of estimates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Estimation {
    /// The steps of training at which estimates are made, increasing.
    pub steps: Vec<u64>,
    /// Rows of the mini-batches that they are made on.
    pub batches: Vec<usize>,
    /// Mini-batches at each step and size.
    pub samples: u64,
    /// Lengths of the probes, in multiples of |α*|.
    pub probes: Vec<f64>,
    /// Activations of the network; that of the model alone if there are none.
    #[serde(deserialize_with = "activations", serialize_with = "names")]
    pub activations: Vec<Activation>,
    /// Steps of the training run along which averages are followed; 0 for none.
    pub followed: u64,
}

impl Default for Estimation {
    fn default() -> Self {
        Estimation {
            steps: vec![0, 20, 100, 400],
            batches: vec![16, 64, 256],
            samples: 32,
            probes: [-4.0, -3.5, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5].map(|e| 10f64.powf(e)).to_vec(),
            activations: Vec::new(),
            followed: 400,
        }
    }
}

/// Settings of a study of reach.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reach {
    /// The steps of training at which lines are sampled, increasing.
    pub steps: Vec<u64>,
    /// Mini-batches at each of these steps.
    pub samples: u64,
    /// Values of α on each line.
    pub points: usize,
    /// The greatest α, in multiples of |α*|.
    pub range: f64,
}

impl Default for Reach {
    fn default() -> Self {
        Reach { steps: vec![0, 20, 100, 400], samples: 32, points: 61, range: 3.0 }
    }
}

impl Study {
    /// Reads a study: a configuration with a table `[study]` more.
    ///
    /// # Errors
    /// As for [`Config::open`].
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        Study::parse(path, &read::text(path)?)
    }

    /// Reads a study from the text of a file, which errors name.
    ///
    /// # Errors
    /// As for [`Config::parse`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Config::parse_beside((path, text), STUDY, |table, config, at| {
            Ok(Study { kind: Kind::read(table, at)?, config })
        })
    }

    /// The study as TOML, every setting filled in; read again it is the same.
    pub fn to_toml(&self) -> String {
        let study = Table::from_iter([(
            "study".to_owned(),
            Value::try_from(&self.kind).expect("settings of TOML's own types"),
        )]);
        format!("{study}\n{}", self.config.to_toml())
    }
}

impl Kind {
    fn read(mut table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
        let kind = match reader.kind(&mut table, "kind", &["estimation", "reach"], None)? {
            "estimation" => Kind::Estimation(reader.settings(table)?),
            _ => Kind::Reach(reader.settings(table)?),
        };
        kind.check().map_err(|(key, message)| reader.complaint_at(key, message))?;
        Ok(kind)
    }

    /// The setting that makes no sense, and why.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let (steps, samples) = match self {
            Kind::Estimation(Estimation { steps, samples, .. }) | Kind::Reach(Reach { steps, samples, .. }) => {
                (steps, samples)
            }
        };
        if steps.is_empty() || !steps.is_sorted_by(|a, b| a < b) {
            return Err(("steps", format!("found {steps:?}, expected increasing numbers of steps")));
        }
        if *samples == 0 {
            return Err(("samples", "found 0, expected at least 1".to_owned()));
        }
        match self {
            Kind::Estimation(study) => study.check(),
            Kind::Reach(study) => study.check(),
        }
    }
}

impl Estimation {
    fn check(&self) -> Result<(), (&'static str, String)> {
        let Estimation { batches, probes, .. } = self;
        if batches.is_empty() || batches.contains(&0) {
            return Err(("batches", format!("found {batches:?}, expected sizes from 1")));
        }
        let fits = probes.iter().all(|probe| probe.is_finite() && *probe > 0.0);
        if probes.is_empty() || !fits || !probes.is_sorted_by(|a, b| a < b) {
            return Err(("probes", format!("found {probes:?}, expected increasing numbers above 0")));
        }
        Ok(())
    }
}

impl Reach {
    fn check(&self) -> Result<(), (&'static str, String)> {
        if self.points < 2 {
            return Err(("points", format!("found {}, expected at least 2", self.points)));
        }
        match self.range.is_finite() && self.range > 0.0 {
            true => Ok(()),
            false => Err(("range", format!("found {}, expected a number above 0", self.range))),
        }
    }
}

fn activations<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Activation>, D::Error> {
    let names = Vec::<String>::deserialize(from)?;
    names.iter().map(|name| name.parse().map_err(serde::de::Error::custom)).collect()
}

fn names<S: serde::Serializer>(activations: &[Activation], to: S) -> Result<S::Ok, S::Error> {
    struct Named<'a>(&'a Activation);

    impl Serialize for Named<'_> {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            by_name(self.0, to)
        }
    }

    to.collect_seq(activations.iter().map(Named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Study, String> {
        Study::parse(Path::new("s.toml"), text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_study_is_read_again_as_it_was_written() {
        let text = "[study]\nkind = \"estimation\"\nactivations = [\"tanh\", \"leaky_relu\"]\nsteps = [0, 5]\n[training]\nbatch = 32\n";
        let study = parsed(text).unwrap();
        assert_eq!(study.config.training.batch, 32);
        assert_eq!(parsed(&study.to_toml()).map(|again| again.to_toml()), Ok(study.to_toml()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, complaint) in [
            ("[training]\nbatch = 3\n", "s.toml: study: missing key kind: expected one of estimation, reach"),
            ("[study]\nkind = \"guess\"\n", "line 2, study.kind: found \"guess\", expected one of estimation, reach"),
            ("[study]\nkind = \"reach\"\nsteps = [5, 3]\n", "line 3, study.steps: found [5, 3], expected increasing"),
            ("[study]\nkind = \"reach\"\nprobes = [1]\n", "line 3, study.probes: unknown key"),
            (
                "[study]\nkind = \"estimation\"\nprobes = [0.0]\n",
                "line 3, study.probes: found [0.0], expected increasing",
            ),
            ("[study]\nkind = \"estimation\"\nactivations = [\"tan\"]\n", "unknown activation \"tan\""),
            ("[study]\nkind = \"reach\"\n[modle]\n", "line 3, modle: unknown key"),
        ] {
            let message = parsed(text).unwrap_err();
            assert!(message.contains(complaint), "{text}: {message}");
        }
    }
}
