//! What `parabola cost` prints of one model.

use std::fmt;

use nn::Optimizer;
use serde::Serialize;

use super::CostArgs;
use crate::config::{Dtype, by_name};
use crate::measure::{Checked, Measured, Quantities};
use crate::reference::Spec;
use crate::report::table::Table;

/// What the rows of times mean.
const TIMES: &str = "\
loss: f at the parameters θ on one batch.
gradient: the loss and its gradient g.
Hv: also the Hessian times a fixed direction v.
one more Hv: the Hessian times v alone, where loss and gradient have been recorded before.
exact num and den: also slope and curvature of f along ω; exact GeN steps by α* = num/den.
approximate GeN: also f at θ ∓ 0.01 ω, through which it fits its parabola instead.
";

/// What the row of products means, where there is one.
const PRODUCTS: &str = "\
the gradient's products alone: the same matrix products with nothing in between, the rate to compare with.
";

/// What the rows of values mean.
const VALUES: &str = "\
num and den are the first and second derivative of f along ω; where den is negative, f curves downwards there.
The Gauss–Newton part of den is what remains of it with the network replaced by its linear approximation at θ.
";

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Subject {
    /// The name or JSON of a reference model, or the file of a configuration.
    pub(super) model: String,
    /// Number of parameters.
    pub(super) params: usize,
}

impl Subject {
    /// A reference model.
    pub(super) fn of(args: &CostArgs, spec: &Spec) -> Self {
        Subject { model: args.model.clone().unwrap_or_default(), params: spec.parameters() }
    }
}

/// What the command prints.
#[derive(Serialize)]
pub(super) struct Report {
    program: &'static str,
    version: &'static str,
    #[serde(flatten)]
    subject: Subject,
    threads: usize,
    dtype: Dtype,
    #[serde(serialize_with = "by_name")]
    direction: Optimizer,
    #[serde(skip)]
    repeats: usize,
    #[serde(flatten)]
    measured: Measured,
}

impl Report {
    /// The report on a model that was measured with this many threads.
    pub(super) fn new(args: &CostArgs, subject: Subject, dtype: Dtype, threads: usize, measured: Measured) -> Self {
        Report {
            program: "parabola",
            version: env!("CARGO_PKG_VERSION"),
            subject,
            threads,
            dtype,
            direction: args.direction(),
            repeats: args.repeats(),
            measured,
        }
    }

    /// The model, how many parameters it has, and how it was measured.
    pub(super) fn heading(&self) -> String {
        format!("{}: {} parameters, {}", self.subject.model, self.subject.params, self.setting())
    }

    /// Precision, threads and direction.
    pub(super) fn setting(&self) -> String {
        let (dtype, direction, threads) = (self.dtype.name(), self.direction, self.threads);
        let plural = if threads == 1 { "" } else { "s" };
        format!("{dtype}, {threads} thread{plural}, direction {direction}")
    }

    /// How many timings each median was taken of.
    pub(super) fn repeats(&self) -> usize {
        self.repeats
    }

    fn costs(&self) -> Table {
        let mut table = Table::with_header(CostRow::HEADER);
        let rows = CostRow::all(&self.measured);
        rows.iter().for_each(|row| {
            table.row(row.cells(&rows[1]));
        });
        table
    }

    fn checks(&self) -> Table {
        let Measured { check, check_b, .. } = &self.measured;
        let mut table = Table::with_header(["", "set A", "set B"]);
        for (what, of) in [
            ("loss", (|c: &Checked| c.loss) as fn(&Checked) -> f64),
            ("num = df·ω", |c| c.num),
            ("den = d²f(ω, ω)", |c| c.den),
            ("Gauss–Newton part of den", |c| c.gn),
        ] {
            table.row([what.to_owned(), format!("{:.9e}", of(check)), format!("{:.9e}", of(check_b))]);
        }
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (heading, repeats, formula) = (self.heading(), self.repeats, self.direction.formula());
        let (costs, checks) = (self.costs(), self.checks());
        let products = self.measured.products.map_or("", |_| PRODUCTS);
        write!(
            f,
            "{heading}\n\n\
            {costs}\nMilliseconds a call, the median of {repeats}; operations of its matrix products; the rate of them; memory in \
            use at once.\nTime and operations also as multiples of the gradient's.\n{TIMES}{products}\n\
            Along the direction ω = {formula},\non each of the two sets that calls alternate between, after one step on the other:\n{checks}\n{VALUES}"
        )
    }
}

/// One quantity in the table of costs.
struct CostRow {
    what: &'static str,
    ms: f64,
    flop: u64,
    /// `None` where memory is not measured.
    peak_bytes: Option<usize>,
}

impl CostRow {
    const HEADER: [&str; 7] = ["", "ms", "gradients", "MFLOP", "gradients", "GFLOP/s", "MB"];

    fn all(measured: &Measured) -> Vec<CostRow> {
        let Measured { ms, flop, peak_bytes, products, .. } = measured;
        let row = |what, pick: fn(&Quantities<usize>) -> usize, ms, flop| CostRow {
            what,
            ms,
            flop,
            peak_bytes: Some(pick(peak_bytes)),
        };
        let mut rows = vec![
            row("loss", |q| q.value, ms.value, flop.value),
            row("gradient", |q| q.grad, ms.grad, flop.grad),
            row("gradient and Hv", |q| q.hvp, ms.hvp, flop.hvp),
            row("one more Hv on the recorded operator", |q| q.hvp_again, ms.hvp_again, flop.hvp_again),
            row("gradient, exact num and den", |q| q.gen_exact, ms.gen_exact, flop.gen_exact),
            row("gradient and two more losses (approximate GeN)", |q| q.gen_approx, ms.gen_approx, flop.gen_approx),
        ];
        rows.extend(products.map(|products| CostRow {
            what: "the gradient's products alone",
            ms: products.ms,
            flop: products.flop,
            peak_bytes: None,
        }));
        rows
    }

    fn cells(&self, gradient: &CostRow) -> [String; 7] {
        [
            self.what.to_owned(),
            format!("{:.4}", self.ms),
            format!("{:.2}", self.ms / gradient.ms),
            format!("{:.3}", self.flop as f64 / 1e6),
            format!("{:.2}", self.flop as f64 / gradient.flop as f64),
            format!("{:.1}", self.flop as f64 / self.ms / 1e6),
            self.peak_bytes.map_or(String::new(), |bytes| format!("{:.2}", bytes as f64 / 1e6)),
        ]
    }
}
