//! Training from beginning to end: epochs of mini-batches, evaluation, and a summary.

use std::collections::BTreeMap;

use ad_core::Real;
use nn::data::{Batch, Batches, Dataset, LastBatch};
use nn::random::Key;

use crate::cost::Cost;
use crate::evaluation::Evaluation;
use crate::rule::Reason;
use crate::stepper::{StepReport, Stepper};

/// Hears of every step and epoch while a [`Trainer`] runs; an error stops the run.
pub trait Observer {
    /// What can go wrong in hearing, such as writing to a file.
    type Error;

    /// A step has been taken or refused.
    fn step(&mut self, report: &StepReport) -> Result<(), Self::Error>;

    /// An epoch has ended and the network has been evaluated.
    fn epoch(&mut self, report: &EpochReport) -> Result<(), Self::Error>;
}

/// Where training stands after an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochReport {
    /// Number of epochs done.
    pub epoch: u64,
    /// Number of steps done.
    pub steps: u64,
    /// On the training rows.
    pub train: Evaluation,
    /// On the test rows.
    pub test: Evaluation,
}

/// Ties a stepper to data and runs it.
#[derive(Debug)]
pub struct Trainer<T: Real> {
    stepper: Stepper<T>,
    /// Training and test rows, in the precision of the computation.
    whole: [Batch<T>; 2],
    batches: Batches,
    epochs: u64,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// After the last epoch; `None` if there was none.
    pub last: Option<EpochReport>,
    /// How many steps had each reason.
    pub reasons: BTreeMap<Reason, u64>,
    /// The rate of every step.
    pub alphas: Vec<f64>,
    /// Sum of predicted decreases, over the steps for which both are known.
    pub predicted: f64,
    /// Sum of actual decreases, over the same steps.
    pub actual: f64,
    /// What all steps cost.
    pub cost: Cost,
}

impl Summary {
    /// The middle rate; of an even number of steps the lower of the two. `None` if there were no steps.
    pub fn median_alpha(&self) -> Option<f64> {
        let mut sorted = self.alphas.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }

    /// Share of steps whose rule fell back; 0 if there were no steps. A stale step that keeps a fallback's rate counts as
    /// stale.
    pub fn fallback_share(&self) -> f64 {
        let fallen: u64 = self.reasons.iter().filter(|(reason, _)| reason.is_fallback()).map(|(_, n)| n).sum();
        fallen as f64 / self.alphas.len().max(1) as f64
    }
}

impl<T: Real> Trainer<T> {
    /// A trainer for a number of epochs of shuffled mini-batches; the short batch at the end of an epoch is dropped, so
    /// that every step sees as many rows.
    ///
    /// # Errors
    /// If a batch is empty or larger than the training data.
    pub fn new<S: Real>(
        stepper: Stepper<T>,
        train: Dataset<S>,
        test: &Dataset<S>,
        batch: usize,
        epochs: u64,
        key: Key,
    ) -> Result<Self, nn::data::DataError> {
        let batches = Batches::new(train.rows(), batch, LastBatch::Drop, key)?;
        let whole = [train.all(), test.all()];
        Ok(Trainer { stepper, whole, batches, epochs })
    }

    /// Number of steps of the whole run.
    pub fn total_steps(&self) -> u64 {
        self.epochs * self.batches.steps() as u64
    }

    /// The stepper, with the parameters as they are.
    pub fn stepper(&self) -> &Stepper<T> {
        &self.stepper
    }

    /// The batch that step `index` of the run is taken on.
    pub fn batch_at(&self, index: u64) -> Batch<T> {
        let steps = self.batches.steps() as u64;
        let mut rows = self.batches.epoch(index / steps);
        self.whole[0].gather(&rows.nth((index % steps) as usize).expect("the step is within its epoch"))
    }

    /// Takes the first `steps` steps of the run, without evaluation. Neither this nor [`run`](Self::run) goes on from where
    /// an earlier call stopped: both start from the first batch, with the parameters as they are.
    pub fn advance(&mut self, steps: u64) {
        for index in 0..steps {
            let batch = self.batch_at(index);
            self.stepper.step(&batch.inputs, &batch.targets);
        }
    }

    /// Runs all epochs, from the first.
    ///
    /// # Errors
    /// The observer's first.
    pub fn run<O: Observer>(&mut self, observer: &mut O) -> Result<Summary, O::Error> {
        let mut summary = Summary {
            last: None,
            reasons: BTreeMap::new(),
            alphas: Vec::new(),
            predicted: 0.0,
            actual: 0.0,
            cost: Cost::default(),
        };
        for epoch in 0..self.epochs {
            for rows in self.batches.epoch(epoch) {
                let batch = self.whole[0].gather(&rows);
                let report = self.stepper.step(&batch.inputs, &batch.targets);
                summary.add(&report);
                observer.step(&report)?;
            }
            let [train, test] = self.whole.each_ref().map(|part| self.stepper.evaluate(part));
            let report = EpochReport { epoch: epoch + 1, steps: summary.alphas.len() as u64, train, test };
            observer.epoch(&report)?;
            summary.last = Some(report);
        }
        Ok(summary)
    }
}

impl Summary {
    fn add(&mut self, report: &StepReport) {
        *self.reasons.entry(report.reason).or_default() += 1;
        self.alphas.push(report.alpha);
        self.cost += report.cost;
        if let (Some(predicted), Some(actual)) = (report.predicted, report.actual) {
            self.predicted += predicted;
            self.actual += actual;
        }
    }
}
