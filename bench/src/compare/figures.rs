//! The figures of a comparison: a curve an entry, with a band over its seeds.

use super::{Track, loss};
use crate::report::plot::{Curve, Curves, PlotError, Scale, curves};
use crate::report::stats::median;

/// A point of a curve.
type Point = (f64, f64);
/// For some x, the least and the greatest y.
type Band = Vec<(f64, f64, f64)>;
/// How the series of several seeds become a curve and its band.
type Merge = fn(&[Vec<Point>]) -> (Vec<Point>, Band);

/// The most points of a curve.
const MOST: usize = 400;

/// What the figures of a comparison are made of.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// The name of the comparison.
    pub name: &'a str,
    /// The names of the entries.
    pub labels: &'a [&'a str],
    /// Every run.
    pub tracks: &'a [Track],
}

/// What curves are drawn against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Against {
    Steps,
    Gradients,
    Seconds,
}

impl Against {
    fn name(self) -> &'static str {
        match self {
            Against::Steps => "steps",
            Against::Gradients => "cost of the steps so far, in gradients",
            Against::Seconds => "seconds of the steps so far",
        }
    }
}

impl Figures<'_> {
    /// Every figure with the name of its file.
    ///
    /// # Errors
    /// If a figure cannot be drawn.
    pub fn draw(&self) -> Result<Vec<(&'static str, String)>, PlotError> {
        let mut out = vec![
            ("loss-steps.svg", self.loss(Against::Steps, "Training loss by step")?),
            ("loss-gradients.svg", self.loss(Against::Gradients, "Training loss by cost")?),
            ("loss-seconds.svg", self.loss(Against::Seconds, "Training loss by time")?),
            ("alpha.svg", self.alpha()?),
        ];
        if self.tracks.iter().flat_map(|track| &track.recorded.evaluations).any(|row| row.test_accuracy.is_some()) {
            out.push(("accuracy-gradients.svg", self.accuracy()?));
        }
        Ok(out)
    }

    fn loss(&self, against: Against, title: &str) -> Result<String, PlotError> {
        let ceiling = self.ceiling();
        let over: Merge = if against == Against::Seconds { step_by_step } else { over_seeds };
        let drawn = self.curves(over, |track| {
            let losses: Vec<f64> = track.recorded.steps.iter().map(|row| loss(row.loss)).collect();
            let mean = running(&losses, |around| around.iter().sum::<f64>() / around.len() as f64);
            // Diverging runs leave at the top instead of pressing all others to the bottom.
            track.along(against, mean.into_iter().map(|y| y.min(ceiling)))
        });
        let heights = || drawn.iter().flat_map(|curve| &curve.points).map(|point| point.1);
        let (low, high) = (heights().fold(f64::INFINITY, f64::min), heights().fold(0.0, f64::max));
        let scale = if low > 0.0 && high >= 10.0 * low { Scale::Log } else { Scale::Linear };
        self.figure(title, [against.name(), "mini-batch loss, running mean"], scale, drawn)
    }

    fn alpha(&self) -> Result<String, PlotError> {
        let drawn = self.curves(over_seeds, |track| {
            let alphas: Vec<f64> = track.recorded.steps.iter().map(|row| row.alpha).collect();
            track.along(Against::Steps, running(&alphas, |around| median(around).unwrap_or(f64::NAN)))
        });
        self.figure("Learning rates", [Against::Steps.name(), "learning rate α, running median"], Scale::Log, drawn)
    }

    fn accuracy(&self) -> Result<String, PlotError> {
        let drawn = self.curves(over_seeds, |track| {
            let rows = track.recorded.evaluations.iter();
            rows.filter_map(|row| Some((track.spent(row).0, 100.0 * row.test_accuracy?))).collect()
        });
        let names = [Against::Gradients.name(), "test accuracy (%)"];
        self.figure("Test accuracy by cost", names, Scale::Linear, drawn)
    }

    /// One curve an entry over the series of its seeds.
    fn curves(&self, over: Merge, series: impl Fn(&Track) -> Vec<Point>) -> Vec<Curve> {
        let curve = |(i, label): (usize, &&str)| {
            let of_entry = || self.tracks.iter().filter(|track| track.entry == i);
            let (points, band) = over(&of_entry().map(&series).collect::<Vec<_>>());
            let (diverged, seeds) = (of_entry().filter(|track| track.has_diverged()).count(), of_entry().count());
            let label = match diverged {
                0 => (*label).to_owned(),
                n => format!("{label} ({n} of {seeds} diverged)"),
            };
            // Colours repeat after eight entries: their dashes tell them apart.
            Curve { label, points, band, is_dashed: i / 8 % 2 == 1, colour: i }
        };
        self.labels.iter().enumerate().map(curve).collect()
    }

    fn figure(&self, title: &str, names: [&str; 2], y: Scale, curves_of: Vec<Curve>) -> Result<String, PlotError> {
        let seeds = self.tracks.iter().filter(|track| track.entry == 0).count();
        let note =
            if seeds > 1 { format!("median of {seeds} seeds, bands from least to greatest") } else { String::new() };
        let title = format!("{title}: {}", self.name);
        curves(&Curves { title: &title, names, scales: [Scale::Linear, y], note: &note, curves: curves_of })
    }

    /// A loss that only runs which diverge come to.
    fn ceiling(&self) -> f64 {
        let first = self.tracks.iter().filter_map(|track| track.recorded.steps.first());
        let greatest = first.map(|row| row.loss).filter(|loss| loss.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        super::ceiling(greatest)
    }
}

impl Track {
    /// A number of each step against what was spent up to and with it.
    fn along(&self, against: Against, ys: impl IntoIterator<Item = f64>) -> Vec<Point> {
        let x = |(i, y): (usize, f64)| match against {
            Against::Steps => ((i + 1) as f64, y),
            Against::Gradients => (self.gradients[i], y),
            Against::Seconds => (self.seconds[i], y),
        };
        ys.into_iter().enumerate().map(x).collect()
    }
}

/// Each value replaced by what `of` makes of those around it, a fiftieth of all.
fn running(values: &[f64], of: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let half = values.len() / 100;
    (0..values.len()).map(|i| of(&values[i.saturating_sub(half)..(i + half + 1).min(values.len())])).collect()
}

/// The median of several series and the band between the least and the greatest, as far as all of them go.
fn over_seeds(series: &[Vec<Point>]) -> (Vec<Point>, Band) {
    let ends = |of: fn(&Vec<Point>) -> Option<&Point>| series.iter().filter_map(move |points| of(points).map(|p| p.0));
    let from = ends(|points| points.first()).fold(f64::NEG_INFINITY, f64::max);
    let to = ends(|points| points.last()).fold(f64::INFINITY, f64::min);
    let count = series.iter().map(Vec::len).min().unwrap_or(0).min(MOST);
    let (mut middle, mut band) = (Vec::new(), Vec::new());
    for i in 0..count {
        let x = if count == 1 { to } else { from + (to - from) * i as f64 / (count - 1) as f64 };
        add(&mut middle, &mut band, x, &series.iter().map(|points| at(points, x)).collect::<Vec<_>>());
    }
    (middle, band)
}

/// The same for series over time, point by point at the median of their times: how fast a seed went says more of what
/// else the machine did than of its rule, and one that was held up at its start would hide the beginning of all.
fn step_by_step(series: &[Vec<Point>]) -> (Vec<Point>, Band) {
    let count = series.iter().map(Vec::len).min().unwrap_or(0);
    let (mut middle, mut band) = (Vec::new(), Vec::new());
    for i in 0..count {
        let (xs, ys): (Vec<f64>, Vec<f64>) = series.iter().map(|points| points[i]).unzip();
        if let Some(x) = median(&xs) {
            add(&mut middle, &mut band, x, &ys);
        }
    }
    (middle, band)
}

/// Adds the median of the seeds' heights at x, and the band where there are several seeds.
fn add(middle: &mut Vec<Point>, band: &mut Band, x: f64, ys: &[f64]) {
    middle.extend(median(ys).map(|y| (x, y)));
    if ys.len() > 1 {
        let (low, high) = ys.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), y| (l.min(*y), h.max(*y)));
        band.push((x, low, high));
    }
}

/// The height of a line through points (x increasing) at some x; that of the nearest end beyond them.
fn at(points: &[Point], x: f64) -> f64 {
    let after = points.partition_point(|point| point.0 < x);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (_, Some(b)) if b.0 == x => b.1,
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * ((x - a.0) / (b.0 - a.0)),
        (Some(end), None) | (None, Some(end)) => end.1,
        (None, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use gen_sched::Reason;

    use super::super::tracks::track;
    use super::*;

    #[test]
    fn heights_between_points_are_on_the_line() {
        let points = [(1.0, 10.0), (3.0, 20.0), (4.0, 0.0)];
        let heights = [0.0, 1.0, 2.0, 3.0, 3.5, 4.0, 9.0].map(|x| at(&points, x));
        assert_eq!(heights, [10.0, 10.0, 15.0, 20.0, 10.0, 0.0, 0.0]);
        assert!(at(&[], 1.0).is_nan());
    }

    #[test]
    fn seeds_of_different_pace_meet_on_one_grid() {
        let slow = vec![(1.0, 4.0), (3.0, 2.0), (5.0, 0.0)];
        let fast = vec![(0.5, 5.5), (1.5, 4.5), (4.0, 2.0)];
        let (middle, band) = over_seeds(&[slow, fast]);
        assert_eq!(middle, [(1.0, 4.5), (2.5, 3.0), (4.0, 1.5)]);
        assert_eq!(band, [(1.0, 4.0, 5.0), (2.5, 2.5, 3.5), (4.0, 1.0, 2.0)]);
        assert_eq!(over_seeds(&[vec![(1.0, 2.0)]]), (vec![(1.0, 2.0)], Vec::new()));
        assert_eq!(over_seeds(&[]), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_seed_that_is_held_up_moves_no_curve_over_time() {
        let slow = vec![(9.0, 4.0), (10.0, 2.0)];
        let (middle, band) = step_by_step(&[vec![(1.0, 3.0), (2.0, 1.0)], slow, vec![(2.0, 5.0), (3.0, 3.0)]]);
        assert_eq!(middle, [(2.0, 4.0), (3.0, 2.0)]);
        assert_eq!(band, [(2.0, 3.0, 5.0), (3.0, 1.0, 3.0)]);
        assert_eq!(step_by_step(&[]), (Vec::new(), Vec::new()));
    }

    #[test]
    fn long_series_are_smoothed_over_a_fiftieth() {
        let alternating: Vec<f64> = (0..1000).map(|i| f64::from(i % 2)).collect();
        let mean = running(&alternating, |around| around.iter().sum::<f64>() / around.len() as f64);
        assert!(mean.iter().all(|y| (y - 0.5).abs() < 0.06) && mean.len() == 1000);
        assert_eq!(running(&[1.0, 5.0], |around| around[0]), [1.0, 5.0]);
    }

    #[test]
    fn every_figure_names_its_entries_and_what_diverged() {
        let losses: Vec<f64> = (0..60).map(|i| 2.0 * (-f64::from(i) / 20.0).exp()).collect();
        let mut lost: Vec<f64> = losses.clone();
        lost[20..].fill(f64::NAN);
        let mut tracks = vec![
            track(0, 0, &losses, &[1.0, 0.5]),
            track(0, 1, &losses, &[1.0, 0.6]),
            track(1, 0, &losses, &[2.0, 0.5]),
            track(1, 1, &lost, &[2.0, f64::NAN]),
        ];
        tracks[3].recorded.steps[59].reason = Reason::NonFinite;
        let figures = Figures { name: "digits", labels: &["exact", "constant"], tracks: &tracks }.draw().unwrap();
        assert_eq!(figures.len(), 5);
        for (name, svg) in figures {
            for text in ["digits", "exact", "constant (1 of 2 diverged)", "median of 2 seeds"] {
                assert!(svg.contains(text), "{name}: {text} is missing");
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{name}");
        }
    }
}
