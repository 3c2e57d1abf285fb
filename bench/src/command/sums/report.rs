//! What `parabola sums` prints and draws.

use std::fmt;

use gen_sched::closed_form::Sizes;
use serde::Serialize;

use super::{Act, SumsArgs};
use crate::measure::ways::{Call, Rounds};
use crate::report::plot::{self, Curve, Curves, PlotError, Scale};
use crate::report::table::Table;

/// A column of times.
struct Shown {
    call: Call,
    /// The name in tables and the figure.
    name: &'static str,
    /// The number of the colour in the figure.
    colour: usize,
}

/// The ways of the closed form, and the engine.
const SHOWN: [Shown; 4] = [
    Shown { call: Call::Sums, name: "triple sum", colour: 0 },
    Shown { call: Call::Gram, name: "Gram", colour: 1 },
    Shown { call: Call::Direct, name: "direct", colour: 2 },
    Shown { call: Call::Engine, name: "engine", colour: 6 },
];

/// What the columns mean.
const COLUMNS: &str = "\
network: outputs, residuals and slopes, from which the three ways of the closed form start.
triple sum, Gram, direct: num and den by the sums term by term, by the Gram matrix of the inputs, by the gradient.
engine: loss, gradient, num and den by automatic differentiation, from the beginning.
";

/// The times of one size.
pub(super) struct Sized {
    pub(super) sizes: Sizes,
    /// One of each number of threads.
    pub(super) rounds: Vec<Rounds>,
    /// What was left out, and the seconds that it was predicted to take.
    pub(super) left_out: Vec<(Call, f64)>,
    /// The greatest relative difference of num or den from the engine's.
    pub(super) difference: f64,
}

/// What the command prints.
#[derive(Serialize)]
pub(super) struct Report {
    program: &'static str,
    version: &'static str,
    inputs: usize,
    outputs: usize,
    act: Act,
    dtype: &'static str,
    repeats: usize,
    /// By rows, then by threads.
    times: Vec<Row>,
    left_out: Vec<LeftOut>,
    /// The greatest relative difference of num or den from the engine's.
    difference: f64,
    growth: Vec<Growth>,
    ratios: Vec<Ratio>,
    plot: String,
    #[serde(skip)]
    threads: Vec<usize>,
}

/// Median times at one size and number of threads, in milliseconds.
#[derive(Serialize)]
struct Row {
    rows: usize,
    threads: usize,
    network: Option<f64>,
    sums: Option<f64>,
    gram: Option<f64>,
    direct: Option<f64>,
    engine: Option<f64>,
}

impl Row {
    fn new(rows: usize, threads: usize, rounds: &Rounds) -> Self {
        let [network, sums, gram, direct, engine] =
            [Call::Network, Call::Sums, Call::Gram, Call::Direct, Call::Engine].map(|call| rounds.median(call));
        Row { rows, threads, network, sums, gram, direct, engine }
    }

    /// The times in the order of [`SHOWN`].
    fn shown(&self) -> [Option<f64>; 4] {
        [self.sums, self.gram, self.direct, self.engine]
    }
}

/// A way that was left out at a size.
#[derive(Serialize)]
struct LeftOut {
    rows: usize,
    way: &'static str,
    predicted_s: f64,
}

/// d log t / d log M from one size to another, in the order of [`SHOWN`].
#[derive(Serialize)]
struct Growth {
    from: usize,
    to: usize,
    threads: usize,
    exponents: [Option<f64>; 4],
}

/// How times compare at the largest size at which both are known.
#[derive(Serialize)]
struct Ratio {
    what: &'static str,
    rows: usize,
    threads: usize,
    value: f64,
}

/// A ratio at one size, where it was measured.
type Measured = fn(&Sized, &Rounds) -> Option<f64>;

/// Times compared in each round.
const RATIOS: [(&str, Measured); 2] = [
    ("network and direct form over engine", |_, rounds| {
        rounds.median_of([Call::Network, Call::Direct, Call::Engine], |[network, direct, engine]| {
            (network + direct) / engine
        })
    }),
    ("Gram form over its matrix products", |sized, rounds| {
        // Half of the first product, its diagonal included, is all that the form computes of it.
        let m = sized.sizes.samples as f64;
        let half = (m + 1.0) / (2.0 * m);
        let calls = [Call::Gram, Call::InputProduct, Call::DeltaProduct];
        rounds.median_of(calls, |[gram, inputs, deltas]| gram / (half * inputs + deltas))
    }),
];

/// The time of the triple sum on one thread over that on several, and their number.
const SPEED: &str = "triple sum on one thread over on several";

impl Report {
    /// The report on sizes by increasing M, each measured with these numbers of threads; the figure is in the file `plot`.
    pub(super) fn new(args: &SumsArgs, threads: Vec<usize>, measured: Vec<Sized>, plot: String) -> Self {
        let row = |sized: &Sized| -> Vec<Row> {
            let all = threads.iter().zip(&sized.rounds);
            all.map(|(threads, rounds)| Row::new(sized.sizes.samples, *threads, rounds)).collect()
        };
        let times: Vec<Row> = measured.iter().flat_map(row).collect();
        Report {
            program: "parabola",
            version: env!("CARGO_PKG_VERSION"),
            inputs: args.inputs,
            outputs: args.outputs,
            act: args.act,
            dtype: "f64",
            repeats: args.repeats,
            growth: growth(&times, &threads),
            times,
            left_out: measured.iter().flat_map(left_out).collect(),
            difference: measured.iter().map(|sized| sized.difference).fold(0.0, f64::max),
            ratios: ratios(&measured, &threads),
            plot,
            threads,
        }
    }

    fn heading(&self) -> String {
        let Report { inputs, outputs, act, dtype, .. } = self;
        format!("{inputs}→{outputs}, {}, squared loss, {dtype}", act_name(*act))
    }

    fn table(&self) -> Table {
        let [sums, gram, direct, engine] = SHOWN.map(|shown| shown.name);
        let mut table = Table::with_header(["M", "threads", "network", sums, gram, direct, engine]);
        for row in &self.times {
            let ms = |t: Option<f64>| t.map_or("-".to_owned(), |t| format!("{t:.4}"));
            let [sums, gram, direct, engine] = row.shown().map(ms);
            table.row([row.rows.to_string(), row.threads.to_string(), ms(row.network), sums, gram, direct, engine]);
        }
        table
    }

    fn exponents(&self) -> Table {
        let [sums, gram, direct, engine] = SHOWN.map(|shown| shown.name);
        let mut table = Table::with_header(["exponent", "threads", sums, gram, direct, engine]);
        for Growth { from, to, threads, exponents } in &self.growth {
            let [a, b, c, d] = exponents.map(|e| e.map_or("-".to_owned(), |e| format!("{e:.2}")));
            table.row([format!("{from} to {to}"), threads.to_string(), a, b, c, d]);
        }
        table
    }

    fn comparisons(&self) -> Table {
        let mut table = Table::with_header(["ratio", "M", "threads", "median"]);
        for Ratio { what, rows, threads, value } in &self.ratios {
            table.row([(*what).to_owned(), rows.to_string(), threads.to_string(), format!("{value:.2}")]);
        }
        table
    }

    /// The figure, as SVG text.
    ///
    /// # Errors
    /// If it cannot be drawn.
    pub(super) fn figure(&self) -> Result<String, PlotError> {
        let several = self.threads.len() > 1;
        let mut curves = Vec::new();
        for (i, Shown { name, colour, .. }) in SHOWN.iter().enumerate() {
            for (j, threads) in self.threads.iter().enumerate() {
                let rows = self.times.iter().filter(|row| row.threads == *threads);
                let points = rows.filter_map(|row| Some((row.rows as f64, row.shown()[i]?))).collect();
                let label = if several { format!("{name}, {}", plural(*threads)) } else { (*name).to_owned() };
                curves.push(Curve { label, points, is_dashed: j > 0, colour: *colour, ..Curve::default() });
            }
        }
        let note = match self.threads[..] {
            [one] => format!("{}; the ways start from the evaluated network", plural(one)),
            _ => "the three ways start from the evaluated network, the engine from the beginning".to_owned(),
        };
        plot::curves(&Curves {
            title: &self.title(),
            names: ["rows M of the batch", "milliseconds a call"],
            scales: [Scale::Log, Scale::Log],
            note: &note,
            curves,
        })
    }

    /// What grows how, over the last doubling or whatever the last two sizes are.
    fn title(&self) -> String {
        let Report { inputs, outputs, .. } = self;
        let name = format!("Time of num and den, {inputs}→{outputs}");
        let Some(last) = self.growth.iter().rfind(|growth| growth.threads == self.threads[0]) else { return name };
        let grows = |(shown, exponent): (&Shown, &Option<f64>)| exponent.map(|e| format!("{} M^{e:.1}", shown.name));
        let all: Vec<String> = SHOWN.iter().zip(&last.exponents).take(3).filter_map(grows).collect();
        format!("{name}: {}", all.join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (repeats, plot) = (self.repeats, &self.plot);
        write!(f, "{}\n\n{}\n", self.heading(), self.table())?;
        write!(f, "Milliseconds a call, the median of {repeats}.\n{COLUMNS}")?;
        for LeftOut { rows, way, predicted_s } in &self.left_out {
            writeln!(f, "Left out: {way} at M = {rows}, predicted to take {predicted_s:.1} s a call.")?;
        }
        if !self.growth.is_empty() {
            write!(f, "\n{}\nBetween these sizes, time grows as M^exponent.\n", self.exponents())?;
        }
        write!(f, "\n{}\nRatios are taken in each of {repeats} rounds. ", self.comparisons())?;
        write!(f, "num and den differ from the engine's by {:.1e} at most.\n\nwrote {plot}\n", self.difference)
    }
}

fn act_name(act: Act) -> &'static str {
    match act {
        Act::Identity => "identity",
        Act::Relu => "relu",
        Act::LeakyRelu => "leaky_relu",
    }
}

fn plural(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

fn left_out(sized: &Sized) -> Vec<LeftOut> {
    let name = |call| SHOWN.iter().find(|shown| shown.call == call).map_or("", |shown| shown.name);
    let entry = |(call, predicted_s): &(Call, f64)| LeftOut {
        rows: sized.sizes.samples,
        way: name(*call),
        predicted_s: *predicted_s,
    };
    sized.left_out.iter().map(entry).collect()
}

/// The exponents from the first to the last size and between the last two, for each number of threads.
fn growth(times: &[Row], threads: &[usize]) -> Vec<Growth> {
    let mut all = Vec::new();
    for &threads in threads {
        let rows: Vec<&Row> = times.iter().filter(|row| row.threads == threads).collect();
        let [first, .., before, last] = rows[..] else {
            if let [first, last] = rows[..] {
                all.push(between(first, last));
            }
            continue;
        };
        all.extend([between(first, last), between(before, last)]);
    }
    all
}

fn between(from: &Row, to: &Row) -> Growth {
    let scale = (to.rows as f64 / from.rows as f64).ln();
    let (before, after) = (from.shown(), to.shown());
    let exponents = std::array::from_fn(|i| Some((after[i]? / before[i]?).ln() / scale));
    Growth { from: from.rows, to: to.rows, threads: from.threads, exponents }
}

/// What is compared, each at the largest size at which it can be.
fn ratios(measured: &[Sized], threads: &[usize]) -> Vec<Ratio> {
    let mut all = Vec::new();
    for (i, &threads_here) in threads.iter().enumerate().skip(1) {
        let speed = |sized: &Sized| sized.rounds[0].median_against(&sized.rounds[i], Call::Sums);
        let found = measured.iter().rev().find_map(|sized| Some((sized.sizes.samples, speed(sized)?)));
        if let (1, Some((rows, value))) = (threads[0], found) {
            all.push(Ratio { what: SPEED, rows, threads: threads_here, value });
        }
    }
    for (what, ratio) in RATIOS {
        for (i, &threads) in threads.iter().enumerate() {
            let value = |sized: &Sized| Some((sized.sizes.samples, ratio(sized, &sized.rounds[i])?));
            if let Some((rows, value)) = measured.iter().rev().find_map(value) {
                all.push(Ratio { what, rows, threads, value });
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::command::{Cli, Command};

    /// The report on made-up times: M³, M² and M milliseconds, two threads taking half of one thread's time; the sums are left out at
    /// M = 64.
    fn report(threads: &[usize]) -> Report {
        let Ok(Command::Sums(args)) = Cli::try_parse_from(["parabola", "sums"]).map(Cli::chosen) else {
            panic!("args")
        };
        let sized = |samples: usize| {
            let m = samples as f64;
            let sums = (samples < 64).then_some(m * m * m);
            let ms = [Some(1.0), sums, Some(m * m), Some(m), Some(2.0 * m), Some(m * m), Some(m)];
            let on = |n: &usize| Rounds::constant(ms.map(|ms| ms.map(|ms| ms / *n as f64)));
            Sized {
                sizes: Sizes { samples, inputs: 784, outputs: 10 },
                rounds: threads.iter().map(on).collect(),
                left_out: if sums.is_none() { vec![(Call::Sums, 7.25)] } else { vec![] },
                difference: 1e-15 * m,
            }
        };
        Report::new(&args, threads.to_vec(), [16, 32, 64].map(sized).into(), "figure.svg".to_owned())
    }

    #[test]
    fn tables_show_times_growth_and_ratios() {
        let text = report(&[1, 2]).to_string();
        for line in [
            "784→10, relu, squared loss, f64",
            "M   threads  network  triple sum       Gram   direct    engine",
            "16        1   1.0000   4096.0000   256.0000  16.0000   32.0000",
            "64        2   0.5000           -  2048.0000  32.0000   64.0000",
            "Left out: triple sum at M = 64, predicted to take 7.2 s a call.",
            "exponent  threads  triple sum  Gram  direct  engine",
            "16 to 64        1           -  2.00    1.00    1.00",
            "triple sum on one thread over on several  32        2    2.00",
            "network and direct form over engine       64        1    0.51",
            "wrote figure.svg",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is missing:\n{text}");
        }
        assert!(text.contains("differ from the engine's by 6.4e-14 at most"), "{text}");
    }

    #[test]
    fn the_figure_has_a_curve_a_way_and_number_of_threads() {
        let svg = report(&[1, 2]).figure().unwrap();
        for part in ["triple sum, 1 thread", "Gram, 2 threads", "784→10", "M^2.0", "rows M of the batch (log)"] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(report(&[4]).figure().unwrap().contains("4 threads; the ways start"));
    }

    #[test]
    fn one_number_of_threads_is_not_compared_with_another() {
        assert!(report(&[2]).ratios.iter().all(|ratio| ratio.what != SPEED));
        // Several against several is no speed over one.
        assert!(report(&[2, 4]).ratios.iter().all(|ratio| ratio.what != SPEED));
    }
}
