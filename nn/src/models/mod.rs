//! Whole networks, each with the sizes that describe it.

mod cnn;
mod gpt;

pub use cnn::Cnn;
pub use gpt::Gpt;
