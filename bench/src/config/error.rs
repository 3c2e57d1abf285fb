//! Why a configuration makes no sense.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A configuration that cannot be used. Its message is one line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot read the configuration: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The text is no TOML.
    #[error("{}: {place}{message}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// `line 3, column 5: `, where it is known.
        place: String,
        /// What was found and expected.
        message: String,
    },
    /// A key or value makes no sense.
    #[error("{place}: {message}")]
    Content {
        /// Where.
        place: Place,
        /// What was found and expected.
        message: String,
    },
}

/// Where in a configuration something stands: `train.toml: line 7, model.layers[2].kernel`, or a key alone where there is no file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// The key, such as `model.layers[2].kernel`.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}: ", file.display())?;
        }
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        f.write_str(&self.key)
    }
}
