//! Layers as pure functions of named parameters.

pub mod data;
mod direction;
pub mod file;
mod init;
mod layers;
mod loss;
mod module;
pub mod random;
pub mod weights;

pub use direction::{Direction, Sgd, moved};
pub use init::Init;
pub use layers::{Activation, Layer, Linear, Mlp, Sequential, UnknownActivation};
pub use loss::{Loss, UnknownLoss};
pub use module::{Architecture, Declarations, Module, Net, ParameterSpec, Scope, init_parameters};
