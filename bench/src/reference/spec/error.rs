//! What can be wrong with the description of a reference model.

use super::{MAX_NUMBERS, known_names};

/// A reference model could not be understood. The message names the key, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No model has this name.
    #[error("--model: unknown model {name:?}{hint}; expected one of {}, or a JSON object", known_names())]
    UnknownName {
        /// The name given.
        name: String,
        /// The nearest known name, in words.
        hint: String,
    },
    /// The text is not JSON.
    #[error("--model: invalid JSON: {0}")]
    Json(String),
    /// No such key.
    #[error("--model: unknown key {key:?}{hint}; expected {known}")]
    UnknownKey {
        /// The key given.
        key: String,
        /// The nearest known key, in words.
        hint: String,
        /// The keys of this kind of model.
        known: String,
    },
    /// A required key is absent.
    #[error("--model: key `{0}` is missing")]
    Missing(&'static str),
    /// A value is not what the key takes.
    #[error("--model: {key}: found {found}, expected {expected}")]
    Value {
        /// The key, with the index in a list.
        key: String,
        /// The value given.
        found: String,
        /// What the key takes.
        expected: String,
    },
    /// The sizes do not fit each other.
    #[error("--model: {0}")]
    Misfit(String),
    /// There is nothing along an axis that could grow.
    #[error("--scaling {axis}: {what} has no hidden layer, expected at least one")]
    NoHidden {
        /// What was to be varied.
        axis: &'static str,
        /// The model, in words.
        what: String,
    },
    /// The model has more numbers than [`MAX_NUMBERS`].
    #[error("--model: {what} with batch {batch}: the model needs more than the supported {MAX_NUMBERS} numbers")]
    TooLarge {
        /// The model, in words.
        what: String,
        /// The batch given.
        batch: usize,
    },
}
