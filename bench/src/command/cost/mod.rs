//! `parabola cost`: times the engine on one model.

mod report;
mod scaling;

use std::path::{Path, PathBuf};

use ad_core::{Real, Tensor};
use clap::Args;
use nn::random::Key;
use nn::{Context, Optimizer};
use serde::Serialize;

use self::report::{Report, Subject};
use super::CommandError;
use super::flags::MachineArgs;
use super::values::positive_count;
use crate::config::{Config, Dtype};
use crate::measure::{Measured, Problem, measure};
use crate::reference::{Case, Spec, draw::draw, load::load, sizes::SizeAxis};
use crate::report::print::print;
use crate::session::{Session, in_pool};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Times the loss, its gradient, Hessian-vector products, exact GeN and approximate GeN (both with the gradient) on one \
    model, as medians in milliseconds, and prints loss, num, den and den's Gauss-Newton part for checking. \
    Calls alternate between two sets of parameters and batch, so that no result can be reused.";

/// Flags of `parabola cost`.
#[derive(Clone, Debug, Args)]
pub struct CostArgs {
    /// The model: single-layer, mlp-digits, mlp-mnist, mlp-wide, mlp-wide-256, cnn, gpt, mlp-concave, or a JSON object
    #[arg(
        long,
        value_name = "NAME-or-JSON",
        required_unless_present = "config",
        long_help = "\
            The model: single-layer, mlp-digits, mlp-mnist, mlp-wide, mlp-wide-256, cnn, gpt, mlp-concave, or a JSON object \
            such as {\"kind\":\"mlp\",\"sizes\":[64,32,10],\"batch\":16,\"act\":\"tanh\",\"loss\":\"ce\"}, \
            {\"kind\":\"cnn\",\"channels\":[1,8],\"kernel\":3,\"stride\":1,\"padding\":1,\"pool\":\"avg\",\"image\":28,\
            \"fc\":[10],\"batch\":16,\"act\":\"relu\",\"loss\":\"ce\"} or {\"kind\":\"gpt\",\"vocab\":96,\"d\":64,\"heads\":4,\
            \"layers\":2,\"ctx\":32,\"batch\":16,\"act\":\"gelu\",\"loss\":\"ce\"}"
    )]
    pub model: Option<String>,
    /// Time the model of this configuration, on its first mini-batch, instead
    #[arg(long, value_name = "FILE", conflicts_with_all = ["model", "weights", "scaling"])]
    pub config: Option<PathBuf>,
    /// Parameters and batch, as a safetensors file [default: drawn from the model's seed]
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// The optimizer along whose direction GeN steps, after one step of it: sgd, momentum, nesterov, rmsprop,
    /// rmsprop_centered, adagrad, adam, amsgrad, adamw or lion [default: that of --config, else sgd]
    #[arg(long, value_name = "NAME")]
    pub direction: Option<Optimizer>,
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
        let spec = self.spec()?;
        let case = match &self.weights {
            Some(path) => load(path, &spec)?,
            None => draw(&spec),
        };
        Ok((spec, case))
    }

    /// The reference model.
    ///
    /// # Errors
    /// If it cannot be understood.
    pub fn spec(&self) -> Result<Spec, CommandError> {
        Ok(Spec::from_name_or_json(self.model.as_deref().unwrap_or_default())?)
    }

    /// The optimizer along whose direction GeN steps.
    pub fn direction(&self) -> Optimizer {
        self.direction.unwrap_or(Optimizer::Sgd)
    }

    /// How many timings the median is taken of.
    pub fn repeats(&self) -> usize {
        self.repeats.unwrap_or(if self.scaling.is_some() { 5 } else { 11 })
    }

    /// Times a reference model as the flags say, in the current thread pool.
    ///
    /// # Errors
    /// If its values are beyond the precision.
    fn measure(&self, spec: &Spec, case: &Case) -> Result<Measured, CommandError> {
        let name = format!(
            "--model {} of {} and batch {}",
            self.model.as_deref().unwrap_or_default(),
            spec.network,
            spec.batch
        );
        match self.machine.dtype() {
            Dtype::F32 => self.measure_in::<f32>(spec, case, &name),
            Dtype::F64 => self.measure_in::<f64>(spec, case, &name),
        }
    }

    fn measure_in<T: Real>(&self, spec: &Spec, case: &Case, name: &str) -> Result<Measured, CommandError> {
        let net = spec.net();
        self.measure_problem(
            &Problem::<T> { net: &*net, loss: &spec.loss, case, context: Context::default(), spec: Some(spec) },
            name,
        )
    }

    /// Times a problem that errors call by this name.
    fn measure_problem<T: Real>(&self, problem: &Problem<'_, T>, name: &str) -> Result<Measured, CommandError> {
        let measured = measure(problem, self.direction(), self.repeats());
        let Some(quantity) = measured.non_finite() else { return Ok(measured) };
        Err(CommandError::Other(format!("{name}: {quantity} in {}, expected a finite number", T::NAME).into()))
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
    if let Some(path) = &args.config {
        let config = Config::open(path)?;
        let args = &CostArgs { direction: args.direction.or(Some(config.direction.optimizer)), ..args.clone() };
        return in_pool(args.machine.threads, || match args.machine.dtype.unwrap_or(config.training.dtype) {
            Dtype::F32 => configured::<f32>(args, path, &config),
            Dtype::F64 => configured::<f64>(args, path, &config),
        });
    }
    let (spec, case) = args.case()?;
    let (measured, threads) =
        in_pool(args.machine.threads, || Ok((args.measure(&spec, &case)?, rayon::current_num_threads())))?;
    let subject = Subject::of(args, &spec);
    printed(args, &Report::new(args, subject, args.machine.dtype(), threads, measured))
}

/// Times the model of a configuration on its first mini-batch, and returns what to print.
fn configured<T: Real>(args: &CostArgs, path: &Path, config: &Config) -> Result<String, CommandError> {
    let session = Session::<T>::open(config)?;
    let stepper = session.trainer.stepper();
    let case = Case { theta: stepper.theta().map(Tensor::cast), batch: session.trainer.batch_at(0).cast() };
    let context = Context::training(Key::new(config.training.seed), stepper.buffers());
    let problem = Problem { net: stepper.net(), loss: stepper.loss(), case: &case, context, spec: None };
    let name = path.display().to_string();
    let measured = args.measure_problem(&problem, &name)?;
    let params = case.theta.arrays().iter().map(Tensor::len).sum();
    let dtype = args.machine.dtype.unwrap_or(config.training.dtype);
    let subject = Subject { model: name, params };
    printed(args, &Report::new(args, subject, dtype, rayon::current_num_threads(), measured))
}

fn printed(args: &CostArgs, report: &Report) -> Result<String, CommandError> {
    if args.json { json(report) } else { Ok(report.to_string()) }
}

/// A report as one JSON object on one line.
pub(super) fn json(report: &impl Serialize) -> Result<String, CommandError> {
    serde_json::to_string(report).map(|text| text + "\n").map_err(|e| CommandError::Other(e.into()))
}
