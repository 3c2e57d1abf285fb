//! Several rules and seeds on one configuration: their runs, what these came to, and the figures.
//!
//! ```text
//!   Comparison ── runs::plan ──▶ Plan of every (entry, seed) ── runs::train ──▶ run folders ── runs::read ──▶ Track
//!                                                                                                         │
//!                                                       table, summary.csv ◀── EntrySummary ◀─────────────┤
//!                                                                    SVG ◀── figures ◀────────────────────┘
//! ```

pub mod figures;
pub mod runs;
pub mod summary;
pub mod table;

use gen_sched::Reason;

use crate::recorded::Recorded;
use crate::report::metrics::{EvaluationRow, StepRow};

/// What one run came to: its record, with what every step had cost so far.
#[derive(Clone, Debug)]
pub struct Track {
    /// The number of its entry.
    pub entry: usize,
    /// Its seed.
    pub seed: u64,
    /// What it recorded.
    pub recorded: Recorded,
    /// After each step, the cost so far, in gradients.
    gradients: Vec<f64>,
    /// After each step, the seconds that steps took so far; evaluations, checkpoints and pauses are not among them.
    seconds: Vec<f64>,
}

impl Track {
    /// The track of a record.
    pub fn new(entry: usize, seed: u64, recorded: Recorded) -> Self {
        let sums = |of: fn(&StepRow) -> f64| -> Vec<f64> {
            let rows = recorded.steps.iter();
            rows.scan(0.0, |sum, row| {
                *sum += of(row);
                Some(*sum)
            })
            .collect()
        };
        let (gradients, seconds) = (sums(|row| row.cost), sums(|row| row.ms / 1e3));
        Track { entry, seed, recorded, gradients, seconds }
    }

    /// The cost and the seconds of the steps before an evaluation.
    pub fn spent(&self, evaluation: &EvaluationRow) -> (f64, f64) {
        let at = |sums: &[f64]| match evaluation.step as usize {
            0 => 0.0,
            steps => sums.get(steps - 1).or(sums.last()).copied().unwrap_or(0.0),
        };
        (at(&self.gradients), at(&self.seconds))
    }

    /// Whether the run ended where no number is finite, or the loss is [far above](DIVERGED) that of its first step.
    pub fn has_diverged(&self) -> bool {
        let Recorded { steps, evaluations, .. } = &self.recorded;
        let most = steps.first().map_or(f64::MAX, |row| ceiling(row.loss));
        let refused = steps.last().is_some_and(|row| row.reason == Reason::NonFinite);
        refused || evaluations.last().is_none_or(|row| loss(row.test_loss) > most)
    }
}

/// A loss of so many times that at the start is one of a run that diverges.
pub const DIVERGED: f64 = 10.0;

/// The greatest loss of a run that starts at this one and does not diverge.
fn ceiling(first: f64) -> f64 {
    if first.is_finite() && first > 0.0 { DIVERGED * first } else { f64::MAX }
}

/// A loss for comparison: one that is not a number is as bad as an infinite one.
fn loss(x: f64) -> f64 {
    if x.is_nan() { f64::INFINITY } else { x }
}

/// Tracks for tests.
#[cfg(test)]
mod tracks {
    use gen_sched::{Cost, Evaluation, Standing, StepReport};

    use super::*;

    /// A step of so much loss that costs two gradients and half a second.
    pub(super) fn step(index: u64, loss: f64, reason: Reason) -> StepRow {
        let cost = Cost { gradients: 1, curvatures: 1, ..Cost::default() };
        let (curvature, parabola, factors, predicted, actual) = (None, None, None, None, None);
        let alpha = 0.1 * (index + 1) as f64;
        let report = StepReport {
            index,
            loss,
            num: 1.0,
            curvature,
            parabola,
            alpha,
            factors,
            reason,
            predicted,
            actual,
            cost,
            work: None,
            in_gradients: None,
        };
        StepRow::new(&report, 500.0)
    }

    /// A run with these losses of steps and, after every second one, these test losses.
    pub(super) fn track(entry: usize, seed: u64, losses: &[f64], tests: &[f64]) -> Track {
        let steps = losses.iter().enumerate().map(|(i, loss)| step(i as u64, *loss, Reason::Parabola)).collect();
        let evaluation = |(i, loss): (usize, &f64)| {
            let test = Evaluation { loss: *loss, accuracy: Some(1.0 / (1.0 + loss)) };
            EvaluationRow::new(&Standing { epoch: i as u64 + 1, steps: 2 * (i as u64 + 1), train: test, test }, 9.0)
        };
        let evaluations = tests.iter().enumerate().map(evaluation).collect();
        Track::new(entry, seed, Recorded { steps, evaluations, seconds: 9.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spent_counts_the_steps_before() {
        let track = tracks::track(0, 1, &[3.0, 2.0, 1.0, 0.5], &[2.0, 1.0]);
        let [first, last] = &track.recorded.evaluations[..] else { panic!("two evaluations") };
        assert_eq!((track.spent(first), track.spent(last)), ((4.0, 1.0), (8.0, 2.0)));
    }

    #[test]
    fn a_run_that_ends_beyond_all_numbers_has_diverged() {
        assert!(!tracks::track(0, 1, &[3.0, f64::NAN, 1.0], &[2.0]).has_diverged());
        assert!(tracks::track(0, 1, &[3.0, 2.0], &[2.0, f64::NAN]).has_diverged());
        assert!(tracks::track(0, 1, &[3.0, 2.0], &[31.0]).has_diverged());
        let mut refused = tracks::track(0, 1, &[3.0], &[2.0]);
        assert!(!refused.has_diverged());
        refused.recorded.steps[0].reason = Reason::NonFinite;
        assert!(refused.has_diverged());
    }
}
