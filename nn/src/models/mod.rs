//! Whole networks, each with the sizes that describe it.

mod cnn;
mod gpt;

pub use cnn::{Cnn, Pool};
pub use gpt::Gpt;
