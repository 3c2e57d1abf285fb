//! What stands in the place of a run.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{CONFIG, RunFolderError, STAMP, io_error, place, unfinished};

/// The runs of one place by their configurations, as [`create`](super::RunFolder::create) was given them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The finished one.
    pub finished: Option<String>,
    /// The one that was ended early, or is being written.
    pub unfinished: Option<String>,
}

/// Looks for runs in a place.
///
/// # Errors
/// If the path cannot be a run's, or a configuration there cannot be read.
///
/// ```
/// use bench::report::run_folder::{Existing, Found, RunFolder, find};
/// let place = tempfile::tempdir()?;
/// let path = place.path().join("first");
/// assert_eq!(find(&path)?, Found::default());
/// let run = RunFolder::begin(&path, Existing::Keep, "a = 1\n")?;
/// assert_eq!(find(&path)?.unfinished.as_deref(), Some("a = 1\n"));
/// run.finish()?;
/// assert_eq!(find(&path)?, Found { finished: Some("a = 1\n".to_owned()), unfinished: None });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn find(path: &Path) -> Result<Found, RunFolderError> {
    place(path)?;
    Ok(Found { finished: configuration(path)?, unfinished: configuration(&unfinished(path)?)? })
}

/// The configuration of the run in this folder, without the stamp of the program; `None` if there is no run.
fn configuration(folder: &Path) -> Result<Option<String>, RunFolderError> {
    let path = folder.join(CONFIG);
    match fs::read_to_string(&path) {
        Err(e) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&e.kind()) => Ok(None),
        Err(e) => Err(io_error(&path, "read this file")(e)),
        Ok(text) => Ok(text.split_once('\n').filter(|(stamp, _)| stamp.starts_with(STAMP)).map(|it| it.1.to_owned())),
    }
}

/// Reads a file of JSON lines, [`METRICS`](super::METRICS) or [`EVALUATIONS`](super::EVALUATIONS), of a finished run.
///
/// # Errors
/// If the file cannot be read, or a line is none of such rows.
pub fn read_lines<R: DeserializeOwned>(folder: &Path, name: &str) -> Result<Vec<R>, RunFolderError> {
    let path = folder.join(name);
    let read = || -> Result<Vec<R>, Box<dyn Error + Send + Sync>> {
        let lines = BufReader::new(File::open(&path)?).lines();
        let row = |(i, line): (usize, std::io::Result<String>)| {
            let row = line.and_then(|line| Ok(serde_json::from_str(&line)?));
            row.map_err(|e| format!("line {}: {e}", i + 1).into())
        };
        lines.enumerate().map(row).collect()
    };
    read().map_err(|source| RunFolderError::Lines { path: path.clone(), source })
}
