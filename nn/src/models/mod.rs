//! Whole networks, each with the sizes that describe it.

mod cnn;
mod gpt;
mod resnet;

pub use cnn::Cnn;
pub use gpt::Gpt;
pub use resnet::{Norm, ResNet};
