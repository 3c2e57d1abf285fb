//! `[training]` and `[checkpoint]`: how long, how often, with what arithmetic.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::limits::{MOST_TIMES, misfit};
use super::read::Reader;

/// The floating-point type of a computation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision
    #[default]
    F32,
    /// Double precision
    F64,
}

impl Dtype {
    /// The name by which `--dtype` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }
}

/// How training goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Training {
    /// Passes over the training data.
    pub epochs: usize,
    /// Samples of a mini-batch.
    pub batch: usize,
    /// Steps from one evaluation to the next; one at the end of each epoch if 0.
    pub evaluate_every: usize,
    /// The most training samples that an evaluation looks at; all if 0.
    pub evaluate_rows: usize,
    /// Rows of the micro-batches that gradients are accumulated over; batches are not cut if 0.
    pub micro_batch: usize,
    /// A file of parameters to start from, by name as PyTorch has them, instead of drawn ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// The seed of the split, the initial parameters and the mini-batches.
    pub seed: u64,
    /// The floating-point type of parameters and data.
    pub dtype: Dtype,
    /// Whether one more forward pass measures the decrease of each step.
    pub measure_decrease: bool,
}

impl Default for Training {
    fn default() -> Self {
        Training {
            epochs: 20,
            batch: 64,
            evaluate_every: 0,
            evaluate_rows: 0,
            micro_batch: 0,
            from: None,
            seed: 0,
            dtype: Dtype::F32,
            measure_decrease: true,
        }
    }
}

impl Training {
    pub(super) fn check(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        let numbers = [
            ("epochs", self.epochs, 1),
            ("batch", self.batch, 1),
            ("evaluate_every", self.evaluate_every, 0),
            ("evaluate_rows", self.evaluate_rows, 0),
            ("micro_batch", self.micro_batch, 0),
        ];
        check_times(&numbers, reader)
    }
}

/// When and how many checkpoints are kept while a run goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoints {
    /// Steps from one to the next; if 0, at the end of an epoch, at most one in 30 seconds.
    pub every: usize,
    /// How many of the last are kept.
    pub keep: usize,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Checkpoints { every: 0, keep: 2 }
    }
}

impl Checkpoints {
    pub(super) fn check(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        check_times(&[("every", self.every, 0), ("keep", self.keep, 1)], reader)
    }
}

/// Refuses numbers below a least one, or beyond all reason.
fn check_times(numbers: &[(&str, usize, usize)], reader: Reader<'_>) -> Result<(), ConfigError> {
    for &(key, n, least) in numbers {
        if let Some(message) = misfit(n, least, MOST_TIMES) {
            return Err(reader.complaint_at(key, message));
        }
    }
    Ok(())
}
