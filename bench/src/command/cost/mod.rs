//! `parabola cost`: times the engine on one reference model.

mod report;
mod scaling;

use std::path::PathBuf;

use clap::Args;
use nn::Optimizer;
use serde::Serialize;

use self::report::Report;
use super::CommandError;
use super::flags::{Dtype, MachineArgs};
use super::values::positive_count;
use crate::measure::{Measured, measure};
use crate::reference::{Case, Spec, draw::draw, load::load, sizes::SizeAxis};
use crate::report::print::print;
use crate::session::in_pool;

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Times the loss, its gradient, Hessian-vector products, exact GeN and approximate GeN (both with the gradient) on one \
    reference model, as medians in milliseconds, and prints loss, num, den and den's Gauss-Newton part for checking. \
    Calls alternate between two sets of parameters and batch, so that no result can be reused.";

/// Flags of `parabola cost`.
#[derive(Clone, Debug, Args)]
pub struct CostArgs {
    /// The model: single-layer, mlp-digits, mlp-mnist, mlp-wide, mlp-wide-256, cnn, gpt, mlp-concave, or a JSON object
    #[arg(
        long,
        value_name = "NAME-or-JSON",
        long_help = "\
            The model: single-layer, mlp-digits, mlp-mnist, mlp-wide, mlp-wide-256, cnn, gpt, mlp-concave, or a JSON object \
            such as {\"kind\":\"mlp\",\"sizes\":[64,32,10],\"batch\":16,\"act\":\"tanh\",\"loss\":\"ce\"}, \
            {\"kind\":\"cnn\",\"channels\":[1,8],\"kernel\":3,\"stride\":1,\"padding\":1,\"pool\":\"avg\",\"image\":28,\
            \"fc\":[10],\"batch\":16,\"act\":\"relu\",\"loss\":\"ce\"} or {\"kind\":\"gpt\",\"vocab\":96,\"d\":64,\"heads\":4,\
            \"layers\":2,\"ctx\":32,\"batch\":16,\"act\":\"gelu\",\"loss\":\"ce\"}"
    )]
    pub model: String,
    /// Parameters and batch, as a safetensors file [default: drawn from the model's seed]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The optimizer along whose direction GeN steps, after one step of it: sgd, momentum, nesterov, rmsprop,
    /// rmsprop_centered, adagrad, adam, amsgrad, adamw or lion
    #[arg(long, value_name = "NAME", default_value = "sgd")]
    pub direction: Optimizer,
    /// Time the model in five sizes, from a quarter of its own to four times that, and draw how the times grow
    #[arg(long, value_name = "AXIS", conflicts_with = "weights")]
    pub scaling: Option<SizeAxis>,
    /// The figure of --scaling, which replaces a file of this name [default: cost-scaling-MODEL-AXIS.svg]
    #[arg(long, value_name = "FILE", requires = "scaling")]
    pub out: Option<PathBuf>,
    /// How many timings the median is taken of [default: 11, and 5 with --scaling]
    #[arg(long, value_name = "N", value_parser = positive_count)]
    pub repeats: Option<usize>,
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

    /// How many timings the median is taken of.
    pub fn repeats(&self) -> usize {
        self.repeats.unwrap_or(if self.scaling.is_some() { 5 } else { 11 })
    }

    /// Times a model as the flags say, in the current thread pool.
    ///
    /// # Errors
    /// If its values are beyond the precision.
    fn measure(&self, spec: &Spec, case: &Case) -> Result<Measured, CommandError> {
        let measured = match self.machine.dtype {
            Dtype::F32 => measure::<f32>(spec, case, self.direction, self.repeats()),
            Dtype::F64 => measure::<f64>(spec, case, self.direction, self.repeats()),
        };
        let Some(quantity) = measured.non_finite() else { return Ok(measured) };
        let (model, network, batch, dtype) = (&self.model, &spec.network, spec.batch, self.machine.dtype.name());
        Err(CommandError::Other(
            format!("--model {model} of {network} and batch {batch}: {quantity} in {dtype}, expected a finite number")
                .into(),
        ))
    }
}

/// Times the model and prints the result; in several sizes with `--scaling`, whose figure it writes.
///
/// # Errors
/// If the model or its file cannot be understood, its values are beyond the precision, or the figure or standard output
/// cannot be written.
pub fn run(args: CostArgs) -> Result<(), CommandError> {
    let text = match args.scaling {
        Some(axis) => scaling::run(&args, axis)?,
        None => one(&args)?,
    };
    print(&text).map_err(CommandError::Output)
}

/// Times the model in its own size and returns what to print.
fn one(args: &CostArgs) -> Result<String, CommandError> {
    let (spec, case) = args.case()?;
    let (measured, threads) =
        in_pool(args.machine.threads, || Ok((args.measure(&spec, &case)?, rayon::current_num_threads())))?;
    let report = Report::new(args, &spec, threads, measured);
    if args.json { json(&report) } else { Ok(report.to_string()) }
}

/// A report as one JSON object on one line.
fn json(report: &impl Serialize) -> Result<String, CommandError> {
    serde_json::to_string(report).map(|text| text + "\n").map_err(|e| CommandError::Other(e.into()))
}
