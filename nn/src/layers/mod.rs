//! Layers: modules with their parameters.

mod activation;
mod attention;
mod batch_norm;
mod conv;
mod dropout;
mod embedding;
mod linear;
mod lstm;
mod mlp;
mod norm;
mod pool;
mod positions;
mod residual;
mod sequential;
mod tied;

pub use activation::{Activation, UnknownActivation};
pub use attention::SelfAttention;
pub use batch_norm::{BatchNorm1d, BatchNorm2d};
pub use conv::{Conv1d, Conv2d};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub(crate) use embedding::look_up;
pub use linear::Linear;
pub use lstm::Lstm;
pub use mlp::Mlp;
pub use norm::{GroupNorm, LayerNorm, RmsNorm};
pub use pool::{Flatten, Pool1d, Pool2d};
pub use positions::Positions;
pub(crate) use positions::add_positions;
pub use residual::Residual;
pub use sequential::{Layer, Sequential};
pub use tied::Tied;
