//! The folder of a run: everything in it appears at once, whole, or not at all.
//!
//! A run is written into a temporary folder beside its place (`.NAME.XXXXXX.tmp`) and moved there by
//! [`RunFolder::finish`]; until then whatever stood there stands untouched. A run that ends early, in an error or a
//! panic, takes its temporary folder with it; one that is killed leaves it, with the metrics so far.
//!
//! A bare `parabola` writes to [`default_path`], a scratch place named after what was run, and **replaces** an earlier
//! run there, so that the same command works twice. A folder the user named is never replaced unless asked for
//! (`--force`). In neither case is anything else than a run deleted: a folder that holds any file which no run writes
//! is refused.

mod error;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, LineWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

pub use error::RunFolderError;

/// The configuration of the run, with the program that wrote it.
pub const CONFIG: &str = "config.json";
/// One JSON object a line, one line a step.
pub const METRICS: &str = "metrics.jsonl";
/// The final parameters.
pub const PARAMETERS: &str = "parameters.safetensors";

/// What to do with an earlier run in the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Keep it, and refuse to run.
    Keep,
    /// Put the new run in its place once that is complete.
    Replace,
}

/// The place of a run for which no folder was given: `runs/DATA-RULE-seedN`.
///
/// Characters of `data` and `rule` other than letters, digits, `-` and `_` become `-`.
///
/// ```
/// use bench::report::run_folder::default_path;
/// assert_eq!(default_path("digits", "exact", 0), std::path::Path::new("runs/digits-exact-seed0"));
/// ```
pub fn default_path(data: &str, rule: &str, seed: u64) -> PathBuf {
    let plain = |s: &str| -> String {
        s.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
    };
    Path::new("runs").join(format!("{}-{}-seed{seed}", plain(data), plain(rule)))
}

/// A run folder being written. Dropped unfinished, it leaves nothing.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    existing: Existing,
    folder: TempDir,
    metrics: Option<LineWriter<File>>,
}

impl RunFolder {
    /// Checks that the place is free, or may be replaced, and begins a run there with its configuration.
    ///
    /// Missing folders above it are created.
    ///
    /// # Errors
    /// If the place holds a finished run that must be kept, or anything that is no run, or cannot be written.
    ///
    /// ```
    /// use bench::report::run_folder::{Existing, RunFolder};
    /// let place = tempfile::tempdir()?;
    /// let path = place.path().join("first");
    /// let mut run = RunFolder::create(&path, Existing::Keep, &serde_json::json!({ "epochs": 3 }))?;
    /// run.record(&serde_json::json!({ "step": 0, "loss": 2.3 }))?;
    /// assert!(!path.exists());
    /// run.finish()?;
    /// assert_eq!(std::fs::read_to_string(path.join("metrics.jsonl"))?, "{\"loss\":2.3,\"step\":0}\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(path: &Path, existing: Existing, config: &impl Serialize) -> Result<Self, RunFolderError> {
        let path = resolve(path)?;
        vet(&path, existing)?;
        let (parent, name) = place(&path)?;
        fs::create_dir_all(parent).map_err(io_error(parent, "create this folder"))?;
        let folder = temporary(parent, name).map_err(io_error(parent, "write to this folder"))?;
        let run = RunFolder { path, existing, folder, metrics: None };
        run.write(CONFIG, &stamped(config).map_err(|e| run.failed(CONFIG, e))?)?;
        Ok(run)
    }

    /// Where the run will stand once it is finished.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line to `metrics.jsonl`. Numbers that are not finite become `null`.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn record(&mut self, row: &impl Serialize) -> Result<(), RunFolderError> {
        let mut line = serde_json::to_vec(row).map_err(|e| self.failed(METRICS, e))?;
        line.push(b'\n');
        self.append(&line).map_err(|e| self.failed(METRICS, e))
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let out = match &mut self.metrics {
            Some(out) => out,
            none => none.insert(LineWriter::new(File::create_new(self.folder.path().join(METRICS))?)),
        };
        out.write_all(line)
    }

    /// Writes a text file, such as a figure.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), RunFolderError> {
        self.write_with(name, |path| fs::write(path, text))
    }

    /// Writes a file by a function of its (temporary) path, such as one that saves parameters.
    ///
    /// # Errors
    /// If the function fails; its error is told with the name of the file.
    ///
    /// # Panics
    /// If no run may hold a file of this name.
    #[track_caller]
    pub fn write_with<E>(&self, name: &str, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), RunFolderError>
    where
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        assert!(is_part(name), "a run folder holds no file named `{name}`");
        write(&self.folder.path().join(name)).map_err(|e| self.failed(name, e))
    }

    /// Moves the run into its place, replacing an earlier one if that was allowed, and returns the place.
    ///
    /// # Errors
    /// If the place has been taken meanwhile or the folder cannot be moved; the run is then kept where the error says,
    /// and the earlier one where it was.
    pub fn finish(mut self) -> Result<PathBuf, RunFolderError> {
        if let Some(mut out) = self.metrics.take() {
            out.flush().map_err(|e| self.failed(METRICS, e))?;
        }
        match vet(&self.path, self.existing)
            .map_err(|e| e.to_string())
            .and_then(|()| swap(self.folder.path(), &self.path))
        {
            Ok(()) => {
                // Its contents have moved: there is nothing left for the guard to delete.
                let _ = self.folder.keep();
                Ok(self.path)
            }
            Err(reason) => Err(RunFolderError::Move { path: self.path, kept: self.folder.keep(), reason }),
        }
    }

    fn failed(&self, file: &str, source: impl Into<Box<dyn Error + Send + Sync>>) -> RunFolderError {
        RunFolderError::Write { path: self.path.clone(), file: file.to_owned(), source: source.into() }
    }
}

/// The path with links followed where it exists, so that a link to a folder is not itself replaced.
fn resolve(path: &Path) -> Result<PathBuf, RunFolderError> {
    place(path)?;
    match fs::canonicalize(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(path.to_owned()),
        result => result.map_err(io_error(path, "read this path")),
    }
}

/// The folder a run folder stands in, and its name there.
fn place(path: &Path) -> Result<(&Path, &str), RunFolderError> {
    let name = path.file_name().and_then(|n| n.to_str());
    let parent = path.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    parent.zip(name).ok_or_else(|| RunFolderError::Unnamed { path: path.to_owned() })
}

/// Whether a run may be put here: nothing there, an empty folder, or an earlier run that may be replaced.
fn vet(path: &Path, existing: Existing) -> Result<(), RunFolderError> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(RunFolderError::File { path: path.to_owned() });
        }
        result => result.map_err(io_error(path, "read this folder"))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error(path, "read this folder"))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().map_err(io_error(&entry.path(), "read this entry"))?.is_file();
        if !is_file || !is_part(&name) {
            return Err(RunFolderError::Foreign { path: path.to_owned(), found: format!("`{name}`") });
        }
        names.push(name);
    }
    match (names.is_empty(), existing) {
        (true, _) => Ok(()),
        (false, _) if !is_stamped(&path.join(CONFIG)) => {
            let found = format!("`{}` but no {CONFIG} of a run", names[0]);
            Err(RunFolderError::Foreign { path: path.to_owned(), found })
        }
        (false, Existing::Keep) => Err(RunFolderError::Finished { path: path.to_owned() }),
        (false, Existing::Replace) => Ok(()),
    }
}

/// Whether a run may write a file of this name.
fn is_part(name: &str) -> bool {
    let figure = [".svg", ".csv"].iter().any(|end| name.ends_with(end)) && !name.contains(['/', '\\']);
    [CONFIG, METRICS, PARAMETERS, "summary.txt"].contains(&name) || figure
}

/// The configuration as JSON, with the program's name and version first.
fn stamped(config: &impl Serialize) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Stamped<'a, C> {
        program: &'static str,
        version: &'static str,
        config: &'a C,
    }
    let stamped = Stamped { program: "parabola", version: env!("CARGO_PKG_VERSION"), config };
    Ok(serde_json::to_string_pretty(&stamped)? + "\n")
}

fn is_stamped(config: &Path) -> bool {
    let value = fs::read(config).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    value.is_some_and(|v| v["program"] == "parabola")
}

/// A temporary folder in `parent` for something to be named `name`.
fn temporary(parent: &Path, name: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".tmp").tempdir_in(parent)
}

/// Puts `new` in the place of `old`, which may exist; on failure `old` is back where it was.
fn swap(new: &Path, old: &Path) -> Result<(), String> {
    if !old.exists() {
        return fs::rename(new, old).map_err(|e| e.to_string());
    }
    let (parent, name) = place(old).map_err(|e| e.to_string())?;
    let aside = temporary(parent, name).map_err(|e| e.to_string())?;
    let earlier = aside.path().join(name);
    fs::rename(old, &earlier).map_err(|e| e.to_string())?;
    fs::rename(new, old).map_err(|e| match fs::rename(&earlier, old) {
        Ok(()) => e.to_string(),
        Err(back) => format!("{e}; and the earlier run is now in {}: {back}", aside.keep().join(name).display()),
    })
}

fn io_error(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> RunFolderError {
    let path = path.to_owned();
    move |source| RunFolderError::Io { path, action, source }
}
