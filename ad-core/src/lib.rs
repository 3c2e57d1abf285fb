//! Forward-over-reverse automatic differentiation.

pub mod array;
pub mod dual;
mod gemm;
pub mod operator;
pub mod ops;
pub mod primitive;
pub mod real;
pub mod recording;
pub mod registry;
pub mod shape;
pub mod sweep;
pub mod tape;
pub mod tensor;
pub mod transform;
pub mod tree;

pub use array::{Array, At, Base, Ground};
pub use dual::Dual;
pub use operator::HessianOperator;
pub use ops::{Elementwise, Map, Ops};
pub use primitive::{Cotangents, Kind, Primitive};
pub use real::Real;
pub use recording::{NodeId, Recording};
pub use shape::Shape;
pub use sweep::{Adjoints, Curvature, Hessian, Tangents};
pub use tape::{Tape, Var};
pub use tensor::Tensor;
pub use transform::{curvature, ggn_vp, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp};
pub use tree::{Params, Tree};
