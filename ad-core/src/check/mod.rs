//! A derivative checker for functions and primitives of one's own, to first and second order.
//!
//! Each derivative is found in several independent ways, which must agree. A second derivative is compared with a
//! difference of the **exact gradient**, never with a difference of differences: the latter loses half of its digits twice
//! and could not tell a wrong rule from rounding.
//!
//! ```
//! use ad_core::{Ops, check};
//!
//! let report = check::function(|x| x[0].powi(2) * x[1].sin(), &[0.7, 1.1][..])?;
//! assert!(report.worst() < 1e-8);
//!
//! // A gradient that is cut off does not go unnoticed, and the entry is named.
//! let wrong = check::function(|x| x[0].powi(2) * x[1].sin().stop_gradient(), &[0.7, 1.1][..]).unwrap_err();
//! assert_eq!(wrong.entry, "[1], element 0");
//! # Ok::<(), check::Mismatch>(())
//! ```

mod compare;
mod difference;
mod function;
mod partial;
mod primitive;

pub use compare::{Agreement, Mismatch, Report};

use crate::array::{Base, Ground};
use crate::primitive::Primitive;
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::tree::Tree;

/// How strictly to compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// The largest allowed |found − expected| / max(1, |found|, |expected|); 1e-8 by default, for `f64`.
    pub tolerance: f64,
    /// The largest step of the differences; 1e-2 by default. The function must be smooth within it.
    pub step: f64,
    /// Whether to compare with differences at all; false for what overrides its own derivative on purpose, such as
    /// `stop_gradient`, where only the ways of differentiating are compared with each other.
    pub differences: bool,
}

impl Default for Check {
    fn default() -> Self {
        Check { tolerance: 1e-8, step: 1e-2, differences: true }
    }
}

/// Checks a scalar function at a point with the default strictness; see [`Check::function`].
///
/// # Errors
/// The first disagreement, at its worst entry.
///
/// # Panics
/// If the value is not a scalar.
pub fn function<X>(f: impl Fn(&X::With<Var<X::Leaf>>) -> Var<X::Leaf>, x: &X) -> Result<Report, Mismatch>
where
    X: Tree + ?Sized,
    X::Leaf: Ground<Scalar = f64>,
{
    Check::default().function(f, x)
}

/// Checks a primitive on inputs with the default strictness; see [`Check::primitive`].
///
/// # Errors
/// The first disagreement, at its worst entry.
pub fn primitive<P: Primitive>(p: &P, inputs: &[Tensor<f64>]) -> Result<Report, Mismatch> {
    Check::default().primitive(p, inputs)
}

/// A direction without a pattern, none of whose entries is 0.
fn direction(n: usize, phase: f64) -> Vec<f64> {
    (0..n).map(|i| (2.3 * i as f64 + 0.4 + phase).sin() + if i % 2 == 0 { 0.1 } else { -0.1 }).collect()
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The elements of all leaves, leaf after leaf.
fn flat<A: Ground<Scalar = f64>>(leaves: &[A]) -> Vec<f64> {
    leaves.iter().flat_map(|leaf| leaf.to_tensor().data().to_vec()).collect()
}

/// Leaves of the shapes of `like`, holding these elements, leaf after leaf.
fn filled<A: Ground<Scalar = f64>>(like: &[A], elements: &[f64]) -> Vec<A> {
    let mut rest = elements;
    let fill = |leaf: &A| {
        let (mine, others) = rest.split_at(crate::shape::count(leaf.shape()));
        rest = others;
        <A as Base>::from_tensor(Tensor::from_vec(leaf.shape(), mine.to_vec()))
    };
    like.iter().map(fill).collect()
}
