//! Neural networks as pure functions of named parameters, on any kind of array that [`ad_core`] differentiates.
//!
//! # How data flows
//!
//! ```text
//!   Dataset ── Split ── Standardizer ── Batches ──▶ Batch (inputs, targets)
//!                                                     │
//!   Architecture ── init(Key) ──▶ Params ── Scope ──▶ Module::forward ──▶ output ── Loss ──▶ f(θ)
//!        ▲                          │  ▲                                                      │ gradient
//!        └── weights::load ─────────┘  └──────────── θ − α ω ◀──── Direction::propose ◀───────┘
//! ```
//!
//! A [`Module`] holds sizes and settings but no numbers: its parameters are a named tree ([`ad_core::Params`]) with
//! PyTorch's names and (out, in) layout, so the same network runs on plain tensors, on dual numbers and on a tape. What else
//! it depends on comes in by the scope's [`Context`]: whether it is trained, the step's key, and buffers such as running
//! statistics, which change where a step's [`Observations`] are committed. An optimizer is a [`Direction`]: what to step
//! along; how far is a step-size rule's business. Randomness is explicit: a [`random::Key`] names a stream, and the same key
//! gives the same numbers on any machine.
//!
//! ```
//! use ad_core::{Ops, Tensor, value_and_grad};
//! use nn::{Activation, Architecture, Loss, Mlp, Module, Scope, data::Targets, random::Key};
//!
//! let net = Mlp::new(&[2, 8, 1], Activation::Tanh);
//! let theta = net.init::<f64>(Key::new(0));
//! let x = Tensor::from_vec(&[4, 2], vec![0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
//! let y = Targets::Values(Tensor::from_vec(&[4, 1], vec![0.0, 1.0, 1.0, 0.0]));
//!
//! let (loss, gradient) = value_and_grad(
//!     |p| Loss::Mse.apply(&net.forward(&Scope::new(p), &ad_core::Array::lift(x.clone())).output(), &y),
//!     &theta,
//! );
//! assert!(loss.item() > 0.0);
//! assert_eq!(gradient.get("layers.0.weight").shape(), [8, 2]);
//! ```

mod context;
pub mod data;
mod direction;
pub mod file;
mod init;
mod layers;
mod loss;
pub mod models;
mod module;
pub mod random;
pub mod weights;

pub use context::{Context, Mode, Observations};
pub use direction::{
    Adagrad, Adam, AdamW, Clipped, Direction, GroupSettings, Grouped, Lion, Momentum, Optimizer, RmsProp, Sgd, Split,
    State, StateError, UnknownOptimizer, moved, pattern_fits,
};
pub use init::Init;
pub use layers::{
    Activation, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, Flatten, GroupNorm, Layer, LayerNorm,
    Linear, Lstm, Mlp, Pool1d, Pool2d, Positions, Residual, RmsNorm, SelfAttention, Sequential, Tied,
    UnknownActivation,
};
pub use loss::{Loss, UnknownLoss};
pub use module::{Architecture, Declarations, Module, Net, ParameterSpec, Scope, ThirdOrder, init_parameters};
