//! Layers: modules with their parameters.

mod activation;
mod attention;
mod conv;
mod embedding;
mod linear;
mod mlp;
mod norm;
mod pool;
mod sequential;

pub use activation::{Activation, UnknownActivation};
pub use attention::SelfAttention;
pub use conv::{Conv1d, Conv2d};
pub use embedding::Embedding;
pub(crate) use embedding::look_up;
pub use linear::Linear;
pub use mlp::Mlp;
pub use norm::{GroupNorm, LayerNorm, RmsNorm};
pub use pool::{Flatten, Pool2d};
pub use sequential::{Layer, Residual, Sequential};
