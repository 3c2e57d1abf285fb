//! Data sets: tables of numbers with a target a row, split, standardised and served in mini-batches.

mod batches;
mod csv;
mod dataset;
mod digits;
mod error;
mod split;
mod standardize;

pub use batches::{Batches, LastBatch};
pub use csv::{TargetKind, read_csv};
pub use dataset::{Batch, Dataset, Targets};
pub use digits::digits;
pub use error::DataError;
pub use split::Split;
pub use standardize::Standardizer;
