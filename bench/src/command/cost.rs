//! `parabola cost`: times the engine on one reference model.

use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use super::flags::MachineArgs;
use super::values::positive_count;
use crate::reference::{Case, Spec, draw::draw, load::load};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Times the loss, its gradient, a Hessian-vector product, exact GeN and approximate GeN (both with the gradient) \
    on one reference model, as medians in milliseconds, and prints loss, num, den and den's Gauss-Newton part for \
    checking. Calls alternate between two sets of parameters and batch, so that no result can be reused.";

/// Flags of `parabola cost`.
#[derive(Clone, Debug, Args)]
pub struct CostArgs {
    /// The model: single-layer, mlp-digits, mlp-mnist, mlp-wide, mlp-wide-256, mlp-concave, or a JSON object
    #[arg(
        long,
        value_name = "NAME-or-JSON",
        long_help = "\
            The model: single-layer, mlp-digits, mlp-mnist, mlp-wide, mlp-wide-256, mlp-concave, or a JSON object \
            such as {\"kind\":\"mlp\",\"sizes\":[64,32,10],\"batch\":16,\"act\":\"tanh\",\"loss\":\"ce\"}"
    )]
    pub model: String,
    /// Parameters and batch, as a safetensors file [default: drawn from the model's seed]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// How many timings the median is taken of
    #[arg(long, value_name = "N", default_value = "11", value_parser = positive_count)]
    pub repeats: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl CostArgs {
    /// The model with its parameters and batch: those of `--weights`, or drawn.
    ///
    /// # Errors
    /// If the model or the file cannot be understood.
    pub fn case(&self) -> Result<(Spec, Case), CommandError> {
        let spec = Spec::from_name_or_json(&self.model)?;
        let case = match &self.weights {
            Some(path) => load(path, &spec)?,
            None => draw(&spec),
        };
        Ok((spec, case))
    }
}

/// Times the model and prints the result.
///
/// # Errors
/// If the model or its file cannot be understood, or standard output cannot be written.
pub fn run(args: CostArgs) -> Result<(), CommandError> {
    args.case()?;
    Err(CommandError::Other("cost: not available in this build".into()))
}
