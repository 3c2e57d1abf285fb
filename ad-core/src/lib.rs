//! Forward-over-reverse automatic differentiation.

pub mod real;
pub mod shape;
pub mod tensor;

pub use real::Real;
pub use shape::Shape;
pub use tensor::Tensor;
