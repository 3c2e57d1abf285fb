//! Data sets: tables, images and texts with a target a row, split, standardised and served in mini-batches.
//!
//! | what | comes from |
//! |---|---|
//! | [`Dataset`] | [`read_csv`], [`read_idx`], [`read_npz`] and [`read_npy`], [`Text::windows`], or the built-in [`digits`](digits()) |
//! | a part of it | [`Split`], or [`Text::split`] |
//! | scaled columns | [`Standardizer`] |
//! | [`Batch`] | the rows that [`Batches`] lists, changed by [`Augment`], ahead of time by [`Prefetch`]; or [`Text::sample`] |
//!
//! Every reader refuses a bad file with a [`DataError`] of one line that names file, place, what was found and what was
//! expected, and makes no room by a header's word before what it promises is there.

mod augment;
mod batches;
mod check;
mod csv;
mod dataset;
mod digits;
mod error;
#[cfg(test)]
mod fuzz;
mod idx;
mod npy;
mod npz;
mod prefetch;
mod split;
mod standardize;
mod stream;
mod targets;
mod text;

pub use augment::Augment;
pub use batches::{Batches, LastBatch};
pub use csv::{TargetKind, read_csv};
pub use dataset::{Batch, Dataset};
pub use digits::digits;
pub use error::DataError;
pub use idx::read_idx;
pub use npz::{read_npy, read_npz};
pub use prefetch::Prefetch;
pub use split::Split;
pub use standardize::Standardizer;
pub use targets::Targets;
pub use text::Text;
