//! A run as it is recorded: every step and evaluation in its folder, checkpoints to go on from, figures at the end.
//!
//! ```text
//!   Session + RunFolder ── Run::begin or Run::resume ──▶ Run ── to_end ──▶ Recorded ◀── Recorded::read ── a finished folder
//! ```

use std::path::Path;
use std::time::Instant;

use ad_core::{Real, Tensor};
use gen_sched::{Observer, Reason, Standing, StepReport, Stepper, Summary};
use nn::{Optimizer, State};

use crate::command::CommandError;
use crate::config::{Checkpoints, Config};
use crate::report::metrics::{EvaluationRow, StepRow};
use crate::report::plot::{self, RateStep, Rates, Training, training};
use crate::report::progress::Progress;
use crate::report::run_folder::checkpoint::{self, CheckpointError, Manifest, Moment};
use crate::report::run_folder::{EVALUATIONS, METRICS, PARAMETERS, RunFolder, read_lines};
use crate::session::Session;

/// What a run has recorded so far.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Every step.
    pub steps: Vec<StepRow>,
    /// Every evaluation.
    pub evaluations: Vec<EvaluationRow>,
    /// Wall-clock time of training, over all its sittings.
    pub seconds: f64,
}

impl Recorded {
    /// Reads what the run in this folder recorded.
    ///
    /// # Errors
    /// If a file cannot be read, or has a line that no run writes.
    pub fn read(folder: &Path) -> Result<Self, CommandError> {
        let evaluations: Vec<EvaluationRow> = read_lines(folder, EVALUATIONS)?;
        let seconds = evaluations.last().map_or(0.0, |row| row.seconds);
        Ok(Recorded { steps: read_lines(folder, METRICS)?, evaluations, seconds })
    }

    /// What the steps came to.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary { last: self.evaluations.last().map(EvaluationRow::standing), ..Summary::default() };
        for row in &self.steps {
            summary.add(&row.report());
        }
        summary
    }
}

/// A run with its folder, ready to be taken to its end.
#[derive(Debug)]
pub struct Run<'a, T: Real> {
    config: &'a Config,
    session: Session<T>,
    folder: RunFolder,
    recorded: Recorded,
}

impl<'a, T: Real> Run<'a, T> {
    /// A run at its first step, in a folder that holds nothing but its configuration.
    pub fn begin(config: &'a Config, session: Session<T>, folder: RunFolder) -> Self {
        Run { config, session, folder, recorded: Recorded::default() }
    }

    /// A run at the last checkpoint in its folder.
    ///
    /// # Errors
    /// If the checkpoint, or what was recorded up to it, cannot be read or is of another configuration.
    pub fn resume(config: &'a Config, mut session: Session<T>, folder: RunFolder) -> Result<Self, CommandError> {
        let recorded = go_on(&folder, &mut session)?;
        Ok(Run { config, session, folder, recorded })
    }

    /// Where the run will stand once it is finished.
    pub fn place(&self) -> &Path {
        self.folder.path()
    }

    /// The number of steps that are done, and of all.
    pub fn steps(&self) -> (u64, u64) {
        let trainer = &self.session.trainer;
        (trainer.stepper().steps(), trainer.total_steps())
    }

    /// What is about to be trained, on one line.
    pub fn announcement(&self) -> String {
        let Session { trainer, data, network, rows: [trained, tested], .. } = &self.session;
        let parameters = trainer.stepper().theta().arrays().iter().map(Tensor::len).sum::<usize>();
        let rule = rule_title(self.config);
        match self.steps() {
            (0, _) => format!(
                "training {network} ({parameters} parameters) on {trained} rows of {data}, testing on {tested}: {rule}"
            ),
            (step, total) => format!("going on after step {step} of {total}: {network} on {data}, {rule}"),
        }
    }

    /// Trains to the end, writes parameters and figures, and moves the folder into its place.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn to_end(self, progress: Progress) -> Result<Recorded, CommandError> {
        let Run { config, session: Session { mut trainer, data, rows, .. }, folder, recorded } = self;
        let mut watch = Watch {
            folder,
            progress,
            epochs: config.training.epochs,
            checkpoints: config.checkpoint.clone(),
            rows,
            clock: Clock::after(recorded.seconds),
            evaluated: false,
            recorded,
        };
        trainer.run(&mut watch)?;
        watch.recorded.seconds = watch.clock.seconds();
        let title = format!("{} on {data}, seed {}", rule_title(config), config.training.seed);
        watch.finish(&title, trainer.stepper())
    }
}

/// The rule in titles, with the optimizer whose direction it goes along where that is not the gradient.
fn rule_title(config: &Config) -> String {
    match config.direction.optimizer {
        Optimizer::Sgd => config.rule.title().to_owned(),
        other => format!("{} along {other}", config.rule.title()),
    }
}

/// Takes the session to the last checkpoint of its run, and the record with it.
fn go_on<T: Real>(folder: &RunFolder, session: &mut Session<T>) -> Result<Recorded, CommandError> {
    let (step, seconds) = match checkpoint::load_last::<T>(folder.folder())? {
        None => (0, 0.0),
        Some((place, manifest, state)) => {
            restore(session, &place, &manifest, state)?;
            (manifest.step, manifest.seconds)
        }
    };
    let steps: Vec<StepRow> = folder.keep_lines(METRICS, |row: &StepRow| row.step < step)?;
    let evaluations = folder.keep_lines(EVALUATIONS, |row: &EvaluationRow| row.step <= step)?;
    if steps.len() as u64 != step {
        let message = format!(
            "{}: found {} steps, expected at least the {step} of the last checkpoint",
            folder.folder().join(METRICS).display(),
            steps.len()
        );
        return Err(CommandError::Other(message.into()));
    }
    Ok(Recorded { steps, evaluations, seconds })
}

/// Takes the session to the checkpoint in this place, of the same data and of as many steps as it says.
fn restore<T: Real>(
    session: &mut Session<T>,
    place: &Path,
    manifest: &Manifest,
    state: State<T>,
) -> Result<(), CheckpointError> {
    let wrong = |message| Err(CheckpointError::Content { path: place.join(checkpoint::MANIFEST), message });
    if manifest.rows != session.rows {
        let [found, rows] = [manifest.rows, session.rows].map(|[train, test]| format!("{train} and {test}"));
        return wrong(format!("rows: found {found} to train and to test on, expected {rows}, as the data have"));
    }
    let stepper = session.trainer.stepper_mut();
    let misfit = |source| CheckpointError::Misfit { path: place.join(checkpoint::STATE), source };
    stepper.restore(state).map_err(misfit)?;
    match stepper.steps() == manifest.step {
        true => Ok(()),
        false => wrong(format!("numbers.steps: found {}, expected {}, its step", stepper.steps(), manifest.step)),
    }
}

/// The time of a run, over all its sittings.
struct Clock {
    before: f64,
    start: Instant,
    /// When the step before ended.
    last: Instant,
    /// Seconds of the run at the last checkpoint.
    saved: f64,
}

impl Clock {
    fn after(before: f64) -> Self {
        Clock { before, start: Instant::now(), last: Instant::now(), saved: before }
    }

    fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Milliseconds since the last call.
    fn lap(&mut self) -> f64 {
        let before = std::mem::replace(&mut self.last, Instant::now());
        (self.last - before).as_secs_f64() * 1e3
    }
}

/// Seconds between checkpoints where their steps are not given.
const UNHURRIED: f64 = 30.0;

/// Follows a run: shows progress, records every step, and saves checkpoints.
struct Watch {
    folder: RunFolder,
    progress: Progress,
    epochs: usize,
    checkpoints: Checkpoints,
    rows: [usize; 2],
    clock: Clock,
    /// Whether the step before was followed by an evaluation.
    evaluated: bool,
    recorded: Recorded,
}

impl<T: Real> Observer<T> for Watch {
    type Error = CommandError;

    fn step(&mut self, report: &StepReport) -> Result<(), CommandError> {
        let row = StepRow::new(report, self.clock.lap());
        self.folder.record(METRICS, &row)?;
        self.progress.step(|| format!("loss {:.4}  α {:.3}", report.loss, report.alpha));
        self.recorded.steps.push(row);
        self.evaluated = false;
        Ok(())
    }

    fn evaluation(&mut self, standing: &Standing) -> Result<(), CommandError> {
        let row = EvaluationRow::new(standing, self.clock.seconds());
        self.folder.record(EVALUATIONS, &row)?;
        self.recorded.evaluations.push(row);
        let width = self.epochs.to_string().len();
        let share = row.test_accuracy.map_or(String::new(), |a| format!(", accuracy {:.2} %", 100.0 * a));
        self.progress.line(&format!(
            "epoch {:>width$}/{}, step {}: train loss {:.4}, test loss {:.4}{share}",
            row.epoch, self.epochs, row.step, row.train_loss, row.test_loss,
        ));
        // Evaluation is not part of the next step's time.
        self.clock.lap();
        self.evaluated = true;
        Ok(())
    }

    fn rest(&mut self, stepper: &Stepper<T>) -> Result<(), CommandError> {
        let now = self.clock.seconds();
        let is_due = match self.checkpoints.every as u64 {
            0 => self.evaluated && now - self.clock.saved >= UNHURRIED,
            every => stepper.steps().is_multiple_of(every),
        };
        if is_due {
            let moment = Moment { step: stepper.steps(), seconds: now, rows: self.rows };
            checkpoint::save(self.folder.folder(), moment, stepper.state(), self.checkpoints.keep)?;
            self.clock.saved = now;
            self.clock.lap();
        }
        Ok(())
    }
}

impl Watch {
    /// Writes parameters and figures, and moves the folder into its place.
    fn finish<T: Real>(self, title: &str, stepper: &Stepper<T>) -> Result<Recorded, CommandError> {
        let Watch { folder, progress, recorded, .. } = self;
        let Recorded { steps, evaluations, .. } = &recorded;
        progress.finish();
        // Running statistics are among a network's arrays in PyTorch's files too.
        let (theta, buffers) = (stepper.theta(), stepper.buffers().map(Tensor::cast));
        let losses: Vec<_> = steps.iter().map(|row| (row.step, row.loss)).collect();
        let accuracies: Vec<_> =
            evaluations.iter().filter_map(|row| row.test_accuracy.map(|accuracy| (row.step, accuracy))).collect();
        let fallback = |reason: Reason| reason.is_fallback().then(|| reason.name());
        let rates: Vec<_> = steps
            .iter()
            .map(|row| RateStep { step: row.step, alpha: row.alpha, fallback: fallback(row.reason) })
            .collect();
        folder.write_with(PARAMETERS, |path| nn::weights::save(path, theta.iter().chain(buffers.iter())))?;
        folder.write("training.svg", &training(&Training { title, loss: &losses, test_accuracy: &accuracies })?)?;
        let window = (steps.len() / 20).max(5);
        folder.write("alpha.svg", &plot::rates(&Rates { title, steps: &rates, median_window: Some(window) })?)?;
        folder.finish()?;
        Ok(recorded)
    }
}
