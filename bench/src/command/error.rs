//! How commands fail.

use std::error::Error;

use nn::data::DataError;
use nn::weights::WeightsError;

use crate::config::ConfigError;
use crate::reference::load::LoadError;
use crate::reference::spec::SpecError;
use crate::report::plot::PlotError;
use crate::report::run_folder::RunFolderError;
use crate::report::run_folder::checkpoint::CheckpointError;

/// A command failed. Its message is one line.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The flags make no sense.
    #[error("{0}")]
    Usage(String),
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The reference model makes no sense.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A file of parameters and batch does not fit its model.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A file of parameters cannot be read, or is not of the network.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Data cannot be read, or not be used as asked.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The run folder cannot be written.
    #[error(transparent)]
    RunFolder(#[from] RunFolderError),
    /// A figure cannot be drawn.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Output(std::io::Error),
    /// Anything else; the message of the cause.
    #[error(transparent)]
    Other(#[from] Box<dyn Error + Send + Sync>),
}

impl CommandError {
    /// The exit code of the program: 2 for misuse, 1 for failure.
    pub fn exit_code(&self) -> u8 {
        let misuse = match self {
            CommandError::Usage(_) | CommandError::Spec(_) | CommandError::Data(DataError::BatchSize { .. }) => true,
            CommandError::Config(error) => !matches!(error, ConfigError::Read { .. }),
            _ => false,
        };
        if misuse { 2 } else { 1 }
    }
}

/// The message of a refused command line, without the usage that follows it, on one line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let message =
        text.split("\nUsage:").next().unwrap_or_default().split("\nFor more information").next().unwrap_or_default();
    flat(message.trim_start_matches("error: "))
}

/// A text on one line: line breaks and the blanks around them become one blank.
pub(crate) fn flat(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misuse_and_failure_differ_in_exit_code() {
        assert_eq!(CommandError::Usage(String::new()).exit_code(), 2);
        assert_eq!(CommandError::from(SpecError::Missing("batch")).exit_code(), 2);
        assert_eq!(CommandError::Output(std::io::ErrorKind::StorageFull.into()).exit_code(), 1);
    }

    #[test]
    fn messages_are_flattened() {
        assert_eq!(flat("a\n  b\n\nc\n"), "a b c");
    }
}
