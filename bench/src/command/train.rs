//! `parabola train`: trains a network and writes its run folder.

use std::time::Instant;

use ad_core::{Params, Real, Tensor};
use clap::Args;
use gen_sched::{EpochReport, Evaluation, Observer, Reason, StepReport, Summary};
use nn::Optimizer;
use serde::Serialize;

use super::CommandError;
use super::flags::{DataArgs, Dtype, MachineArgs, ModelArgs, OutputArgs, Resolved, RuleArgs};
use super::values::positive_count;
use crate::report::metrics::StepRow;
use crate::report::plot::{self, RateStep, Rates, Training, training};
use crate::report::print::print;
use crate::report::progress::Progress;
use crate::report::run_folder::{PARAMETERS, RunFolder, default_path};
use crate::report::table::Table;
use crate::session::{Session, in_pool};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Trains a network of fully connected layers, by default on handwritten digits with exact GeN, which needs no \
    learning rate. Shows progress on standard error and a closing table on standard output, and writes a run folder: \
    config.json, metrics.jsonl (one JSON object a step), parameters.safetensors, and the figures training.svg and \
    alpha.svg.";

/// Flags of `parabola train`.
#[derive(Clone, Debug, Args, Serialize)]
pub struct TrainArgs {
    /// Passes over the training data
    #[arg(long, value_name = "N", default_value = "20", value_parser = positive_count)]
    pub epochs: usize,
    /// The network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The data.
    #[command(flatten)]
    pub data: DataArgs,
    /// The learning rate; saved with its defaults filled in.
    #[command(flatten)]
    #[serde(skip)]
    pub rule: RuleArgs,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The results.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Trains and reports.
///
/// # Errors
/// If the flags contradict one another, the data cannot be read or the run folder cannot be written.
pub fn run(args: TrainArgs) -> Result<(), CommandError> {
    in_pool(args.machine.threads, || match args.machine.dtype {
        Dtype::F32 => train::<f32>(&args),
        Dtype::F64 => train::<f64>(&args),
    })
}

fn train<T: Real>(args: &TrainArgs) -> Result<(), CommandError> {
    let rule = args.rule.settle()?;
    let session = Session::<T>::open(&args.data, &args.model, rule, args.epochs)?;
    let (place, existing) = args.output.place(default_path(&session.name(), rule.name(), args.data.seed));
    let Session { mut trainer, data, sizes, rows } = session;
    let config = Resolved { rule, weight_decay: args.model.decay(), args };
    let mut watch = Watch {
        folder: RunFolder::create(&place, existing, &config)?,
        progress: Progress::start(trainer.total_steps(), args.output.quiet),
        epochs: args.epochs,
        last: Instant::now(),
        losses: Vec::new(),
        accuracies: Vec::new(),
        steps: Vec::new(),
    };
    let rule_title = match args.model.direction {
        Optimizer::Sgd => rule.title().to_owned(),
        other => format!("{} along {other}", rule.title()),
    };
    let title = format!("{rule_title} on {data}, seed {}", args.data.seed);
    watch.progress.line(&format!(
        "training {} ({} parameters, {}) on {} rows of {data}, testing on {}: {}",
        sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("→"),
        trainer.stepper().theta().arrays().iter().map(Tensor::len).sum::<usize>(),
        args.model.act,
        rows[0],
        rows[1],
        rule_title,
    ));
    let start = Instant::now();
    let summary = trainer.run(&mut watch)?;
    let seconds = start.elapsed().as_secs_f64();
    let table = closing_table(&summary, seconds);
    watch.finish(&title, trainer.stepper().theta())?;
    print(&format!("{table}\nwrote {}\n", place.display())).map_err(CommandError::Output)
}

/// Follows a run: shows progress, records every step, and remembers what the figures need.
struct Watch {
    folder: RunFolder,
    progress: Progress,
    epochs: usize,
    last: Instant,
    losses: Vec<(u64, f64)>,
    accuracies: Vec<(u64, f64)>,
    steps: Vec<(u64, f64, Reason)>,
}

impl Observer for Watch {
    type Error = CommandError;

    fn step(&mut self, report: &StepReport) -> Result<(), CommandError> {
        let now = Instant::now();
        let ms = (now - self.last).as_secs_f64() * 1e3;
        self.last = now;
        self.folder.record(&StepRow::new(report, ms))?;
        self.progress.step(|| format!("loss {:.4}  α {:.3}", report.loss, report.alpha));
        self.losses.push((report.index, report.loss));
        self.steps.push((report.index, report.alpha, report.reason));
        Ok(())
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<(), CommandError> {
        let width = self.epochs.to_string().len();
        let Evaluation { loss, accuracy } = report.test;
        let share = accuracy.map_or(String::new(), |a| format!(", accuracy {:.2} %", 100.0 * a));
        self.progress.line(&format!(
            "epoch {:>width$}/{}: train loss {:.4}, test loss {loss:.4}{share}",
            report.epoch, self.epochs, report.train.loss,
        ));
        self.accuracies.extend(accuracy.map(|a| (report.steps, a)));
        // Evaluation is not part of the next step's time.
        self.last = Instant::now();
        Ok(())
    }
}

impl Watch {
    /// Writes parameters and figures, and moves the folder into its place.
    fn finish<T: Real>(self, title: &str, theta: &Params<Tensor<T>>) -> Result<(), CommandError> {
        let Watch { folder, progress, losses, accuracies, steps, .. } = self;
        progress.finish();
        let rates: Vec<_> = steps
            .iter()
            .map(|&(step, alpha, reason)| RateStep {
                step,
                alpha,
                fallback: reason.is_fallback().then(|| reason.name()),
            })
            .collect();
        folder.write_with(PARAMETERS, |path| nn::weights::save(path, theta.iter()))?;
        folder.write("training.svg", &training(&Training { title, loss: &losses, test_accuracy: &accuracies })?)?;
        let window = (steps.len() / 20).max(5);
        folder.write("alpha.svg", &plot::rates(&Rates { title, steps: &rates, median_window: Some(window) })?)?;
        folder.finish()?;
        Ok(())
    }
}

/// What a run came to.
fn closing_table(summary: &Summary, seconds: f64) -> String {
    let mut table = Table::new();
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    if let Some(EpochReport { train, test, .. }) = summary.last {
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
