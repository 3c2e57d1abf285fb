//! Checkpoints of a run: what it needs to go on as if it had never stopped.
//!
//! ```text
//!   NAME.unfinished/checkpoints/00000440/manifest.json         step, time, precision, whole numbers of the state
//!                                       /state.safetensors     parameters, state of the direction, the step before
//!                                       /config.toml           the run's configuration, to know whose checkpoint it is
//! ```
//!
//! A checkpoint is written under another name, flushed to disk and renamed, so that one that is there is whole. Data and random numbers
//! need no state: both follow from the seed and the step's number.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use ad_core::Real;
use nn::weights::{self, WeightsError};
use nn::{State, StateError};
use serde::{Deserialize, Serialize};

use super::CONFIG;

/// Name of the folder of checkpoints in that of a run.
pub const FOLDER: &str = "checkpoints";
/// Name of the file that says what a checkpoint is.
pub const MANIFEST: &str = "manifest.json";
/// Name of the file of its arrays.
pub const STATE: &str = "state.safetensors";

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Steps taken.
    pub step: u64,
    /// Seconds that the run took so far.
    pub seconds: f64,
    /// The floating-point type of the arrays.
    pub dtype: String,
    /// Number of arrays.
    pub arrays: usize,
    /// Rows of the training and of the test part, which a run goes on with.
    pub rows: [usize; 2],
    /// The whole numbers of the state, by name; others by their bits.
    pub numbers: BTreeMap<String, u64>,
}

/// A checkpoint cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder cannot be written or read.
    #[error("{}: cannot {action}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The arrays cannot be written or read.
    #[error(transparent)]
    Arrays(#[from] WeightsError),
    /// A file says something else than it should.
    #[error("{}: {message}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was found and expected.
        message: String,
    },
    /// The last checkpoint cannot be read; there are earlier ones.
    #[error("{source}; remove {} to go on from the checkpoint before it", .path.display())]
    Last {
        /// The folder of the last checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<CheckpointError>,
    },
    /// The checkpoint is one of another run.
    #[error("{}: is no checkpoint of this configuration: {source}", .path.display())]
    Misfit {
        /// The file of the state.
        path: PathBuf,
        /// What does not fit.
        source: StateError,
    },
}

/// When a checkpoint is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Steps taken.
    pub step: u64,
    /// Seconds that the run took so far.
    pub seconds: f64,
    /// Rows of the training and of the test part.
    pub rows: [usize; 2],
}

/// Writes a checkpoint into the folder of a run, and removes all but the last `keep`.
///
/// # Errors
/// If it cannot be written; earlier ones are then intact.
pub fn save<T: Real>(run: &Path, moment: Moment, state: State<T>, keep: usize) -> Result<(), CheckpointError> {
    let Moment { step, seconds, rows } = moment;
    let all = run.join(FOLDER);
    let place = all.join(format!("{step:08}"));
    let beside = all.join(format!(".{step:08}.tmp"));
    let failed = |path: &Path, action| {
        let path = path.to_owned();
        move |source| CheckpointError::Io { path, action, source }
    };
    for left in [&beside, &place] {
        if left.exists() {
            fs::remove_dir_all(left).map_err(failed(left, "replace this folder"))?;
        }
    }
    fs::create_dir_all(&beside).map_err(failed(&beside, "create this folder"))?;
    let State { tensors, numbers } = state;
    weights::save_any(&beside.join(STATE), tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)))?;
    let manifest = Manifest { step, seconds, dtype: T::NAME.to_owned(), arrays: tensors.len(), rows, numbers };
    let text = serde_json::to_string_pretty(&manifest).expect("a manifest of plain values") + "\n";
    let path = beside.join(MANIFEST);
    fs::write(&path, text).map_err(failed(&path, "write this file"))?;
    let path = beside.join(CONFIG);
    fs::copy(run.join(CONFIG), &path).map_err(failed(&path, "write this file"))?;
    for name in [STATE, MANIFEST, CONFIG, "."] {
        let path = beside.join(name);
        File::open(&path).and_then(|file| file.sync_all()).map_err(failed(&path, "flush this file"))?;
    }
    fs::rename(&beside, &place).map_err(failed(&place, "put the checkpoint here"))?;
    File::open(&all).and_then(|folder| folder.sync_all()).map_err(failed(&all, "flush this folder"))?;
    let found = list(run)?;
    for (_, old) in &found[..found.len().saturating_sub(keep)] {
        fs::remove_dir_all(old).map_err(failed(old, "remove this checkpoint"))?;
    }
    Ok(())
}

/// The checkpoints of a run, first to last, by their steps.
fn list(run: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let folder = run.join(FOLDER);
    let failed = |source| CheckpointError::Io { path: folder.clone(), action: "read this folder", source };
    let entries = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let step = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
        found.extend(step.map(|step| (step, path)));
    }
    found.sort();
    Ok(found)
}

/// The last checkpoint of a run: its manifest, and the state for [`Stepper::restore`](gen_sched::Stepper::restore). `None` if the run
/// has none.
///
/// # Errors
/// If it cannot be read, or is of another precision.
pub fn load_last<T: Real>(run: &Path) -> Result<Option<(PathBuf, Manifest, State<T>)>, CheckpointError> {
    let mut all = list(run)?;
    let Some((step, folder)) = all.pop() else { return Ok(None) };
    of_this_run(run, &folder)?;
    match load(&folder, step) {
        Ok((manifest, state)) => Ok(Some((folder, manifest, state))),
        Err(error) if all.is_empty() => Err(error),
        Err(error) => Err(CheckpointError::Last { path: folder, source: Box::new(error) }),
    }
}

/// Refuses a checkpoint of another configuration than its run's.
fn of_this_run(run: &Path, folder: &Path) -> Result<(), CheckpointError> {
    let read = |path: &Path| match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(source) => Err(CheckpointError::Io { path: path.to_owned(), action: "read this file", source }),
    };
    let (path, of_run) = (folder.join(CONFIG), run.join(CONFIG));
    let (found, expected) = (read(&path)?, read(&of_run)?);
    let (mut found, mut expected) = (found.lines(), expected.lines());
    let shown = |line: Option<&str>| line.map_or("nothing".to_owned(), |line| format!("{line:?}"));
    for line in 1.. {
        match (found.next(), expected.next()) {
            (None, None) => break,
            (found, expected) if found == expected => {}
            (found, expected) => {
                let (found, expected) = (shown(found), shown(expected));
                let message = format!("line {line}: found {found}, expected {expected} as in {}", of_run.display());
                return Err(CheckpointError::Content { path, message });
            }
        }
    }
    Ok(())
}

/// The checkpoint in this folder, of this step.
fn load<T: Real>(folder: &Path, step: u64) -> Result<(Manifest, State<T>), CheckpointError> {
    let path = folder.join(MANIFEST);
    let wrong = |message: String| CheckpointError::Content { path: path.clone(), message };
    let text = fs::read_to_string(&path).map_err(|source| CheckpointError::Io {
        path: path.clone(),
        action: "read this file",
        source,
    })?;
    let manifest: Manifest = serde_json::from_str(&text).map_err(|e| wrong(worded(&e.to_string())))?;
    if manifest.step != step {
        return Err(wrong(format!("step: found {}, expected {step}, as the folder is named", manifest.step)));
    }
    if !(manifest.seconds.is_finite() && manifest.seconds >= 0.0) {
        return Err(wrong(format!("seconds: found {}, expected a number from 0", manifest.seconds)));
    }
    if manifest.dtype != T::NAME {
        return Err(wrong(format!("dtype: found {:?}, expected {:?}, as configured", manifest.dtype, T::NAME)));
    }
    let tensors: BTreeMap<_, _> = weights::load_any(&folder.join(STATE))?.into_iter().collect();
    if tensors.len() != manifest.arrays {
        return Err(wrong(format!("arrays: found {}, expected {} as in {STATE}", manifest.arrays, tensors.len())));
    }
    let state = State { tensors, numbers: manifest.numbers.clone() };
    Ok((manifest, state))
}

/// What a manifest's keys are.
const KEYS: &str = "step, seconds, dtype, arrays, rows and numbers";

/// The parser's complaint about a manifest in the words of the others: what was found, what was expected.
fn worded(message: &str) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match missing {
        Some((key, place)) => format!("found no key {key}{place}, expected {KEYS}"),
        None => format!("{message}, expected a JSON object of {KEYS}"),
    }
}

#[cfg(test)]
mod tests {
    use ad_core::Tensor;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// A folder of a run, with its configuration.
    fn run() -> tempfile::TempDir {
        let run = tempfile::tempdir().unwrap();
        fs::write(run.path().join(CONFIG), "[model]\nact = \"tanh\"\n").unwrap();
        run
    }

    fn at(step: u64) -> Moment {
        Moment { step, seconds: 1.5, rows: [8, 2] }
    }

    fn state(x: f32) -> State<f32> {
        State { tensors: [("theta.w".to_owned(), Tensor::scalar(x))].into(), numbers: [("steps".to_owned(), 7)].into() }
    }

    #[test]
    fn the_last_few_are_kept_and_the_last_is_read() {
        let run = run();
        assert!(load_last::<f32>(run.path()).unwrap().is_none());
        for step in [9, 10, 100] {
            save(run.path(), at(step), state(step as f32), 2).unwrap();
        }
        let steps: Vec<u64> = list(run.path()).unwrap().into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, [10, 100]);
        let (_, manifest, found) = load_last::<f32>(run.path()).unwrap().unwrap();
        assert_eq!((manifest.step, found), (100, state(100.0)));
        // What was left half-written is no checkpoint, and is replaced.
        fs::create_dir(run.path().join(FOLDER).join(".00000101.tmp")).unwrap();
        save(run.path(), at(101), state(1.0), 1).unwrap();
        assert_eq!(fs::read_dir(run.path().join(FOLDER)).unwrap().count(), 1);
    }

    #[test]
    fn numbers_that_are_not_finite_are_kept() {
        let run = run();
        save(run.path(), at(3), state(f32::INFINITY), 2).unwrap();
        assert_eq!(load_last::<f32>(run.path()).unwrap().unwrap().2, state(f32::INFINITY));
        save(run.path(), at(4), state(f32::NAN), 2).unwrap();
        assert!(load_last::<f32>(run.path()).unwrap().unwrap().2.tensors["theta.w"].item().is_nan());
    }

    #[test]
    fn a_damaged_or_foreign_checkpoint_is_named() {
        let run = run();
        save(run.path(), at(3), state(1.0), 2).unwrap();
        let error = load_last::<f64>(run.path()).unwrap_err().to_string();
        assert!(error.contains("manifest.json: dtype: found \"f32\", expected \"f64\""), "{error}");
        let folder = run.path().join(FOLDER).join("00000003");
        let arrays = fs::read(folder.join(STATE)).unwrap();
        fs::write(folder.join(STATE), &arrays[..arrays.len() - 2]).unwrap();
        let error = load_last::<f32>(run.path()).unwrap_err().to_string();
        assert!(error.contains("state.safetensors") && !error.contains('\n'), "{error}");
        fs::write(folder.join(MANIFEST), "{}").unwrap();
        let error = load_last::<f32>(run.path()).unwrap_err().to_string();
        let expected = "manifest.json: found no key step at line 1 column 2, expected step, seconds, dtype";
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("remove"), "{error}");
        // With another one before it, that can be gone on from.
        save(run.path(), at(2), state(1.0), 2).unwrap();
        let error = load_last::<f32>(run.path()).unwrap_err().to_string();
        assert!(error.contains("00000003 to go on from the checkpoint before it") && !error.contains('\n'), "{error}");
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(load_last::<f32>(run.path()).unwrap().unwrap().1.step, 2);
        // Settings were changed.
        fs::write(run.path().join(CONFIG), "[model]\nact = \"relu\"\n").unwrap();
        let error = load_last::<f32>(run.path()).unwrap_err().to_string();
        let expected =
            "00000002/config.toml: line 2: found \"act = \\\"tanh\\\"\", expected \"act = \\\"relu\\\"\" as in ";
        assert!(error.contains(expected), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_a_checkpoint_panic(
            changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            file in prop::sample::select(vec![MANIFEST, STATE, CONFIG]),
        ) {
            let run = run();
            save(run.path(), at(3), state(1.0), 2).unwrap();
            let path = run.path().join(FOLDER).join("00000003").join(file);
            let mut bytes = fs::read(&path).unwrap();
            let length = bytes.len();
            changes.iter().for_each(|(place, byte)| bytes[place.index(length)] = *byte);
            bytes.truncate(cut.map_or(length, |cut| cut.index(length)));
            fs::write(&path, &bytes).unwrap();
            if let Err(error) = load_last::<f32>(run.path()) {
                let message = error.to_string();
                prop_assert!(message.contains(file) && !message.contains('\n'), "{message:?}");
            }
        }
    }
}
