//! `parabola train`: trains a network and writes its run folder.

use clap::Args;
use serde::Serialize;

use super::CommandError;
use super::flags::{DataArgs, MachineArgs, ModelArgs, OutputArgs, RuleArgs};
use super::values::positive_count;

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Trains a network of fully connected layers, by default on handwritten digits with exact GeN, which needs no \
    learning rate. Shows progress on standard error and a closing table on standard output, and writes a run folder: \
    config.json, metrics.jsonl (one JSON object a step), parameters.safetensors, and the figures training.svg and \
    alpha.svg.";

/// Flags of `parabola train`.
#[derive(Clone, Debug, Args, Serialize)]
pub struct TrainArgs {
    /// Passes over the training data
    #[arg(long, value_name = "N", default_value = "20", value_parser = positive_count)]
    pub epochs: usize,
    /// The network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The data.
    #[command(flatten)]
    pub data: DataArgs,
    /// The learning rate.
    #[command(flatten)]
    pub rule: RuleArgs,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The results.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Trains and reports.
///
/// # Errors
/// If the flags contradict one another, the data cannot be read or the run folder cannot be written.
pub fn run(args: TrainArgs) -> Result<(), CommandError> {
    args.rule.settle()?;
    Err(CommandError::Other("train: not available in this build".into()))
}
