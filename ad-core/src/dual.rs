//! Dual numbers: forward mode.

use crate::array::{Array, with_parts};
use crate::primitive::{Kind, Primitive};

/// A value and its derivative along one direction, ẋ = d/dε x(ε): forward mode.
///
/// An absent tangent is zero and costs nothing. Because a dual number is an [`Array`] over another, nesting gives higher
/// orders, and the types keep the perturbations of different levels apart.
///
/// ```
/// use ad_core::{Dual, Ops};
/// let x = Dual::new(3.0, 1.0);
/// let y = x.powi(2) + x.sin();
/// assert_eq!(y.tangent, Some(6.0 + 3.0f64.cos()));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dual<A> {
    /// The value.
    pub primal: A,
    /// The derivative of the value, of the same shape; `None` is zero.
    pub tangent: Option<A>,
}

impl<A: Array> Dual<A> {
    /// A value and its tangent.
    ///
    /// # Panics
    /// If their shapes differ.
    #[inline]
    #[track_caller]
    pub fn new(primal: A, tangent: A) -> Self {
        let (p, t) = (primal.shape(), tangent.shape());
        assert!(p == t, "dual: the primal has shape {p:?} but the tangent has {t:?}");
        Dual { primal, tangent: Some(tangent) }
    }

    /// A value that does not move.
    #[inline]
    pub fn fixed(primal: A) -> Self {
        Dual { primal, tangent: None }
    }

    /// The tangent, zeros written out where it is absent.
    pub fn tangent_or_zero(&self) -> A {
        self.tangent.clone().unwrap_or_else(|| A::full(self.primal.shape(), 0.0))
    }
}

impl<A: Array> Array for Dual<A> {
    type Base = A::Base;

    #[inline]
    #[track_caller]
    fn apply<P: Primitive>(p: P, x: &[&Self]) -> Self {
        with_parts(
            x,
            |d| &d.primal,
            |primals| {
                let primal = A::apply(p.clone(), primals);
                if P::KIND == Kind::Constant || x.iter().all(|d| d.tangent.is_none()) {
                    return Dual { primal, tangent: None };
                }
                let tangent = with_parts(x, |d| d.tangent.as_ref(), |tangents| A::jvp(&p, primals, &primal, tangents));
                Dual { primal, tangent }
            },
        )
    }

    fn lift(data: A::Base) -> Self {
        Dual::fixed(A::lift(data))
    }

    #[inline]
    fn full(shape: &[usize], c: f64) -> Self {
        Dual::fixed(A::full(shape, c))
    }

    fn shape(&self) -> &[usize] {
        self.primal.shape()
    }

    fn primal(&self) -> &A::Base {
        self.primal.primal()
    }
}
