//! The folder of a run: everything in it appears at once, whole, or not at all.
//!
//! A short run is written into a temporary folder beside its place (`.NAME.XXXXXX.tmp`) and moved there by
//! [`RunFolder::finish`]; until then whatever stood there stands untouched. A run that ends early, in an error or a
//! panic, takes its temporary folder with it.
//!
//! A run that may be [resumed](RunFolder::resume) is written into `NAME.unfinished` beside its place instead, with its
//! [checkpoints](checkpoint); when it ends early, even killed, that folder stays.
//!
//! A bare `parabola` writes to [`default_path`], a scratch place named after what was run, and **replaces** an earlier
//! run there, so that the same command works twice. A folder the user named is never replaced unless asked for
//! (`--force`). In neither case is anything else than a run deleted: a folder that holds any file which no run writes
//! is refused.

pub mod checkpoint;
mod error;
mod found;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, LineWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;

pub use error::RunFolderError;
pub use found::{Found, find, read_lines};

/// The configuration of the run, with the program that wrote it.
pub const CONFIG: &str = "config.toml";
/// One JSON object a line, one line a step.
pub const METRICS: &str = "metrics.jsonl";
/// One JSON object a line, one line an evaluation.
pub const EVALUATIONS: &str = "evaluations.jsonl";
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
    Path::new("runs").join(format!("{}-{}-seed{seed}", plain(data), plain(rule)))
}

/// A name as it stands in those of folders: characters other than letters, digits, `-` and `_` become `-`.
pub fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}

/// A run folder being written.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    existing: Existing,
    work: Work,
    /// Open files of one JSON object a line.
    lines: Vec<(&'static str, LineWriter<File>)>,
}

/// Where a run is written before it is finished.
#[derive(Debug)]
enum Work {
    /// Dropped unfinished, it leaves nothing.
    Temporary(TempDir),
    /// It stays, and is held by one process at a time.
    Lasting { folder: PathBuf, _lock: File },
}

impl Work {
    fn folder(&self) -> &Path {
        match self {
            Work::Temporary(folder) => folder.path(),
            Work::Lasting { folder, .. } => folder,
        }
    }
}

impl RunFolder {
    /// Checks that the place is free, or may be replaced, and begins a run there with its configuration, in TOML. Dropped unfinished, it
    /// leaves nothing.
    ///
    /// Missing folders above it are created.
    ///
    /// # Errors
    /// If the place holds a finished run that must be kept, or anything that is no run, or cannot be written.
    ///
    /// ```
    /// use bench::report::run_folder::{Existing, METRICS, RunFolder};
    /// let place = tempfile::tempdir()?;
    /// let path = place.path().join("first");
    /// let mut run = RunFolder::create(&path, Existing::Keep, "[training]\nepochs = 3\n")?;
    /// run.record(METRICS, &serde_json::json!({ "step": 0, "loss": 2.3 }))?;
    /// assert!(!path.exists());
    /// run.finish()?;
    /// assert_eq!(std::fs::read_to_string(path.join("metrics.jsonl"))?, "{\"loss\":2.3,\"step\":0}\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create(path: &Path, existing: Existing, config: &str) -> Result<Self, RunFolderError> {
        let path = resolve(path)?;
        vet(&path, existing)?;
        let (parent, name) = place(&path)?;
        fs::create_dir_all(parent).map_err(io_error(parent, "create this folder"))?;
        let folder = temporary(parent, name).map_err(io_error(parent, "write to this folder"))?;
        RunFolder::started(path, existing, Work::Temporary(folder), config)
    }

    /// The same for a run that may be [resumed](RunFolder::resume): it is written into `NAME.unfinished`, which stays if the run ends
    /// early. An unfinished run there is treated as a finished one in the place itself would be.
    ///
    /// # Errors
    /// As for [`create`](RunFolder::create), and if another process is writing the same run.
    pub fn begin(path: &Path, existing: Existing, config: &str) -> Result<Self, RunFolderError> {
        let path = resolve(path)?;
        vet(&path, existing)?;
        let folder = unfinished(&path)?;
        fs::create_dir_all(&folder).map_err(io_error(&folder, "create this folder"))?;
        let lock = lock(&folder)?;
        vet(&folder, Existing::Replace)?;
        if existing == Existing::Keep && folder.join(CONFIG).exists() {
            return Err(RunFolderError::Unfinished { path, folder });
        }
        clear(&folder).map_err(io_error(&folder, "clear this folder"))?;
        RunFolder::started(path, existing, Work::Lasting { folder, _lock: lock }, config)
    }

    /// Goes on with a run that was ended early: `path` is its place, or the unfinished folder itself. If the run is finished, what it
    /// left that only a resumed one would need is removed.
    ///
    /// # Errors
    /// If there is no such run, it is finished, or another process is writing it.
    pub fn resume(path: &Path) -> Result<Self, RunFolderError> {
        let named = path.to_string_lossy();
        let path = match named.trim_end_matches('/').strip_suffix(UNFINISHED) {
            Some(place) => resolve(Path::new(place))?,
            None => resolve(path)?,
        };
        let folder = unfinished(&path)?;
        if !is_stamped(&folder.join(CONFIG)) {
            let is_finished = is_stamped(&path.join(CONFIG));
            if is_finished {
                // It may have been killed once it stood in its place.
                remove_leftovers(&path);
            }
            return Err(RunFolderError::NothingToResume { path, is_finished });
        }
        let work = Work::Lasting { _lock: lock(&folder)?, folder };
        tidy(work.folder()).map_err(io_error(work.folder(), "tidy this folder"))?;
        // Whoever resumes a run means it to take its place.
        Ok(RunFolder { path, existing: Existing::Replace, work, lines: Vec::new() })
    }

    fn started(path: PathBuf, existing: Existing, work: Work, config: &str) -> Result<Self, RunFolderError> {
        let run = RunFolder { path, existing, work, lines: Vec::new() };
        run.write_with(CONFIG, |path| nn::file::replace(path, (stamp() + config).as_bytes()))?;
        Ok(run)
    }

    /// Where the run is written until it is finished.
    pub fn folder(&self) -> &Path {
        self.work.folder()
    }

    /// Where the run will stand once it is finished.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line to a file of JSON lines, [`METRICS`] or [`EVALUATIONS`]. Numbers that are not finite become `null`.
    ///
    /// # Errors
    /// If the line cannot be written.
    pub fn record(&mut self, name: &'static str, row: &impl Serialize) -> Result<(), RunFolderError> {
        let mut line = serde_json::to_vec(row).map_err(|e| self.failed(name, e))?;
        line.push(b'\n');
        self.append(name, &line).map_err(|e| self.failed(name, e))
    }

    fn append(&mut self, name: &'static str, line: &[u8]) -> io::Result<()> {
        let open = self.lines.iter().position(|(open, _)| *open == name);
        let place = match open {
            Some(place) => place,
            None => {
                let path = self.folder().join(name);
                let file = File::options().append(true).create(true).open(path)?;
                self.lines.push((name, LineWriter::new(file)));
                self.lines.len() - 1
            }
        };
        self.lines[place].1.write_all(line)
    }

    /// Reads the first lines of a file of JSON lines, as long as they are wanted, and cuts off the rest: what was written after the
    /// checkpoint that a run goes on from.
    ///
    /// # Errors
    /// If the file cannot be read or cut, or a line is none of such rows.
    pub fn keep_lines<R: DeserializeOwned>(
        &self,
        name: &str,
        wanted: impl Fn(&R) -> bool,
    ) -> Result<Vec<R>, RunFolderError> {
        let read = || -> Result<Vec<R>, Box<dyn Error + Send + Sync>> {
            let path = self.folder().join(name);
            if !path.exists() {
                return Ok(Vec::new());
            }
            let mut from = BufReader::new(File::open(&path)?);
            let (mut rows, mut end, mut line) = (Vec::new(), 0, Vec::new());
            while from.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
                match serde_json::from_slice(&line) {
                    Ok(row) if wanted(&row) => rows.push(row),
                    Ok(_) => break,
                    Err(e) => return Err(format!("line {}: {e}", rows.len() + 1).into()),
                }
                end += line.len() as u64;
                line.clear();
            }
            File::options().write(true).open(&path)?.set_len(end)?;
            Ok(rows)
        };
        read().map_err(|source| RunFolderError::Lines { path: self.folder().join(name), source })
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
        write(&self.folder().join(name)).map_err(|e| self.failed(name, e))
    }

    /// Moves the run into its place, replacing an earlier one if that was allowed, and returns the place.
    ///
    /// # Errors
    /// If the place has been taken meanwhile or the folder cannot be moved; the run is then kept where the error says,
    /// and the earlier one where it was.
    pub fn finish(mut self) -> Result<PathBuf, RunFolderError> {
        for (name, mut out) in std::mem::take(&mut self.lines) {
            out.flush().map_err(|e| self.failed(name, e))?;
        }
        match vet(&self.path, self.existing).map_err(|e| e.to_string()).and_then(|()| swap(self.folder(), &self.path)) {
            Ok(()) => {
                if let Work::Temporary(folder) = self.work {
                    // Its contents have moved: there is nothing left for the guard to delete.
                    let _ = folder.keep();
                }
                remove_leftovers(&self.path);
                Ok(self.path)
            }
            Err(reason) => {
                let kept = match self.work {
                    Work::Temporary(folder) => folder.keep(),
                    Work::Lasting { folder, .. } => folder,
                };
                Err(RunFolderError::Move { path: self.path, kept, reason })
            }
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
        if is_file && (name == LOCK || is_half_written(&name)) {
            continue;
        }
        if is_file != (name != checkpoint::FOLDER) || !is_part(&name) {
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
    let result = [".svg", ".csv", ".md"].iter().any(|end| name.ends_with(end)) && !name.contains(['/', '\\']);
    [CONFIG, METRICS, EVALUATIONS, PARAMETERS, checkpoint::FOLDER].contains(&name) || result
}

/// What the configuration of a run begins with.
const STAMP: &str = "# parabola ";

/// The first line of a configuration: program and version.
fn stamp() -> String {
    format!("{STAMP}{}\n", env!("CARGO_PKG_VERSION"))
}

fn is_stamped(config: &Path) -> bool {
    fs::read(config).is_ok_and(|bytes| bytes.starts_with(STAMP.as_bytes()))
}

/// What the folder of a run that is not finished has after its name.
const UNFINISHED: &str = ".unfinished";

/// The folder of the run at this place while it is not finished.
fn unfinished(path: &Path) -> Result<PathBuf, RunFolderError> {
    let (parent, name) = place(path)?;
    Ok(parent.join(format!("{name}{UNFINISHED}")))
}

/// The file by which a process holds an unfinished run.
const LOCK: &str = ".lock";

/// Holds a folder for this process, until it ends or drops the file.
fn lock(folder: &Path) -> Result<File, RunFolderError> {
    let path = folder.join(LOCK);
    let file = File::options().create(true).append(true).open(&path).map_err(io_error(&path, "open this file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunFolderError::Busy { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error(&path, "lock this file")(source)),
    }
}

/// Whether a file of this name is one that was being written when its process was killed.
fn is_half_written(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Removes files that were being written when a run was killed.
fn tidy(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() && is_half_written(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes what only a resumed run would need from one that is finished. It stands without that, so this is a courtesy which may fail.
fn remove_leftovers(run: &Path) {
    let _ = fs::remove_dir_all(run.join(checkpoint::FOLDER));
    let _ = fs::remove_file(run.join(LOCK));
}

/// Removes an unfinished run that has been vetted, all but its lock.
fn clear(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false if entry.file_name() != LOCK => fs::remove_file(entry.path())?,
            false => {}
        }
    }
    Ok(())
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
