//! Layers: modules with their parameters.

mod activation;
mod linear;
mod mlp;
mod sequential;

pub use activation::{Activation, UnknownActivation};
pub use linear::Linear;
pub use mlp::Mlp;
pub use sequential::{Layer, Sequential};
