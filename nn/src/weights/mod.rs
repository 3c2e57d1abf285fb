//! Files of named tensors in the safetensors format, with PyTorch's conventions: names such as `layers.0.weight`, and
//! the weight of a linear layer of shape (out, in), row-major.

mod element;
mod error;
mod fit;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use error::WeightsError;
pub use fit::{load_parameters, match_parameters};
pub use read::{Entry, load, load_any, read, reals};
pub use write::{save, save_any};
