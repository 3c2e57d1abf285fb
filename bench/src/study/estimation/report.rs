//! Data, figures and report of a study of estimates.

use std::fmt::Write as _;

use super::measure::{Followed, GAMMA, Row, Way};
use crate::command::CommandError;
use crate::config::Dtype;
use crate::config::study::Estimation;
use crate::report::plot::{Curve, Curves, Scale, curves, running_median};
use crate::report::run_folder::RunFolder;
use crate::report::stats::quantile;
use crate::report::table::Table;

/// Writes everything; gives the report.
pub(super) fn write(
    study: &Estimation,
    rows: &[Row],
    followed: &[Followed],
    folder: &RunFolder,
) -> Result<String, CommandError> {
    folder.write("estimates.csv", &estimates_csv(rows))?;
    folder.write("averages.csv", &averages_csv(followed))?;
    let view = View { study, rows };
    for (name, figure) in view.figures() {
        folder.write(name, &curves(&figure)?)?;
    }
    folder.write("averages.svg", &curves(&averages(followed))?)?;
    let report = report(&view, followed);
    folder.write("report.md", &report)?;
    Ok(report)
}

fn estimates_csv(rows: &[Row]) -> String {
    let mut text =
        "activation,step,batch,sample,dtype,way,probe,num,den,exact_num,exact_den,error,wrong_sign\n".to_owned();
    for row in rows {
        let Row { place, dtype, way, probe, found, exact } = row;
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{probe},{},{},{},{},{},{}",
            place.activation,
            place.step,
            place.batch,
            place.sample,
            dtype.name(),
            way.name(),
            found.num,
            found.den,
            exact.num,
            exact.den,
            row.error(),
            row.is_sign_wrong()
        );
    }
    text
}

fn averages_csv(followed: &[Followed]) -> String {
    let mut text = "step,exact,estimate,averaged_exact,averaged_estimate\n".to_owned();
    for Followed { step, exact, estimate, averaged_exact, averaged_estimate } in followed {
        let _ = writeln!(text, "{step},{exact},{estimate},{averaged_exact},{averaged_estimate}");
    }
    text
}

/// The estimates, seen by one condition at a time; the others are held at the first activation, the last step and the
/// middle size of a mini-batch.
struct View<'a> {
    study: &'a Estimation,
    rows: &'a [Row],
}

/// What rows are of one curve.
#[derive(Clone, Debug)]
struct Condition {
    activation: String,
    step: u64,
    batch: usize,
    dtype: Dtype,
    way: Way,
}

impl View<'_> {
    fn usual(&self) -> Condition {
        let Estimation { steps, batches, activations, .. } = self.study;
        Condition {
            activation: activations.first().map_or(String::new(), ToString::to_string),
            step: *steps.last().expect("a study has steps"),
            batch: batches[batches.len() / 2],
            dtype: Dtype::F32,
            way: Way::Three,
        }
    }

    fn rows<'s>(&'s self, c: &'s Condition) -> impl Iterator<Item = &'s Row> + 's {
        self.rows.iter().filter(move |row| {
            let place = &row.place;
            (&place.activation, place.step, place.batch, row.dtype, row.way)
                == (&c.activation, c.step, c.batch, c.dtype, c.way)
        })
    }

    /// The errors, or whether signs are wrong, at one length of the probe.
    fn at(&self, c: &Condition, probe: f64, of: fn(&Row) -> f64) -> Vec<f64> {
        let near = |row: &&Row| row.way == Way::Exact || row.probe == probe;
        self.rows(c).filter(near).map(of).collect()
    }

    fn errors(&self, label: &str, colour: usize, c: &Condition) -> Curve {
        let probes = self.study.probes.iter();
        let at = |probe: &f64| self.at(c, *probe, Row::error);
        Curve {
            label: label.to_owned(),
            points: probes.clone().map(|probe| (*probe, quantile(&at(probe), 0.5))).collect(),
            band: match c.way {
                Way::Exact => Vec::new(),
                _ => probes.map(|p| (*p, quantile(&at(p), 0.1), quantile(&at(p), 0.9))).collect(),
            },
            is_dashed: c.way == Way::Exact,
            colour,
        }
    }

    fn wrong_signs(&self, label: &str, colour: usize, c: &Condition) -> Curve {
        let point = |probe: &f64| (*probe, 100.0 * self.wrong_share(c, *probe));
        let points = self.study.probes.iter().map(point).collect();
        Curve { label: label.to_owned(), points, colour, ..Curve::default() }
    }

    fn wrong_share(&self, c: &Condition, probe: f64) -> f64 {
        let signs = self.at(c, probe, |row| f64::from(row.is_sign_wrong()));
        signs.iter().sum::<f64>() / signs.len() as f64
    }

    fn figures(&self) -> Vec<(&'static str, Curves<'static>)> {
        let Estimation { steps, batches, activations, .. } = self.study;
        let usual = || self.usual();
        let by_way =
            [(Way::Three, Dtype::F32), (Way::Three, Dtype::F64), (Way::Five, Dtype::F32), (Way::Five, Dtype::F64)];
        let by_way = by_way.into_iter().enumerate().map(|(i, (way, dtype))| {
            self.errors(&format!("{}, {}", way.name(), dtype.name()), i, &Condition { way, dtype, ..usual() })
        });
        let exact = Condition { way: Way::Exact, ..usual() };
        let by_way = by_way.chain([self.errors("exact derivatives, f32", 6, &exact)]).collect();
        let by_step = |of: fn(&Self, &str, usize, &Condition) -> Curve| -> Vec<Curve> {
            let curve = |(i, step): (usize, &u64)| {
                of(self, &format!("after {step} steps"), i, &Condition { step: *step, ..usual() })
            };
            steps.iter().enumerate().map(curve).collect()
        };
        let by_batch = batches
            .iter()
            .enumerate()
            .map(|(i, batch)| self.errors(&format!("{batch} rows"), i, &Condition { batch: *batch, ..usual() }));
        let by_activation = activations.iter().enumerate().map(|(i, activation)| {
            let activation = activation.to_string();
            self.errors(&activation.clone(), i, &Condition { activation, ..usual() })
        });
        let mut all = vec![
            ("error-probe.svg", errors("Error of α̂ over the length of the probe", by_way)),
            ("error-steps.svg", errors("Error of α̂ (3 points, f32) as training goes on", by_step(Self::errors))),
            ("error-batches.svg", errors("Error of α̂ (3 points, f32) by rows of the batch", by_batch.collect())),
            ("sign.svg", signs(by_step(Self::wrong_signs))),
        ];
        if !activations.is_empty() {
            all.push((
                "error-activations.svg",
                errors("Error of α̂ (3 points, f32) by activation", by_activation.collect()),
            ));
        }
        all
    }
}

fn errors(title: &'static str, curves: Vec<Curve>) -> Curves<'static> {
    Curves {
        title,
        names: ["probe, in multiples of α*", "|α̂/α* − 1|"],
        scales: [Scale::Log, Scale::Log],
        note: "medians; bands: 10 to 90 % of batches",
        curves,
    }
}

fn signs(curves: Vec<Curve>) -> Curves<'static> {
    Curves {
        title: "Where the estimated den (3 points, f32) has the wrong sign",
        names: ["probe, in multiples of α*", "% of batches"],
        scales: [Scale::Log, Scale::Linear],
        note: "",
        curves,
    }
}

/// Steps of running medians.
const SMOOTHED: usize = 21;

/// The errors of single estimates and of their averages along training.
fn averages(followed: &[Followed]) -> Curves<'static> {
    let relative = |of: fn(&Followed) -> f64| -> Vec<(f64, f64)> {
        let points = followed.iter().map(|at| (at.step as f64, of(at))).filter(|(_, error)| error.is_finite());
        running_median(&points.collect::<Vec<_>>(), SMOOTHED)
    };
    let curve = |label: &str, colour, points| Curve { label: label.to_owned(), points, colour, ..Curve::default() };
    let single = relative(|at| (at.estimate / at.exact - 1.0).abs());
    let averaged = relative(|at| (at.averaged_estimate / at.averaged_exact - 1.0).abs());
    let noise = relative(|at| (at.exact / at.averaged_exact - 1.0).abs());
    Curves {
        title: "What averaging hides: errors of α̂ and of its average along training",
        names: ["step", "relative difference"],
        scales: [Scale::Linear, Scale::Log],
        note: "γ = 0.9; running medians of 21 steps",
        curves: vec![
            curve("exact α* against its own average", 7, noise),
            curve("α̂ against α*", 1, single),
            curve("average of α̂ against that of α*", 0, averaged),
        ],
    }
}

fn report(view: &View<'_>, followed: &[Followed]) -> String {
    let usual = view.usual();
    let mut text = "# Estimation error\n\nHow far the minimiser of an estimated parabola, α̂, is from the exact α* = num/den, \
        which is found in double precision on the same parameters and mini-batch. A probe of 1 is as long as the step itself.\n\n"
        .to_owned();
    let _ = writeln!(text, "## By precision and points\n\n{}\n", by_way(view));
    let _ = writeln!(text, "## By training time, batch and activation (3 points, f32)\n\n{}\n", by_condition(view));
    let _ = writeln!(
        text,
        "Where nothing else is said: activation {}, after {} steps, batches of {}.\n",
        if usual.activation.is_empty() { "of the model" } else { &usual.activation },
        usual.step,
        usual.batch
    );
    let _ = writeln!(text, "## Along training\n\n{}", along(followed));
    text
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        0.0 => "0 %".to_owned(),
        _ if percent < 0.01 => format!("{percent:.1e} %"),
        _ => format!("{percent:.2} %"),
    }
}

/// The median error at the best probe and at probes of the step's length.
fn by_way(view: &View<'_>) -> String {
    let mut table = Table::with_header(["", "best probe", "error there", "error at probe α*", "wrong sign at α*"]);
    for dtype in [Dtype::F32, Dtype::F64] {
        for way in [Way::Exact, Way::Three, Way::Five] {
            let c = Condition { dtype, way, ..view.usual() };
            let error = |probe: f64| quantile(&view.at(&c, probe, Row::error), 0.5);
            let [probe, best, whole, wrong] = told(view, &c, error);
            let probe = if way == Way::Exact { "none".to_owned() } else { probe };
            table.row([format!("{}, {}", way.name(), dtype.name()), probe, best, whole, wrong]);
        }
    }
    table.to_markdown()
}

/// The best probe and its error, that at the probe nearest to α*, and the share of wrong signs there.
fn told(view: &View<'_>, c: &Condition, error: impl Fn(f64) -> f64) -> [String; 4] {
    let probes = &view.study.probes;
    let best = probes.iter().copied().min_by(|a, b| error(*a).total_cmp(&error(*b))).expect("a study has probes");
    let whole =
        probes.iter().copied().min_by(|a, b| (a.ln().abs()).total_cmp(&b.ln().abs())).expect("a study has probes");
    [format!("{best:.1e}"), percent(error(best)), percent(error(whole)), percent(view.wrong_share(c, whole))]
}

fn by_condition(view: &View<'_>) -> String {
    let mut table = Table::with_header(["", "best probe", "error there", "error at probe α*", "wrong sign at α*"]);
    let mut add = |label: String, c: Condition| {
        let [probe, best, whole, wrong] = told(view, &c, |probe| quantile(&view.at(&c, probe, Row::error), 0.5));
        table.row([label, probe, best, whole, wrong]);
    };
    for step in &view.study.steps {
        add(format!("after {step} steps"), Condition { step: *step, ..view.usual() });
    }
    for batch in &view.study.batches {
        add(format!("{batch} rows"), Condition { batch: *batch, ..view.usual() });
    }
    for activation in &view.study.activations {
        add(activation.to_string(), Condition { activation: activation.to_string(), ..view.usual() });
    }
    table.to_markdown()
}

/// What is seen of averages.
fn along(followed: &[Followed]) -> String {
    let of = |f: fn(&Followed) -> f64| percent(quantile(&followed.iter().map(f).collect::<Vec<_>>(), 0.5));
    let missing = |f: fn(&Followed) -> f64| followed.iter().filter(|at| f(at).is_nan()).count();
    let disagree = followed.iter().filter(|at| at.exact.is_nan() != at.estimate.is_nan()).count();
    let mut table = Table::with_header(["", "along training"]);
    table.row(["steps followed".to_owned(), followed.len().to_string()]);
    table.row(["no exact minimum to step to".to_owned(), missing(|at| at.exact).to_string()]);
    table.row(["no estimated minimum".to_owned(), missing(|at| at.estimate).to_string()]);
    table.row(["one, but not the other".to_owned(), disagree.to_string()]);
    table.row(["median |α̂/α* − 1|".to_owned(), of(|at| (at.estimate / at.exact - 1.0).abs())]);
    table.row([
        format!("the same of averages (γ = {GAMMA})"),
        of(|at| (at.averaged_estimate / at.averaged_exact - 1.0).abs()),
    ]);
    table.row(["median |α*/its average − 1|".to_owned(), of(|at| (at.exact / at.averaged_exact - 1.0).abs())]);
    table.to_markdown()
}
