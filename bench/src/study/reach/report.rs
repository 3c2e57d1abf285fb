//! Data, figures and report of a study of reach.

use std::fmt::Write as _;

use super::measure::{Measured, Sampled};
use crate::command::CommandError;
use crate::report::plot::{Curve, Curves, Scale, curves};
use crate::report::run_folder::RunFolder;
use crate::report::stats::quantile;
use crate::report::table::Table;

/// Writes everything; gives the report.
pub(super) fn write(measured: &Measured, folder: &RunFolder) -> Result<String, CommandError> {
    folder.write("lines.csv", &lines_csv(measured))?;
    folder.write("points.csv", &points_csv(measured))?;
    folder.write("layers.csv", &layers_csv(measured))?;
    let steps = steps(measured);
    for &step in &steps {
        let line = measured.lines.iter().find(|line| line.step == step).expect("a line at each step");
        folder.write(&format!("line-{step}.svg"), &curves(&one_line(line))?)?;
    }
    folder.write("deviation.svg", &curves(&deviations(measured, &steps))?)?;
    folder.write("layers.svg", &curves(&layers(measured, &steps))?)?;
    let report = report(measured, &steps);
    folder.write("report.md", &report)?;
    Ok(report)
}

/// The steps, each once.
fn steps(measured: &Measured) -> Vec<u64> {
    let mut steps: Vec<u64> = measured.lines.iter().map(|line| line.step).collect();
    steps.dedup();
    steps
}

fn or_empty(x: Option<f64>) -> String {
    x.map_or(String::new(), |x| x.to_string())
}

fn lines_csv(measured: &Measured) -> String {
    let mut text = "step,sample,loss,num,den,gauss_newton,third,decrease_over_predicted,reach_2,reach_3\n".to_owned();
    for line in &measured.lines {
        let Sampled { step, sample, value, parabola, .. } = line;
        let _ = writeln!(
            text,
            "{step},{sample},{value},{},{},{},{},{},{},{}",
            parabola.num,
            parabola.den,
            or_empty(line.gauss_newton),
            or_empty(line.third),
            or_empty(line.kept_promise()),
            line.reach(false),
            line.reach(true)
        );
    }
    text
}

fn points_csv(measured: &Measured) -> String {
    let mut text = "step,sample,alpha,loss,parabola,cubic\n".to_owned();
    for line in &measured.lines {
        for (x, loss) in &line.points {
            let alpha = x * line.unit();
            let (two, three) = (line.predicted(alpha, false), line.predicted(alpha, true));
            let _ = writeln!(text, "{},{},{alpha},{loss},{two},{three}", line.step, line.sample);
        }
    }
    text
}

fn layers_csv(measured: &Measured) -> String {
    let mut text = "step,layer,other,curvature\n".to_owned();
    for line in &measured.lines {
        for (row, i) in line.blocks.iter().flatten().zip(&measured.layers) {
            for (x, j) in row.iter().zip(&measured.layers) {
                let _ = writeln!(text, "{},{i},{j},{x}", line.step);
            }
        }
    }
    text
}

/// The loss along one line against its parabola and its cubic: the seed's figure.
fn one_line(line: &Sampled) -> Curves<'static> {
    let along = |label: &str, colour, is_dashed, of: &dyn Fn(f64, f64) -> f64| Curve {
        label: label.to_owned(),
        points: line.points.iter().map(|(x, loss)| (x * line.unit(), of(x * line.unit(), *loss))).collect(),
        is_dashed,
        colour,
        ..Curve::default()
    };
    let low = line.points.iter().map(|p| p.1).fold(line.value, f64::min);
    let fall = (line.value - low).max(0.1 * line.value.abs());
    // What leaves the figure, loss or polynomial, would hide where the minimum is.
    let within = |y: f64| if (low - fall..=line.value + 2.0 * fall).contains(&y) { y } else { f64::NAN };
    Curves {
        title: match line.step {
            0 => "Loss along the first step's direction",
            _ => "Loss along a step's direction",
        },
        names: ["α", "loss"],
        scales: [Scale::Linear, Scale::Linear],
        note: "on one mini-batch",
        curves: vec![
            along("loss g(α)", 1, false, &|_, loss| within(loss)),
            along("parabola", 0, true, &|alpha, _| within(line.predicted(alpha, false))),
            along("with the third derivative", 2, true, &|alpha, _| within(line.predicted(alpha, true))),
        ],
    }
}

/// How far the loss is from the parabola and the cubic, over α, as training goes on.
fn deviations(measured: &Measured, steps: &[u64]) -> Curves<'static> {
    let curve = |step: u64, third: bool, colour: usize| {
        let lines: Vec<&Sampled> = measured.lines.iter().filter(|line| line.step == step).collect();
        let most = lines.iter().map(|line| line.points.len()).max().unwrap_or(0);
        let at = |i: usize| -> Vec<f64> {
            let off = |line: &&Sampled| {
                let (x, loss) = line.points.get(i)?;
                let predicted = line.predicted(x * line.unit(), third);
                Some((loss - predicted).abs() / line.parabola.decrease(line.unit()).abs())
            };
            lines.iter().filter_map(off).collect()
        };
        let x = |i: usize| lines.iter().find_map(|line| line.points.get(i)).map_or(f64::NAN, |point| point.0);
        Curve {
            label: format!("{} {step} steps, degree {}", "after", if third { 3 } else { 2 }),
            points: (1..most).map(|i| (x(i), quantile(&at(i), 0.5))).collect(),
            is_dashed: third,
            colour,
            ..Curve::default()
        }
    };
    let both = steps.iter().enumerate().flat_map(|(i, step)| [curve(*step, false, i), curve(*step, true, i)]);
    Curves {
        title: "How far the loss leaves its Taylor polynomials",
        names: ["α, in multiples of α*", "|g − polynomial| / decrease predicted at α*"],
        scales: [Scale::Linear, Scale::Log],
        note: "medians over mini-batches",
        curves: both.collect(),
    }
}

/// The share of each layer in den: its own curvature, and with the others'.
fn layers(measured: &Measured, steps: &[u64]) -> Curves<'static> {
    let at = |step: u64| measured.lines.iter().find(|line| line.step == step).and_then(|line| line.blocks.as_ref());
    let share = |k: usize, whole: bool| -> Vec<(f64, f64)> {
        let of = |step: &u64| {
            let blocks = at(*step)?;
            let den: f64 = blocks.iter().flatten().sum();
            let part: f64 = if whole { blocks[k].iter().sum() } else { blocks[k][k] };
            Some((*step as f64, 100.0 * part / den))
        };
        steps.iter().filter_map(of).collect()
    };
    let curve =
        |label: String, points, colour, is_dashed| Curve { label, points, colour, is_dashed, ..Curve::default() };
    let both = measured.layers.iter().enumerate().flat_map(|(k, layer)| {
        [curve(layer.clone(), share(k, true), k, false), curve(format!("{layer}, alone"), share(k, false), k, true)]
    });
    Curves {
        title: "Where curvature sits: shares of den by layer",
        names: ["step", "% of den"],
        scales: [Scale::Linear, Scale::Linear],
        note: "on the first mini-batch of each",
        curves: both.collect(),
    }
}

fn report(measured: &Measured, steps: &[u64]) -> String {
    let mut text = "# Reach\n\nHow well the loss along a step, g(α) = f(θ − αω), is told by its parabola, by its cubic, and where its \
        curvature sits. Medians over mini-batches, with the 10 and 90 % quantiles in brackets.\n\n"
        .to_owned();
    let mut table = Table::with_header([
        "after steps",
        "num",
        "den",
        "Gauss–Newton share",
        "concave",
        "decrease at α*, actual over predicted",
        "reach of the parabola",
        "reach of the cubic",
    ]);
    for &step in steps {
        let lines: Vec<&Sampled> = measured.lines.iter().filter(|line| line.step == step).collect();
        let of = |f: &dyn Fn(&Sampled) -> f64| lines.iter().map(|line| f(line)).collect::<Vec<_>>();
        let spread = |values: Vec<f64>| {
            format!("{:.3} [{:.3}, {:.3}]", quantile(&values, 0.5), quantile(&values, 0.1), quantile(&values, 0.9))
        };
        let concave = lines.iter().filter(|line| line.parabola.den < 0.0).count();
        table.row([
            step.to_string(),
            format!("{:.3e}", quantile(&of(&|line| line.parabola.num), 0.5)),
            format!("{:.3e}", quantile(&of(&|line| line.parabola.den), 0.5)),
            spread(of(&|line| line.gauss_newton.map_or(f64::NAN, |part| part / line.parabola.den))),
            format!("{concave} of {}", lines.len()),
            spread(of(&|line| line.kept_promise().unwrap_or(f64::NAN))),
            spread(of(&|line| line.reach(false))),
            spread(of(&|line| line.reach(true))),
        ]);
    }
    let _ = writeln!(
        text,
        "{}\nReach: the multiple of α* up to which the polynomial is off by no more than a tenth of the decrease predicted at α*; inf \
        where it is not left within what was sampled.\n",
        table.to_markdown()
    );
    let _ = writeln!(text, "## Curvature by layer\n\n{}", layer_table(measured, steps));
    text
}

/// The share of each layer in den at each step, its own curvature in brackets.
fn layer_table(measured: &Measured, steps: &[u64]) -> String {
    let mut table = Table::with_header(["after steps", "layer", "% of den", "% of den, alone"]);
    for &step in steps {
        let Some(blocks) = measured.lines.iter().find(|l| l.step == step).and_then(|l| l.blocks.as_ref()) else {
            continue;
        };
        let den: f64 = blocks.iter().flatten().sum();
        for (k, layer) in measured.layers.iter().enumerate() {
            let percent = |x: f64| format!("{:.1}", 100.0 * x / den);
            table.row([step.to_string(), layer.clone(), percent(blocks[k].iter().sum()), percent(blocks[k][k])]);
        }
    }
    table.to_markdown()
}
