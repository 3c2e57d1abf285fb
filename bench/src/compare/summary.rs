//! What the runs of one entry came to, over its seeds.

use gen_sched::{Reason, Summary};

use super::{Track, loss};
use crate::config::Target;
use crate::report::metrics::EvaluationRow;
use crate::report::stats::median;

/// A number of several seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// The spread of these values; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (least, greatest) = (values.iter().copied().reduce(f64::min)?, values.iter().copied().reduce(f64::max)?);
        Some(Spread { median: median(values)?, least, greatest })
    }
}

/// When a run reached the target: at the first evaluation that did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    /// Seconds that its steps had taken.
    pub seconds: f64,
    /// What they had cost, in gradients.
    pub gradients: f64,
}

/// What the runs of one entry came to.
#[derive(Clone, Debug)]
pub struct EntrySummary {
    /// The entry's name.
    pub label: String,
    /// Number of seeds.
    pub seeds: usize,
    /// Runs that [diverged](Track::has_diverged).
    pub diverged: usize,
    /// The test loss at the end.
    pub final_loss: Option<Spread>,
    /// The least test loss.
    pub best_loss: Option<Spread>,
    /// The test accuracy at the end; `None` for values.
    pub final_accuracy: Option<Spread>,
    /// The greatest test accuracy.
    pub best_accuracy: Option<Spread>,
    /// The runs that reached the target; none if there is no target.
    pub reached: Vec<Reached>,
    /// Gradients that a step cost, in the mean.
    pub cost: f64,
    /// The share of steps of each reason that there was, greatest first.
    pub reasons: Vec<(Reason, f64)>,
    /// The median rate of all steps.
    pub alpha: Option<f64>,
}

impl EntrySummary {
    /// Sums up the tracks of an entry.
    pub fn of(label: &str, tracks: &[&Track], target: Option<Target>) -> Self {
        let each = |of: &dyn Fn(&[EvaluationRow]) -> Option<f64>| {
            let values: Vec<f64> = tracks.iter().filter_map(|track| of(&track.recorded.evaluations)).collect();
            Spread::of(&values)
        };
        let losses = |rows: &[EvaluationRow]| rows.iter().map(|row| loss(row.test_loss)).reduce(f64::min);
        let accuracies = |rows: &[EvaluationRow]| rows.iter().filter_map(|row| row.test_accuracy).reduce(f64::max);
        let mut all = Summary::default();
        for row in tracks.iter().flat_map(|track| &track.recorded.steps) {
            all.add(&row.report());
        }
        let steps = all.alphas.len().max(1) as f64;
        let mut reasons: Vec<_> = all.reasons.iter().map(|(reason, n)| (*reason, *n as f64 / steps)).collect();
        reasons.sort_by(|a, b| b.1.total_cmp(&a.1));
        EntrySummary {
            label: label.to_owned(),
            seeds: tracks.len(),
            diverged: tracks.iter().filter(|track| track.has_diverged()).count(),
            final_loss: each(&|rows| rows.last().map(|row| loss(row.test_loss))),
            best_loss: each(&losses),
            final_accuracy: each(&|rows| rows.last().and_then(|row| row.test_accuracy)),
            best_accuracy: each(&accuracies),
            reached: tracks.iter().filter_map(|track| reached(track, target?)).collect(),
            cost: all.in_gradients / steps,
            reasons,
            alpha: median(&all.alphas),
        }
    }

    /// The median of something of the runs that reached the target, if all did.
    pub fn to_target(&self, of: fn(&Reached) -> f64) -> Option<f64> {
        let values: Vec<f64> = self.reached.iter().map(of).collect();
        median(&values).filter(|_| values.len() == self.seeds)
    }
}

fn reached(track: &Track, target: Target) -> Option<Reached> {
    let is_there = |row: &&EvaluationRow| match target {
        Target::Loss(most) => row.test_loss <= most,
        Target::Accuracy(least) => row.test_accuracy.is_some_and(|share| share >= least),
    };
    let (gradients, seconds) = track.spent(track.recorded.evaluations.iter().find(is_there)?);
    Some(Reached { seconds, gradients })
}

#[cfg(test)]
mod tests {
    use super::super::tracks::track;
    use super::*;

    #[test]
    fn seeds_are_summed_up_by_medians_and_ends() {
        let tracks = [[2.0, 1.0], [1.5, 3.0], [2.5, 0.5]].map(|tests| track(0, 0, &[1.0, 1.0, 1.0, 1.0], &tests));
        let tracks: Vec<&Track> = tracks.iter().collect();
        let summary = EntrySummary::of("a", &tracks, Some(Target::Loss(1.5)));
        assert_eq!(summary.final_loss, Some(Spread { median: 1.0, least: 0.5, greatest: 3.0 }));
        assert_eq!(summary.best_loss, Some(Spread { median: 1.0, least: 0.5, greatest: 1.5 }));
        assert_eq!(summary.best_accuracy.unwrap().greatest, 1.0 / 1.5);
        assert_eq!((summary.cost, summary.diverged, summary.alpha), (2.0, 0, Some(0.25)));
        assert_eq!(summary.reasons, [(Reason::Parabola, 1.0)]);
        // One was there after two steps, two after four.
        assert_eq!(summary.to_target(|at| at.gradients), Some(8.0));
        assert_eq!(summary.to_target(|at| at.seconds), Some(2.0));
        let strict = EntrySummary::of("a", &tracks, Some(Target::Accuracy(0.5)));
        assert_eq!((strict.reached.len(), strict.to_target(|at| at.seconds)), (2, None));
    }

    #[test]
    fn a_diverged_run_is_infinite_and_counted() {
        let tracks = [track(0, 0, &[1.0, 2.0], &[0.5]), track(0, 1, &[1.0, f64::NAN], &[f64::NAN])];
        let summary = EntrySummary::of("a", &tracks.iter().collect::<Vec<_>>(), None);
        let spread = summary.final_loss.unwrap();
        assert_eq!((spread.least, spread.greatest, summary.diverged), (0.5, f64::INFINITY, 1));
        assert!(spread.median.is_infinite() && summary.reached.is_empty());
    }
}
