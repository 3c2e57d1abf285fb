//! `parabola cost`: times the engine on one reference model.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::CommandError;
use super::flags::{Dtype, MachineArgs};
use super::values::positive_count;
use crate::measure::{Checked, Measured, measure};
use crate::reference::{Case, Spec, draw::draw, load::load};
use crate::report::print::print;
use crate::report::table::Table;
use crate::session::in_pool;

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
/// If the model or its file cannot be understood, its values are beyond the precision, or standard output cannot be
/// written.
pub fn run(args: CostArgs) -> Result<(), CommandError> {
    let (spec, case) = args.case()?;
    let (measured, threads) = in_pool(args.machine.threads, || {
        let measured = match args.machine.dtype {
            Dtype::F32 => measure::<f32>(&spec, &case, args.repeats),
            Dtype::F64 => measure::<f64>(&spec, &case, args.repeats),
        };
        Ok((measured, rayon::current_num_threads()))
    })?;
    if let Some(quantity) = measured.non_finite() {
        let message =
            format!("--model {}: {quantity} in {}, expected a finite number", args.model, args.machine.dtype.name());
        return Err(CommandError::Other(message.into()));
    }
    let report = Report {
        program: "parabola",
        version: env!("CARGO_PKG_VERSION"),
        model: &args.model,
        params: spec.parameters(),
        threads,
        dtype: args.machine.dtype,
        repeats: args.repeats,
        measured,
    };
    let text = if args.json {
        serde_json::to_string(&report).map_err(|e| CommandError::Other(e.into()))? + "\n"
    } else {
        report.table()
    };
    print(&text).map_err(CommandError::Output)
}

/// What the rows of times mean.
const TIMES: &str = "\
loss: f at the parameters θ on one batch.
gradient: the loss and its gradient g.
Hv: also the Hessian times a fixed direction v.
exact num and den: also slope and curvature of f along g; exact GeN steps by α* = num/den.
approximate GeN: also f at θ ∓ 0.01 g, through which it fits its parabola instead.
";

/// What the rows of values mean.
const VALUES: &str = "\
num and den are the first and second derivative of f along g; where den is negative, f curves downwards there.
The Gauss–Newton part of den is what remains of it with the network replaced by its linear approximation at θ.
";

/// What the command prints.
#[derive(Serialize)]
struct Report<'a> {
    program: &'static str,
    version: &'static str,
    model: &'a str,
    params: usize,
    threads: usize,
    dtype: Dtype,
    #[serde(skip)]
    repeats: usize,
    #[serde(flatten)]
    measured: Measured,
}

impl Report<'_> {
    fn table(&self) -> String {
        let Measured { check, check_b, ms } = &self.measured;
        let plural = if self.threads == 1 { "" } else { "s" };
        let dtype = self.dtype.name();
        let mut times = Table::with_header(["", "ms", "gradients"]);
        for (what, time) in [
            ("loss", ms.value),
            ("gradient", ms.grad),
            ("gradient and Hv", ms.hvp),
            ("gradient, exact num and den", ms.gen_exact),
            ("gradient and two more losses (approximate GeN)", ms.gen_approx),
        ] {
            times.row([what.to_owned(), format!("{time:.4}"), format!("{:.2}", time / ms.grad)]);
        }
        let mut checks = Table::with_header(["", "set A", "set B"]);
        for (what, of) in [
            ("loss", (|c: &Checked| c.loss) as fn(&Checked) -> f64),
            ("num = df·g", |c| c.num),
            ("den = d²f(g, g)", |c| c.den),
            ("Gauss–Newton part of den", |c| c.gn),
        ] {
            checks.row([what.to_owned(), format!("{:.9e}", of(check)), format!("{:.9e}", of(check_b))]);
        }
        let Report { model, params, threads, repeats, .. } = self;
        format!(
            "{model}: {params} parameters, {dtype}, {threads} thread{plural}\n\n\
            {times}\nMilliseconds a call, the median of {repeats}, and how many gradients that is worth:\n{TIMES}\n\
            With g the gradient, on the two sets that calls alternate between:\n{checks}\n{VALUES}"
        )
    }
}
