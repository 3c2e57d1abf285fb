//! `parabola study`: a named, reproducible study on a training run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::Args;

use super::CommandError;
use super::compare::{self, CompareArgs};
use super::flags::OutputArgs;
use super::values::thread_count;
use crate::config::study::Study;
use crate::report::print::print;
use crate::report::progress::Progress;
use crate::report::run_folder::RunFolder;
use crate::session::in_pool;
use crate::study;

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Makes the study that a file describes: a configuration as of train, with a table [study] more. Of kind estimation it \
    measures how wrong estimates of α* are; of kind reach how far parabolas hold, and in which layers curvature sits. With a table \
    [compare] instead, rules are trained side by side as by `parabola compare`, which has more flags for it. Writes data (CSV), figures (SVG) and a report \
    (Markdown). Studies stand in the folder examples/studies of the source.";

/// Flags of `parabola study`.
#[derive(Clone, Debug, Args)]
pub struct StudyArgs {
    /// The study
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Threads to compute with; the numbers do not depend on it [default: one a core]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub threads: Option<usize>,
    /// The results.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Makes the study and prints its report.
///
/// # Errors
/// If the file makes no sense, the data cannot be read or the results cannot be written.
pub fn run(args: StudyArgs) -> Result<(), CommandError> {
    if is_comparison(&args.config) {
        let StudyArgs { config, threads, output: OutputArgs { out, force, quiet } } = args;
        return compare::run(CompareArgs { config, out, force, threads, jobs: None, quiet });
    }
    let study = Study::open(&args.config)?;
    let name = args.config.file_stem().map_or_else(|| "study".into(), |stem| stem.to_string_lossy());
    let (place, existing) = args.output.place(Path::new("runs").join(format!("{name}-study")));
    let folder = RunFolder::create(&place, existing, &study.to_toml())?;
    let progress = Mutex::new(Progress::lines(args.output.quiet));
    let tell = |line: &str| progress.lock().unwrap_or_else(PoisonError::into_inner).line(line);
    let report = in_pool(args.threads, || study::run(&study, &folder, &tell))?;
    folder.finish()?;
    print(&format!("{report}\nwrote {}\n", place.display())).map_err(CommandError::Output)
}

/// Whether a file compares rules. What cannot be read does not, and is complained of as a study.
fn is_comparison(config: &Path) -> bool {
    let text = fs::read_to_string(config).ok();
    text.and_then(|text| text.parse::<toml::Table>().ok()).is_some_and(|table| table.contains_key("compare"))
}
