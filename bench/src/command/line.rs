//! `parabola line`: draws the loss along the direction of one step against its parabola.

use clap::Args;
use serde::Serialize;

use super::CommandError;
use super::flags::{DataArgs, MachineArgs, ModelArgs, OutputArgs, RuleArgs};
use super::values::{positive, two_or_more};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Trains for a number of steps, stops, and draws the loss g(α) = f(θ − αω) along the direction ω of the next step \
    against the parabola f − α num + ½α² den that GeN steps by, with its minimum α* = num/den marked. Writes \
    line.svg and line.csv.";

/// Flags of `parabola line`.
#[derive(Clone, Debug, Args, Serialize)]
pub struct LineArgs {
    /// Train this many steps first
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    pub at_step: usize,
    /// How many values of α to evaluate the loss at
    #[arg(long, value_name = "N", default_value = "201", value_parser = two_or_more)]
    pub points: usize,
    /// The greatest α, as a multiple of α*
    #[arg(long, value_name = "MULTIPLE", default_value = "2.5", value_parser = positive)]
    pub range: f64,
    /// The network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The data.
    #[command(flatten)]
    pub data: DataArgs,
    /// The learning rate of the steps before.
    #[command(flatten)]
    pub rule: RuleArgs,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The results.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Trains, evaluates the line and draws it.
///
/// # Errors
/// If the flags contradict one another, the data cannot be read or the results cannot be written.
pub fn run(args: LineArgs) -> Result<(), CommandError> {
    args.rule.settle()?;
    Err(CommandError::Other("line: not available in this build".into()))
}
