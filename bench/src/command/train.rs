//! `parabola train`: trains a network and writes its run folder.

use std::path::{Path, PathBuf};

use ad_core::Real;
use clap::Args;
use gen_sched::{Reason, Standing};

use super::CommandError;
use super::flags::{ConfigArgs, OutputArgs};
use super::values::{count, positive_count};
use crate::config::{Config, Dtype};
use crate::recorded::{Recorded, Run};
use crate::report::print::print;
use crate::report::progress::Progress;
use crate::report::run_folder::{CONFIG, RunFolder};
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
const NOT_RESUMED: [&str; 24] = [
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
    "out",
    "force",
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
    let session = Session::<T>::open(config)?;
    let run = match resumed {
        Some(folder) => Run::resume(config, session, folder)?,
        None => {
            let (place, existing) = args.output.place(args.config.default_place(&session.name(), config));
            Run::begin(config, session, RunFolder::begin(&place, existing, &config.to_toml())?)
        }
    };
    let place = run.place().to_owned();
    let (done, total) = run.steps();
    let mut progress = Progress::start(total, done, args.output.quiet);
    progress.line(&run.announcement());
    let table = closing_table(&run.to_end(progress)?);
    print(&format!("{table}\nwrote {}\n", shown(&place))).map_err(CommandError::Output)
}

/// The path as the user would give it: relative where it is below the current folder.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

/// What a run came to.
fn closing_table(recorded: &Recorded) -> String {
    let summary = recorded.summary();
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
    table.row(["time".to_owned(), format!("{:.2} s", recorded.seconds)]);
    table.row(["cost a step, in gradients".to_owned(), format!("{:.2}", summary.in_gradients / steps.max(1) as f64)]);
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
