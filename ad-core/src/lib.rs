//! Forward-over-reverse automatic differentiation: exact gradients, Hessian–vector products and curvatures of functions of
//! tensors.
//!
//! # How data flows
//!
//! Model code is written once, generic over [`Array`], with the methods of [`Ops`]. Which derivative comes out depends on
//! the type that it is run on:
//!
//! ```text
//!   plain numbers        Tensor<f32>  Tensor<f64>  f32  f64         compute
//!        │ lift
//!        ├───────────▶   Dual<A>                                    compute, and carry a tangent     forward mode
//!        │ leaf
//!        └───────────▶   Var<A> ── records on ──▶ Tape<A>           compute, and record a node       reverse mode
//!                                                    │ finish
//!                                                    ▼
//!                                              Recording<A>  ── adjoints ────────▶ ∇f
//!                                                    │       ── tangents ────────▶ ẏ along v
//!                                                    │       ── adjoint_tangents ▶ Hv
//!                                                    └────── ── curvature ───────▶ vᵀHv, its Gauss–Newton part, by node
//! ```
//!
//! `Dual` and `Var` are generic over the array below them, so they nest: `Var<Dual<A>>`, `Dual<Var<A>>`, `Var<Var<A>>` and
//! `Dual<Dual<A>>` are the four second-order modes, and one more level gives third derivatives. The types keep the
//! perturbations of different levels apart.
//!
//! # A first look
//!
//! ```
//! use ad_core::{Array, Ops, curvature, grad, hvp};
//!
//! // Rosenbrock's function, for any kind of number.
//! fn rosenbrock<A: Array>(x: &[A]) -> A {
//!     let valley = x[1].minus(&x[0].powi(2));
//!     x[0].scale(-1.0).offset(1.0).powi(2) + valley.powi(2).scale(100.0)
//! }
//!
//! let (x, v) = (vec![1.5, 2.0], vec![1.0, 0.0]);
//! assert_eq!(grad(|x| rosenbrock(x), &x), vec![151.0, -50.0]);
//!
//! // H v, where the first column of the Hessian is (1200 x₀² − 400 x₁ + 2, −400 x₀).
//! let (_value, _gradient, hv) = hvp(|x| rosenbrock(x), &x, &v);
//! assert_eq!(hv, vec![1902.0, -600.0]);
//!
//! // vᵀHv, without a second reverse sweep.
//! assert_eq!(curvature(|x| rosenbrock(x), &x, &v).total, 1902.0);
//! ```
//!
//! # Where to find what
//!
//! | module | holds |
//! |---|---|
//! | [`primitive`] | what a primitive is: value, JVP, VJP, second-order term |
//! | [`ops`] | the primitives, one subject a file, and [`Ops`], by which model code calls them |
//! | [`registry`] | the list of them all, with samples on which tests try every one |
//! | [`tensor`], [`shape`], [`real`] | dense arrays, NumPy's broadcasting, the scalars |
//! | [`mod@array`] | what all kinds of array have in common |
//! | [`dual`], [`tape`] | forward and reverse mode |
//! | [`recording`], [`sweep`] | a finished tape, and the sweeps over it |
//! | [`transform`], [`operator`] | `grad`, `hvp`, `curvature`, …: functions of functions |
//! | [`work`], [`levels`] | what sweeps, and nested duals, cost in operations and bytes, before they run |
//! | [`matrix`] | products over plain slices, for formulas that are not differentiated |
//! | [`parallel`] | short tasks on several threads |
//! | [`buffer`] | buffers kept for reuse, how many bytes are in use, and how many were new |
//! | [`check`](mod@check) | a derivative checker for functions and primitives of one's own |
//! | [`show`](fn@show) | a tape as text |
//! | [`tree`] | what transforms differentiate with respect to: arrays, slices, named parameters |
//!
//! To read the engine, take [`primitive`], then one file of [`ops`], then [`sweep`].

pub mod array;
pub mod buffer;
pub mod check;
pub mod dual;
mod gemm;
mod kernel;
pub mod levels;
pub mod matrix;
pub mod operator;
pub mod ops;
pub mod parallel;
pub mod primitive;
pub mod real;
pub mod recording;
pub mod registry;
pub mod shape;
mod show;
mod sums;
pub mod sweep;
pub mod tape;
pub mod tensor;
pub mod transform;
pub mod tree;
pub mod work;

pub use array::{Array, At, Base, Ground, Scalar};
pub use dual::Dual;
pub use operator::HessianOperator;
pub use ops::{Elementwise, Map, Ops};
pub use primitive::{Advance, Cotangents, Find, InPlace, Kind, Links, Multiple, Next, Primitive};
pub use real::Real;
pub use recording::{NodeId, Recording};
pub use shape::Shape;
pub use show::show;
pub use sweep::{Adjoints, Along, Curvature, Hessian, Tangents};
pub use tape::{Tape, Var};
pub use tensor::Tensor;
pub use transform::{curvature, ggn_vp, grad, hessian, hvp, jacobian, jvp, value_and_grad, vjp};
pub use tree::{Params, Tree};
pub use work::Work;
