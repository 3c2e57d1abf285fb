//! `parabola train`: trains a network and writes its run folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ad_core::{Real, Tensor};
use clap::Args;
use gen_sched::{Observer, Reason, Standing, StepReport, Stepper, Summary};
use nn::Optimizer;

use super::CommandError;
use super::flags::{ConfigArgs, OutputArgs};
use super::values::{count, positive_count};
use crate::config::{Checkpoints, Config, Dtype};
use crate::report::metrics::{EvaluationRow, StepRow};
use crate::report::plot::{self, RateStep, Rates, Training, training};
use crate::report::print::print;
use crate::report::progress::Progress;
use crate::report::run_folder::checkpoint::{self, CheckpointError};
use crate::report::run_folder::{CONFIG, EVALUATIONS, METRICS, PARAMETERS, RunFolder};
use crate::report::table::Table;
use crate::session::{Session, in_pool};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Trains a network, by default one of fully connected layers on handwritten digits with exact GeN, which needs no \
    learning rate; --config FILE says more, and `parabola init` writes such files. Shows progress on standard error and \
    a closing table on standard output, and writes a run folder: config.toml, metrics.jsonl (one JSON object a step), \
    evaluations.jsonl, parameters.safetensors, and the figures training.svg and alpha.svg. Until it is complete the \
    folder has .unfinished after its name and holds checkpoints, from which --resume goes on.";

/// Flags of `parabola train`.
#[derive(Clone, Debug, Args)]
pub struct TrainArgs {
    /// Passes over the training data [default: 20]
    #[arg(long, value_name = "N", value_parser = positive_count)]
    pub epochs: Option<usize>,
    /// The configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Steps from one checkpoint to the next [default: at the end of an epoch, at most one in 30 seconds]
    #[arg(long, value_name = "N", value_parser = count, help_heading = "Output")]
    pub checkpoint_every: Option<usize>,
    /// Go on with the run in this folder, which was ended early, from its last checkpoint
    #[arg(long, value_name = "DIR", help_heading = "Output", conflicts_with_all = NOT_RESUMED)]
    pub resume: Option<PathBuf>,
    /// The results.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags that a resumed run has settled.
const NOT_RESUMED: [&str; 22] = [
    "epochs",
    "checkpoint_every",
    "config",
    "data",
    "target",
    "test_share",
    "batch",
    "seed",
    "hidden",
    "act",
    "loss",
    "direction",
    "weight_decay",
    "rule",
    "lr",
    "lr_min",
    "lr_max",
    "default_lr",
    "gamma",
    "every",
    "dtype",
    "from",
];

/// Trains and reports.
///
/// # Errors
/// If the flags contradict one another, the data cannot be read or the run folder cannot be written.
pub fn run(args: TrainArgs) -> Result<(), CommandError> {
    let (config, resumed) = match &args.resume {
        Some(path) => {
            let folder = RunFolder::resume(path)?;
            (Config::open(&folder.folder().join(CONFIG))?, Some(folder))
        }
        None => (args.settle()?, None),
    };
    in_pool(args.config.machine.threads, move || match config.training.dtype {
        Dtype::F32 => train::<f32>(&args, &config, resumed),
        Dtype::F64 => train::<f64>(&args, &config, resumed),
    })
}

impl TrainArgs {
    /// The configuration that file and flags come to.
    fn settle(&self) -> Result<Config, CommandError> {
        let mut config = self.config.settle()?;
        config.training.epochs = self.epochs.unwrap_or(config.training.epochs);
        config.checkpoint.every = self.checkpoint_every.unwrap_or(config.checkpoint.every);
        Ok(config)
    }
}

fn train<T: Real>(args: &TrainArgs, config: &Config, resumed: Option<RunFolder>) -> Result<(), CommandError> {
    let mut session = Session::<T>::open(config)?;
    let past = resumed.as_ref().map(|folder| go_on(folder, &mut session)).transpose()?.unwrap_or_default();
    let folder = match resumed {
        Some(folder) => folder,
        None => {
            let (place, existing) = args.output.place(args.config.default_place(&session.name(), config));
            RunFolder::begin(&place, existing, &config.to_toml())?
        }
    };
    let Session { mut trainer, data, network, rows, .. } = session;
    let place = folder.path().to_owned();
    let mut watch = Watch {
        folder,
        progress: Progress::start(trainer.total_steps(), trainer.stepper().steps(), args.output.quiet),
        epochs: config.training.epochs,
        checkpoints: config.checkpoint.clone(),
        clock: Clock::after(past.seconds),
        evaluated: false,
        past,
    };
    let rule = match config.direction.optimizer {
        Optimizer::Sgd => config.rule.title().to_owned(),
        other => format!("{} along {other}", config.rule.title()),
    };
    let title = format!("{rule} on {data}, seed {}", config.training.seed);
    let parameters = trainer.stepper().theta().arrays().iter().map(Tensor::len).sum::<usize>();
    let [trained, tested] = rows;
    watch.progress.line(&match trainer.stepper().steps() {
        0 => format!(
            "training {network} ({parameters} parameters) on {trained} rows of {data}, testing on {tested}: {rule}"
        ),
        step => format!("going on after step {step} of {}: {network} on {data}, {rule}", trainer.total_steps()),
    });
    trainer.run(&mut watch)?;
    let table = closing_table(&watch.past, watch.clock.seconds());
    watch.finish(&title, trainer.stepper())?;
    print(&format!("{table}\nwrote {}\n", shown(&place))).map_err(CommandError::Output)
}

/// The path as the user would give it: relative where it is below the current folder.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

/// What a run has recorded so far.
#[derive(Default)]
struct Past {
    steps: Vec<StepRow>,
    evaluations: Vec<EvaluationRow>,
    seconds: f64,
}

/// Takes the session to the last checkpoint of its run, and the record with it.
fn go_on<T: Real>(folder: &RunFolder, session: &mut Session<T>) -> Result<Past, CommandError> {
    let (step, seconds) = match checkpoint::load_last::<T>(folder.folder())? {
        None => (0, 0.0),
        Some((path, manifest, state)) => {
            session.trainer.stepper_mut().restore(state).map_err(|source| CheckpointError::Misfit { path, source })?;
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
    Ok(Past { steps, evaluations, seconds })
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
    clock: Clock,
    /// Whether the step before was followed by an evaluation.
    evaluated: bool,
    past: Past,
}

impl<T: Real> Observer<T> for Watch {
    type Error = CommandError;

    fn step(&mut self, report: &StepReport) -> Result<(), CommandError> {
        let row = StepRow::new(report, self.clock.lap());
        self.folder.record(METRICS, &row)?;
        self.progress.step(|| format!("loss {:.4}  α {:.3}", report.loss, report.alpha));
        self.past.steps.push(row);
        self.evaluated = false;
        Ok(())
    }

    fn evaluation(&mut self, standing: &Standing) -> Result<(), CommandError> {
        let row = EvaluationRow::new(standing, self.clock.seconds());
        self.folder.record(EVALUATIONS, &row)?;
        self.past.evaluations.push(row);
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
            checkpoint::save(self.folder.folder(), stepper.steps(), now, stepper.state(), self.checkpoints.keep)?;
            self.clock.saved = now;
            self.clock.lap();
        }
        Ok(())
    }
}

impl Watch {
    /// Writes parameters and figures, and moves the folder into its place.
    fn finish<T: Real>(self, title: &str, stepper: &Stepper<T>) -> Result<(), CommandError> {
        let Watch { folder, progress, past: Past { steps, evaluations, .. }, .. } = self;
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
        Ok(())
    }
}

/// What a run came to.
fn closing_table(past: &Past, seconds: f64) -> String {
    let mut summary = Summary { last: past.evaluations.last().map(EvaluationRow::standing), ..Summary::default() };
    for row in &past.steps {
        summary.add(&row.report());
    }
    let mut table = Table::new();
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    if let Some(Standing { train, test, .. }) = summary.last {
        for (part, at) in [("train", train), ("test", test)] {
            table.row([format!("{part} loss"), format!("{:.4}", at.loss)]);
            if let Some(accuracy) = at.accuracy {
                table.row([format!("{part} accuracy"), percent(accuracy)]);
            }
        }
    }
    let steps = summary.alphas.len();
    table.row(["steps".to_owned(), steps.to_string()]);
    table.row(["time".to_owned(), format!("{seconds:.2} s")]);
    table.row([
        "cost a step, in gradients".to_owned(),
        format!("{:.2}", summary.cost.in_gradients() / steps.max(1) as f64),
    ]);
    for reason in Reason::ALL {
        if let Some(count) = summary.reasons.get(&reason) {
            table.row([
                format!("steps by reason: {reason}"),
                format!("{} ({})", count, percent(*count as f64 / steps as f64)),
            ]);
        }
    }
    table.row(["fallback steps".to_owned(), percent(summary.fallback_share())]);
    if let Some(alpha) = summary.median_alpha() {
        table.row(["median α".to_owned(), format!("{alpha:.4}")]);
    }
    if summary.predicted != 0.0 {
        table.row(["decrease a step, predicted".to_owned(), format!("{:.4e}", summary.predicted / steps as f64)]);
        table.row(["decrease a step, actual".to_owned(), format!("{:.4e}", summary.actual / steps as f64)]);
    }
    table.to_string()
}
