//! What can be wrong with data.

use std::io;
use std::path::{Path, PathBuf};

use ad_core::Shape;
use thiserror::Error;

/// Why data were refused. Rows and columns count from 0, lines of a file from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// There is nothing to learn from.
    #[error("{name}: found {rows} rows of {features} features, expected at least one of each")]
    Empty {
        /// Name of the data.
        name: String,
        /// Number of rows.
        rows: usize,
        /// Number of numbers in a row.
        features: usize,
    },
    /// An array has not the axes it needs: two, or for inputs at least two.
    #[error("{name}: found {what} of shape {shape:?}, expected rows and columns")]
    Rank {
        /// Name of the data.
        name: String,
        /// `"inputs"` or `"targets"`.
        what: &'static str,
        /// Shape of the array.
        shape: Shape,
    },
    /// Inputs and targets differ in number.
    #[error("{name}: found {targets} targets for {inputs} rows of inputs, expected as many")]
    Rows {
        /// Name of the data.
        name: String,
        /// Rows of the inputs.
        inputs: usize,
        /// Rows of the targets.
        targets: usize,
    },
    /// A number is NaN or infinite.
    #[error("{name}: {what}, row {row}, column {column}: found {found}, expected a finite number")]
    NotFinite {
        /// Name of the data.
        name: String,
        /// `"inputs"` or `"targets"`.
        what: &'static str,
        /// Row of the number.
        row: usize,
        /// Column of the number: its place in the row, in row-major order where rows have a shape.
        column: usize,
        /// The number.
        found: f64,
    },
    /// A label is none of the classes.
    #[error("{name}: label of row {row}: found {found}, expected a class below {classes}")]
    Label {
        /// Name of the data.
        name: String,
        /// Row of the label.
        row: usize,
        /// The label.
        found: u32,
        /// Number of classes.
        classes: usize,
    },
    /// Labels do not fill rows of the same length.
    #[error("{name}: found {labels} labels in rows of {length}, expected whole rows of at least one label")]
    Sequences {
        /// Name of the data.
        name: String,
        /// Number of labels.
        labels: usize,
        /// Number of labels in a row.
        length: usize,
    },
    /// A file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is no table.
    #[error("{}: line {line}: found {found}, expected {expected}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Line of the file.
        line: u64,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A file is not of its format.
    #[error("{}: {place}: found {found}, expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where in the file.
        place: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A field of a file is not what its column holds.
    #[error("{}: line {line}, column {column:?}: found {found:?}, expected {expected}", path.display())]
    Field {
        /// The file.
        path: PathBuf,
        /// Line of the file.
        line: u64,
        /// Name of the column.
        column: String,
        /// The field.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A text is too short.
    #[error("{name}: found a text of {found} characters, expected at least {expected}")]
    ShortText {
        /// Name of the text.
        name: String,
        /// Number of characters.
        found: usize,
        /// Number that is needed.
        expected: usize,
    },
    /// A window of a text cannot be empty.
    #[error("{name}: found a context of 0 characters, expected at least 1")]
    Context {
        /// Name of the text.
        name: String,
    },
    /// A character is not in the vocabulary.
    #[error("{name}: character {place}: found {found:?}, expected one of the {size} of the vocabulary")]
    Character {
        /// Name of the text that the vocabulary is of.
        name: String,
        /// Place of the character in what was to be encoded.
        place: usize,
        /// The character.
        found: char,
        /// Number of characters in the vocabulary.
        size: usize,
    },
    /// The share of test rows is no share.
    #[error("found a test share of {found}, expected a number between 0 and 1, both excluded")]
    TestShare {
        /// The share.
        found: f64,
    },
    /// A split leaves one side without rows.
    #[error("{name}: a test share of {share} of {rows} rows leaves no {side} row, expected at least one on each side")]
    EmptySide {
        /// Name of the data.
        name: String,
        /// Number of rows.
        rows: usize,
        /// Share of test rows.
        share: f64,
        /// `"training"` or `"test"`.
        side: &'static str,
    },
    /// A stratified split needs classes.
    #[error("{name}: found {found} as targets, expected one class a row, by which to stratify")]
    NoClasses {
        /// Name of the data.
        name: String,
        /// `"values"` or `"sequences"`.
        found: &'static str,
    },
    /// A mini-batch cannot have this many rows.
    #[error("found a batch of {batch} rows, expected 1 to {rows}, the number of rows of the data")]
    BatchSize {
        /// Rows in a mini-batch.
        batch: usize,
        /// Rows of the data.
        rows: usize,
    },
    /// The shifts and scales of a standardisation are unusable.
    #[error(
        "standardizer: column {column}: found shift {shift} and scale {scale}, expected finite numbers, the scale positive"
    )]
    Scale {
        /// Column of the table.
        column: usize,
        /// Shift of the column (NaN where there is none).
        shift: f64,
        /// Scale of the column (NaN where there is none).
        scale: f64,
    },
}

impl DataError {
    /// [`DataError::Content`] of whatever can be shown.
    pub(super) fn content(
        path: &Path,
        place: impl Into<String>,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        let (found, expected) = (found.to_string(), expected.to_string());
        DataError::Content { path: path.into(), place: place.into(), found, expected }
    }
}

/// The beginning of a text that may be long.
pub(super) fn abridged(text: &str) -> String {
    const SHOWN: usize = 80;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.trim_end().into(),
    }
}
