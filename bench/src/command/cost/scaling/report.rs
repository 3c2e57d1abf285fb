//! What `parabola cost --scaling` prints and draws.

use std::fmt;

use serde::Serialize;

use crate::command::cost::report::Report;
use crate::measure::{Measured, Quantities};
use crate::reference::sizes::{SizeAxis, SizedModel};
use crate::report::plot::{self, PlotError};
use crate::report::table::Table;

/// A quantity that is shown.
struct Shown {
    column: &'static str,
    /// The name in the figure.
    legend: &'static str,
    of: fn(&Quantities) -> f64,
}

const SHOWN: [Shown; 5] = [
    Shown { column: "loss", legend: "loss", of: |q| q.value },
    Shown { column: "gradient", legend: "gradient", of: |q| q.grad },
    Shown { column: "Hv", legend: "gradient and Hv", of: |q| q.hvp },
    Shown { column: "exact", legend: "exact GeN", of: |q| q.gen_exact },
    Shown { column: "approx.", legend: "approximate GeN", of: |q| q.gen_approx },
];

/// What the columns mean.
const COLUMNS: &str = "\
Hv: the gradient and a Hessian–vector product.
exact, approx.: GeN, that is the gradient, and exact num and den or two more losses.
";

/// What the command prints: all that it prints of the model itself, and the sweep.
#[derive(Serialize)]
pub(super) struct ScalingReport {
    #[serde(flatten)]
    own: Report,
    axis: SizeAxis,
    #[serde(rename = "scaling")]
    entries: Vec<Entry>,
    plot: String,
}

/// One size of the model.
#[derive(Serialize)]
struct Entry {
    size: usize,
    hidden: Vec<usize>,
    batch: usize,
    params: usize,
    ms: Quantities,
    flop: Quantities<u64>,
    peak_bytes: Quantities<usize>,
    /// Exact GeN's time divided by the rows of the batch or the number of parameters, whichever varies.
    exact_ms_per_unit: f64,
    exact_per_gradient: f64,
    /// d log t / d log n since the size before, n being rows or parameters.
    exponents: Option<Quantities>,
    #[serde(skip)]
    units: f64,
}

fn entries(axis: SizeAxis, models: &[SizedModel], measured: &[Measured]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::with_capacity(models.len());
    for (SizedModel { size, spec }, Measured { ms, flop, peak_bytes, .. }) in models.iter().zip(measured) {
        let params = spec.parameters();
        let units = if axis == SizeAxis::Batch { spec.batch } else { params } as f64;
        entries.push(Entry {
            size: *size,
            hidden: spec.network.hidden(),
            batch: spec.batch,
            params,
            ms: *ms,
            flop: *flop,
            peak_bytes: *peak_bytes,
            exact_ms_per_unit: ms.gen_exact / units,
            exact_per_gradient: ms.gen_exact / ms.grad,
            exponents: entries.last().map(|before| exponents((before.units, &before.ms), (units, ms))),
            units,
        });
    }
    entries
}

/// log(t₂/t₁) / log(n₂/n₁) of each quantity, from (n, t) at two sizes.
fn exponents((n1, t1): (f64, &Quantities), (n2, t2): (f64, &Quantities)) -> Quantities {
    t1.zip(t2, |t1, t2| (t2 / t1).ln() / (n2 / n1).ln())
}

impl Entry {
    /// What varies, in short: the batch, the hidden widths or their number.
    fn label(&self, axis: SizeAxis) -> String {
        if axis != SizeAxis::Width || self.even() {
            return self.size.to_string();
        }
        self.hidden.iter().map(usize::to_string).collect::<Vec<_>>().join("-")
    }

    /// Whether all hidden layers have the same width.
    fn even(&self) -> bool {
        self.hidden.windows(2).all(|w| w[0] == w[1])
    }

    fn header(axis: SizeAxis) -> [&'static str; 9] {
        let [loss, gradient, hv, exact, approx] = SHOWN.map(|s| s.column);
        let per_unit = if axis == SizeAxis::Batch { "exact, µs/row" } else { "exact, ns/parameter" };
        let size = if axis == SizeAxis::Depth { "hidden layers" } else { axis.name() };
        [size, "parameters", loss, gradient, hv, exact, approx, per_unit, "exact/gradient"]
    }

    fn cells(&self, axis: SizeAxis) -> [String; 9] {
        let [loss, gradient, hv, exact, approx] = SHOWN.map(|s| format!("{:.4}", (s.of)(&self.ms)));
        let per_unit = self.exact_ms_per_unit * if axis == SizeAxis::Batch { 1e3 } else { 1e6 };
        let ratio = format!("{:.2}", self.exact_per_gradient);
        let params = self.params.to_string();
        [self.label(axis), params, loss, gradient, hv, exact, approx, format!("{per_unit:.3}"), ratio]
    }
}

impl ScalingReport {
    /// The report on a model and its sizes, each measured, with the figure in the file `plot`.
    pub(super) fn new(own: Report, axis: SizeAxis, models: &[SizedModel], measured: &[Measured], plot: String) -> Self {
        ScalingReport { own, axis, entries: entries(axis, models, measured), plot }
    }

    /// The exponents from the smallest to the largest size.
    fn overall(&self) -> Quantities {
        let (first, last) = (&self.entries[0], &self.entries[self.entries.len() - 1]);
        exponents((first.units, &first.ms), (last.units, &last.ms))
    }

    fn times(&self) -> Table {
        let mut table = Table::with_header(Entry::header(self.axis));
        self.entries.iter().for_each(|entry| {
            table.row(entry.cells(self.axis));
        });
        table
    }

    fn growth(&self) -> Table {
        let [loss, gradient, hv, exact, approx] = SHOWN.map(|s| s.column);
        let mut table = Table::with_header(["exponent", loss, gradient, hv, exact, approx]);
        let mut row = |from: &Entry, to: &Entry, exponents: &Quantities| {
            let [a, b, c, d, e] = SHOWN.map(|s| format!("{:.2}", (s.of)(exponents)));
            table.row([format!("{} to {}", from.label(self.axis), to.label(self.axis)), a, b, c, d, e]);
        };
        for pair in self.entries.windows(2) {
            pair[1].exponents.iter().for_each(|exponents| row(&pair[0], &pair[1], exponents));
        }
        row(&self.entries[0], &self.entries[self.entries.len() - 1], &self.overall());
        table
    }

    /// What times are compared with.
    fn unit(&self) -> &'static str {
        if self.axis == SizeAxis::Batch { "rows" } else { "parameters" }
    }

    /// The figure, as SVG text.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub(super) fn figure(&self, model: &str) -> Result<String, PlotError> {
        let ratios = self.entries.iter().map(|e| e.exact_per_gradient);
        let (low, high) = ratios.fold((f64::INFINITY, 0.0f64), |(low, high), r| (low.min(r), high.max(r)));
        let exponent = self.overall().gen_exact;
        let unit = self.unit();
        let title =
            format!("{model}: exact GeN takes {low:.1} to {high:.1} gradients and grows as {unit}^{exponent:.2}");
        let sizes: Vec<(f64, String)> = self.entries.iter().map(|e| (e.units, self.tick(e))).collect();
        let times = SHOWN.map(|s| (s.legend, self.entries.iter().map(|e| (s.of)(&e.ms)).collect()));
        let axis = match self.axis {
            SizeAxis::Batch => "rows of the batch",
            SizeAxis::Width if self.entries.iter().all(Entry::even) => "parameters, and the width of the hidden layers",
            SizeAxis::Width => "parameters, and the width of the first hidden layer",
            SizeAxis::Depth => "parameters, and the number of hidden layers",
        };
        let note = self.own.setting();
        plot::scaling(&plot::Scaling { title: &title, note: &note, axis, sizes: &sizes, times: &times })
    }

    fn tick(&self, entry: &Entry) -> String {
        match self.axis {
            SizeAxis::Batch => entry.size.to_string(),
            _ => format!("{} ({})", short(entry.params), entry.size),
        }
    }
}

impl fmt::Display for ScalingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ScalingReport { own, axis, plot, .. } = self;
        let (axis, unit, times, growth) = (axis.name(), self.unit(), self.times(), self.growth());
        let (heading, repeats) = (own.heading(), own.repeats());
        write!(
            f,
            "{heading}, by {axis}\n\n{times}\nMilliseconds a call, the median of {repeats}.\n{COLUMNS}\n{growth}\n\
            Between these sizes, time grows as {unit}^exponent: 1 is in proportion to {unit}.\n\nwrote {plot}\n"
        )
    }
}

/// A count to about three digits.
fn short(count: usize) -> String {
    let (value, unit) = match count as f64 {
        n if n < 1e3 => return count.to_string(),
        n if n < 999_500.0 => (n / 1e3, "k"),
        n => (n / 1e6, "M"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command::cost::report::Subject;
    use crate::command::{Cli, Command};
    use crate::measure::{Checked, Products};
    use crate::reference::Spec;

    /// The report on a model whose gradient takes n^`power` milliseconds with n rows or parameters, and exact GeN twice
    /// that.
    fn report(model: &str, axis: SizeAxis, power: f64, look: impl Fn(&ScalingReport)) {
        let words = ["parabola", "cost", "--repeats", "3", "--scaling", axis.name(), "--model", model];
        let Ok(Command::Cost(args)) = Cli::try_parse_from(words).map(Cli::chosen) else { panic!("{model}") };
        let spec = Spec::from_name_or_json(model).unwrap();
        let (models, own) = axis.ladder(&spec).unwrap();
        let measured = models.each_ref().map(|m| {
            let n = if axis == SizeAxis::Batch { m.spec.batch } else { m.spec.parameters() };
            let t = (n as f64).powf(power);
            let check = Checked { loss: 1.0, num: 1.0, den: 1.0, gn: 1.0 };
            let ms = Quantities { value: 1.0, grad: t, hvp: t, hvp_again: t, gen_exact: 2.0 * t, gen_approx: t };
            let products = Some(Products { ms: t, flop: 1 });
            Measured { check, check_b: check, ms, flop: ms.map(|_| 1), peak_bytes: ms.map(|_| 1), products }
        });
        let heading = Report::new(&args, Subject::of(&args, &spec), args.machine.dtype(), 1, measured[own]);
        look(&ScalingReport::new(heading, axis, &models, &measured, "figure.svg".to_owned()));
    }

    #[test]
    fn tables_show_sizes_times_and_exponents() {
        report("mlp-digits", SizeAxis::Batch, 1.0, |report| {
            let text = report.to_string();
            for line in [
                "mlp-digits: 26122 parameters, f32, 1 thread, direction sgd, by batch",
                "batch  parameters    loss  gradient        Hv     exact   approx.  exact, µs/row  exact/gradient",
                "16          26122  1.0000   16.0000   16.0000   32.0000   16.0000       2000.000            2.00",
                "256         26122  1.0000  256.0000  256.0000  512.0000  256.0000       2000.000            2.00",
                "Milliseconds a call, the median of 3.",
                "exponent    loss  gradient    Hv  exact  approx.",
                "16 to 32    0.00      1.00  1.00   1.00     1.00",
                "16 to 256   0.00      1.00  1.00   1.00     1.00",
                "wrote figure.svg",
            ] {
                assert!(text.lines().any(|l| l == line), "{line:?} is missing:\n{text}");
            }
        });
    }

    #[test]
    fn widths_and_depths_are_compared_with_parameters() {
        let uneven = r#"{"kind":"mlp","sizes":[9,8,4,2],"batch":5,"act":"relu","loss":"mse"}"#;
        for (axis, label, tick) in [(SizeAxis::Width, "32-16", "882 (32)"), (SizeAxis::Depth, "16", "406 (16)")] {
            report(uneven, axis, 0.5, |report| {
                let text = report.to_string();
                let largest = &report.entries[4];
                assert_eq!((largest.label(axis).as_str(), report.tick(largest).as_str()), (label, tick));
                assert!(text.contains("parameters^exponent") && text.contains("ns/parameter"), "{text}");
                let exponents = largest.exponents.unwrap();
                assert!((exponents.gen_exact - 0.5).abs() < 1e-12 && exponents.value.abs() < 1e-12, "{exponents:?}");
                let svg = report.figure("some net").unwrap();
                for part in [
                    "some net: exact GeN takes 2.0 to 2.0 gradients and grows as parameters^0.50",
                    tick,
                    "f32, 1 thread, direction sgd",
                ] {
                    assert!(svg.contains(part), "{part} is missing");
                }
            });
        }
    }

    #[test]
    fn counts_are_short() {
        for (count, text) in [
            (7, "7"),
            (999, "999"),
            (1133, "1.13k"),
            (26_122, "26.1k"),
            (535_818, "536k"),
            (999_600, "1.00M"),
            (3_159_050, "3.16M"),
        ] {
            assert_eq!(short(count), text);
        }
    }
}
