//! Layers.

pub mod data;
pub mod file;
pub mod random;
pub mod weights;
