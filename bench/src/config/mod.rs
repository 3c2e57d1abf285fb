//! The configuration of a run: one TOML file of tables `[data]`, `[model]`, `[loss]`, `[direction]`, `[rule]`, `[training]` and
//! `[checkpoint]`, each of which may be left out.
//!
//! ```text
//!   train.toml ── Config::open ──▶ Config ◀── flags of the command line
//!                                    │
//!                                    ├──▶ Session: data, network, direction, rule
//!                                    └──▶ config.toml of the run, every setting filled in
//! ```

mod compare;
pub mod data;
mod direction;
pub mod error;
#[cfg(test)]
mod fuzz;
mod layer;
mod limits;
mod loss;
mod model;
mod read;
mod rule;
pub mod study;
#[cfg(test)]
mod tests;
mod training;

use std::path::{Path, PathBuf};

use nn::{Loss, Optimizer};
use serde::{Serialize, Serializer};
use toml::{Table, Value};

pub use compare::{Comparison, Entry, Target};
pub use data::{Data, Source};
pub use direction::Direction;
pub use error::{ConfigError, Place};
pub use layer::Layer;
pub use model::{Ends, Model};
pub use rule::{Fixed, Formula, Rule, Started};
pub use training::{Checkpoints, Dtype, Training};

use read::Reader;

/// Saves a value by the name that its flag takes.
pub(crate) fn by_name<S: Serializer>(value: &impl ToString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string())
}

/// Everything that a run is made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// The data.
    pub data: Data,
    /// The network.
    pub model: Model,
    /// The loss.
    #[serde(serialize_with = "loss::save")]
    pub loss: Loss,
    /// What steps are taken along.
    pub direction: Direction,
    /// How far they go.
    pub rule: Rule,
    /// How long, and how.
    pub training: Training,
    /// What is kept meanwhile.
    pub checkpoint: Checkpoints,
    /// The file that it was read from, for what is found wrong with it later.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

impl Default for Config {
    /// The built-in digits, a network of two hidden layers, exact GeN along the gradient.
    fn default() -> Self {
        Config {
            data: Data::default(),
            model: Model::default(),
            loss: Loss::cross_entropy(),
            direction: Optimizer::Sgd.into(),
            rule: Rule::default(),
            training: Training::default(),
            checkpoint: Checkpoints::default(),
            file: None,
        }
    }
}

/// The table that makes a comparison of a configuration.
const COMPARE: &str = "compare";
/// The table that makes a study of it.
const STUDY: &str = "study";

/// The tables of a configuration.
const TABLES: [&str; 7] = ["data", "model", "loss", "direction", "rule", "training", "checkpoint"];

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// If the file cannot be read, is no TOML, or has an unknown key or a value that makes no sense: the message names file, line and
    /// key, what was found and what was expected.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        Ok(Config { file: Some(path.to_owned()), ..Config::parse(path, &read::text(path)?)? })
    }

    /// Reads a configuration from the text of a file, which errors name.
    ///
    /// # Errors
    /// As for [`open`](Config::open).
    ///
    /// ```
    /// use bench::config::Config;
    /// use std::path::Path;
    /// let config = Config::parse(Path::new("a.toml"), "[training]\nepochs = 3\n")?;
    /// assert_eq!((config.training.epochs, config.training.batch), (3, 64));
    /// let error = Config::parse(Path::new("a.toml"), "[training]\nepoch = 3\n").unwrap_err().to_string();
    /// assert!(error.starts_with("a.toml: line 2, training.epoch: unknown key (did you mean epochs?)"), "{error}");
    /// # Ok::<(), bench::config::ConfigError>(())
    /// ```
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error| read::syntax(path, text, &error))?;
        let reader = Reader { source: Some((path, text)), at: "" };
        if let Some(command) = [COMPARE, STUDY].into_iter().find(|command| table.contains_key(*command)) {
            let message = format!("expected a configuration of one run; `parabola {command}` takes this file");
            return Err(reader.complaint_at(command, message));
        }
        Config::read(table, reader)
    }

    /// Reads the text of a file of one table more, and makes something of that table and of the configuration beside it.
    fn parse_beside<R>(
        (path, text): (&Path, &str),
        key: &str,
        f: impl FnOnce(Table, Config, Reader<'_>) -> Result<R, ConfigError>,
    ) -> Result<R, ConfigError> {
        let mut table: Table = text.parse().map_err(|error| read::syntax(path, text, &error))?;
        let reader = Reader { source: Some((path, text)), at: "" };
        reader.only(&table, &[&TABLES[..], &[key]].concat())?;
        let own = table.remove(key).unwrap_or_else(|| Value::Table(Table::new()));
        let config = Config::read(table, reader)?;
        reader.below(key, |at| f(at.table(own)?, config, at))
    }

    /// Reads the tables of a configuration.
    fn read(mut table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
        reader.only(&table, &TABLES)?;
        let mut section = |name: &str| table.remove(name).unwrap_or_else(|| Value::Table(Table::new()));
        let mut within = |name: &'static str| (name, section(name));
        let [data, model, loss, direction, rule, training, checkpoint] = TABLES.map(&mut within);
        let training = reader.below(training.0, |at| {
            let training: Training = at.settings(at.table(training.1)?)?;
            training.check(at).map(|()| training)
        })?;
        let checkpoint = reader.below(checkpoint.0, |at| {
            let checkpoint: Checkpoints = at.settings(at.table(checkpoint.1)?)?;
            checkpoint.check(at).map(|()| checkpoint)
        })?;
        let direction = reader.below(direction.0, |at| Direction::read(at.table(direction.1)?, at))?;
        let rule = reader.below(rule.0, |at| Rule::read(at.table(rule.1)?, at))?;
        let config = Config {
            data: reader.below(data.0, |at| Data::read(at.table(data.1)?, at))?,
            model: reader.below(model.0, |at| Model::read(at.table(model.1)?, at))?,
            loss: reader.below(loss.0, |at| loss::read(at.table(loss.1)?, at))?,
            direction,
            rule,
            training,
            checkpoint,
            file: None,
        };
        config.check_direction(reader).map(|()| config)
    }

    /// Refuses a direction beside a rule that owns one.
    fn check_direction(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        self.second_direction().map_or(Ok(()), |message| Err(reader.complaint_at("direction", message)))
    }

    /// What is wrong with a direction beside a rule that owns one.
    pub(crate) fn second_direction(&self) -> Option<String> {
        let is_set = self.direction.resolved() != Direction::from(Optimizer::Sgd).resolved();
        let (found, rule) = (self.direction.optimizer, self.rule.name());
        let message = format!("found {found}, expected none: {rule} owns its direction");
        (self.rule.formula.is_joint() && is_set).then_some(message)
    }

    /// The configuration as TOML, every setting filled in; read again it is the same.
    ///
    /// # Panics
    /// Never: every setting can be written.
    pub fn to_toml(&self) -> String {
        let (data, direction) = (self.data.resolved(), self.direction.resolved());
        let resolved = Config { data, direction, ..self.clone() };
        toml::to_string_pretty(&resolved).expect("settings of TOML's own types")
    }
}
