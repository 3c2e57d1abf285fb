//! Why a run folder could not be written.

use std::error::Error;
use std::io;
use std::path::PathBuf;

/// A run folder could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// The path names no folder.
    #[error("{}: cannot hold a run: give a folder with a name of its own, such as runs/first", .path.display())]
    Unnamed {
        /// The path given.
        path: PathBuf,
    },
    /// A file stands where the folder should.
    #[error("{}: cannot hold a run: found a file, expected a folder or nothing", .path.display())]
    File {
        /// The path given.
        path: PathBuf,
    },
    /// An earlier run stands there.
    #[error("{}: holds a finished run; give --force to replace it, or another --out", .path.display())]
    Finished {
        /// The path given.
        path: PathBuf,
    },
    /// An unfinished run stands there.
    #[error(
        "{}: holds an unfinished run; give --resume {} to go on with it, --force to replace it, or another --out",
        .folder.display(), .path.display()
    )]
    Unfinished {
        /// The path given.
        path: PathBuf,
        /// The folder of the unfinished run.
        folder: PathBuf,
    },
    /// Another process is writing the run.
    #[error("{}: is being written by another process", .path.display())]
    Busy {
        /// The folder of the unfinished run.
        path: PathBuf,
    },
    /// There is no unfinished run.
    #[error(
        "{}: cannot be resumed: {}", .path.display(),
        if *.is_finished { "the run is finished" } else { "found no unfinished run of this name" }
    )]
    NothingToResume {
        /// The path given.
        path: PathBuf,
        /// Whether a finished run stands there.
        is_finished: bool,
    },
    /// A file of JSON lines cannot be read again.
    #[error("{}: {source}", .path.display())]
    Lines {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The folder holds something that is not part of a run.
    #[error("{}: holds {found}, which is not part of a run; give another --out", .path.display())]
    Foreign {
        /// The path given.
        path: PathBuf,
        /// The entry that no run writes.
        found: String,
    },
    /// A file or folder could not be created, read or renamed.
    #[error("{}: cannot {action}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the run could not be produced.
    #[error("{}: cannot write {file}: {source}", .path.display())]
    Write {
        /// The run folder.
        path: PathBuf,
        /// The file's name in it.
        file: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The finished run could not be moved into its place.
    #[error("{}: cannot move the run here: {reason}; it is kept in {}", .path.display(), .kept.display())]
    Move {
        /// The place it was meant for.
        path: PathBuf,
        /// Where it is now.
        kept: PathBuf,
        /// Why.
        reason: String,
    },
}
