//! Functions applied to each element: a scalar value and a derivative are all that one needs.

mod activation;
mod analytic;
mod kernel;
mod piecewise;

pub use activation::{Elu, Gelu, GeluTanh, Sigmoid, Silu, Softplus};
pub use analytic::{Cos, Erf, Exp, Expm1, Log, Log1p, Offset, Powf, Powi, Scale, Sin, Sqrt, Square, Tanh};
pub use piecewise::{Abs, Clamp, LeakyRelu, Relu, Sign, Step};

use std::fmt::Debug;

use crate::array::{Array, At};
use crate::ops::Ops;
use crate::primitive::{Advance, Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::registry::Op;
use crate::tensor::Tensor;

/// A function of one number, from which [`Map`] makes a primitive.
///
/// It is copied for each stretch of an array, so it should hold a few numbers at most. The derivative is generic over the array: on plain
/// numbers it is f′, on [`Dual`](crate::Dual) numbers it also yields f″. A function of one's own, or one with a derivative of one's own
/// choosing, implements this trait:
///
/// ```
/// use ad_core::{Array, Elementwise, Kind, Map, Real, grad};
///
/// /// Rounds, but passes the derivative straight through.
/// #[derive(Clone, Copy, Debug)]
/// struct StraightThrough;
///
/// impl Elementwise for StraightThrough {
///     const NAME: &'static str = "straight_through";
///     const KIND: Kind = Kind::PiecewiseLinear;
///     fn value<T: Real>(&self, x: T) -> T { T::from_f64(x.to_f64().round()) }
///     fn derivative<A: Array>(&self, x: &A, _y: &A) -> A { A::full(x.shape(), 1.0) }
/// }
/// assert_eq!(grad(|x| Array::apply(Map(StraightThrough), &[x]), &2.7), 1.0);
/// ```
pub trait Elementwise: Copy + Debug + Send + Sync + 'static {
    /// A short lower-case name.
    const NAME: &'static str;
    /// How the function curves: [`Kind::General`], or a kind whose second derivative is zero.
    const KIND: Kind;
    /// f(x).
    fn value<T: Real>(&self, x: T) -> T;
    /// f′(x), given also y = f(x); not called for [`Kind::Constant`].
    fn derivative<A: Array>(&self, x: &A, y: &A) -> A;
    /// How the tape stores it; see [`Primitive::into_op`].
    fn into_op<A: Array>(self) -> Op<A> {
        Op::Own(std::sync::Arc::new(Map(self)))
    }
}

/// The primitive that applies an [`Elementwise`] function to each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Map<F>(pub F);

impl<F: Elementwise> Map<F> {
    /// Whether f″ = 0 wherever it exists.
    const FLAT: bool = !matches!(F::KIND, Kind::General);
}

impl<F: Elementwise> Primitive for Map<F> {
    const KIND: Kind = F::KIND;

    fn name(&self) -> &'static str {
        F::NAME
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        kernel::value(&self.0, x[0])
    }

    #[inline]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        self.0.value(*x[0])
    }

    #[inline]
    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(self.0.derivative(x[0], y) * dx[0]?)
    }

    #[inline]
    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.0.derivative(x[0], y) * ybar);
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        Some(kernel::times_slope(&self.0, x[0], y, dx[0]?))
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        out.add(0, || kernel::times_slope(&self.0, x[0], y, ybar));
    }

    /// f′(x) ȳ̇ + ȳ f″(x) ẋ.
    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        match (dx[0], dybar, Self::FLAT) {
            (Some(dx), Some(dybar), false) => out.add(0, || kernel::adjoint_tangent(&self.0, at, dx, dybar)),
            (_, Some(dybar), _) => self.vjp_fused(at.x, at.y, dybar, out),
            (_, None, _) => self.vjp_curved_fused(at, dx, out),
        }
    }

    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let (Some(dx), false) = (dx[0], Self::FLAT) else { return };
        out.add(0, || kernel::curved(&self.0, at, dx));
    }

    /// f′(x) ẋ and Σ ȳ f″(x) ẋ².
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (Some(dx), Some(ybar), false) = (node.dx[0], node.ybar, Self::FLAT) else { return None };
        let at = At { x: node.x, y: node.y, dy: None, ybar };
        let (dy, term) = kernel::contracted(&self.0, &at, dx);
        Some((Some(dy), term))
    }

    fn jvp_in_place<T: Real>(&self, x: &[T], y: &[T], dx: &mut [T]) -> bool {
        if let Kind::General | Kind::Constant = F::KIND {
            return false;
        }
        kernel::times_slope_in_place(&self.0, x, y, dx);
        true
    }

    fn into_op<A: Array>(self) -> Op<A> {
        self.0.into_op()
    }
}

/// Defines an elementwise function of the engine: its type, value and derivative, and how the tape stores it.
macro_rules! elementwise {
    ($(#[$doc:meta])* $name:ident, $($rest:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name;
        elementwise!(@rules $name, $($rest)*);
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $fty:ty),* }, $($rest:tt)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name { $($(#[$fdoc])* pub $field: $fty),* }
        elementwise!(@rules $name, $($rest)*);
    };
    (@rules $name:ident, $text:literal, $kind:ident;
     value |$p:pat_param, $v:ident| $value:expr;
     derivative |$q:pat_param, $x:pat_param, $y:pat_param| $derivative:expr;) => {
        impl crate::ops::elementwise::Elementwise for $name {
            const NAME: &'static str = $text;
            const KIND: crate::primitive::Kind = crate::primitive::Kind::$kind;

            #[inline(always)]
            fn value<T: crate::real::Real>(&self, $v: T) -> T {
                let $p = self;
                $value
            }

            #[inline(always)]
            fn derivative<A: crate::array::Array>(&self, $x: &A, $y: &A) -> A {
                let $q = self;
                $derivative
            }

            fn into_op<A: crate::array::Array>(self) -> crate::registry::Op<A> {
                crate::registry::Op::$name(crate::ops::elementwise::Map(self))
            }
        }
    };
}
use elementwise;

/// The constant `c` as any real.
#[inline]
fn real<T: Real>(c: f64) -> T {
    T::from_f64(c)
}

/// 1 − x.
#[inline]
fn one_minus<A: Array>(x: &A) -> A {
    x.scale(-1.0).offset(1.0)
}
