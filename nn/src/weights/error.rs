//! What can be wrong with a file of tensors.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a file of tensors was refused; the message is one line that names the file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be written; what was there before is intact.
    #[error("{}: cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is of another format.
    #[error("{}: found {found}, expected a safetensors file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: &'static str,
    },
    /// The header does not describe tensors that lie one after the other.
    #[error("{}: corrupt header: {reason}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not as long as it says: it is truncated, or something was appended.
    #[error("{}: {part}: found {found} bytes, expected {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// `"header"` or `"data"`.
        part: &'static str,
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be there.
        expected: u64,
    },
    /// A tensor's type cannot be used.
    #[error("{}: tensor {tensor:?}: found elements of type {found}, expected {expected}", path.display())]
    Type {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Type of its elements, as the format calls it.
        found: String,
        /// The types that can be used.
        expected: &'static str,
    },
    /// A number is NaN or infinite, or becomes so in the precision asked for.
    #[error(
        "{}: tensor {tensor:?}, element {element}: found {found}, expected a finite {precision} number",
        path.display()
    )]
    NotFinite {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Row-major position of the number.
        element: usize,
        /// The number.
        found: f64,
        /// `"f32"` or `"f64"`.
        precision: &'static str,
    },
    /// The tensors are not the parameters of the model.
    #[error("{}: does not fit the model: {report}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The tensors that are missing, unexpected, or of another shape.
        report: String,
    },
}
