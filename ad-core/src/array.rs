//! What every kind of array has in common.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

use smallvec::SmallVec;

use crate::dual::Dual;
use crate::kernel;
use crate::ops::product::Begun;
use crate::primitive::{
    Advance, Cotangents, Find, InPlace, Links, Primitive, Tangent, general_vjp_tangent, general_vjp_then_curved,
    jvp_one_by_one,
};
use crate::real::Real;
use crate::tensor::Tensor;

/// Arithmetic of owned values with owned values and with references.
///
/// Implied by [`Array`], so generic code may write `a * &b` without a `where` clause.
pub trait Arith:
    Sized
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + for<'a> Add<&'a Self, Output = Self>
    + for<'a> Sub<&'a Self, Output = Self>
    + for<'a> Mul<&'a Self, Output = Self>
    + for<'a> Div<&'a Self, Output = Self>
{
}

impl<A> Arith for A where
    A: Sized
        + Neg<Output = A>
        + Add<Output = A>
        + Sub<Output = A>
        + Mul<Output = A>
        + Div<Output = A>
        + for<'a> Add<&'a A, Output = A>
        + for<'a> Sub<&'a A, Output = A>
        + for<'a> Mul<&'a A, Output = A>
        + for<'a> Div<&'a A, Output = A>
{
}

/// Plain data: what enters a model from outside and carries no derivative. `f32`, `f64`, `Tensor<f32>`, `Tensor<f64>`.
pub trait Base: Clone + Debug + Send + Sync + 'static {
    /// The type of one element.
    type Scalar: Real;

    /// The data held by a tensor.
    ///
    /// # Panics
    /// If `Self` is a plain float and the tensor does not hold exactly one number.
    fn from_tensor(t: Tensor<Self::Scalar>) -> Self;

    /// The same data as a tensor; a plain float has rank 0.
    fn to_tensor(&self) -> Tensor<Self::Scalar>;
}

/// An array that primitives run on: plain numbers compute, [`Dual`] also carries a tangent, [`Var`](crate::Var) also
/// records.
///
/// Model code is written once, generic over `A: Array`, with the methods of [`Ops`](crate::Ops); data enters as
/// `A::Base` and is [lifted](Array::lift).
///
/// The methods after `constant` are hooks through which a tensor substitutes a fused kernel for a primitive's rule; users have
/// no need of them.
pub trait Array: Arith + Clone + Debug + 'static {
    /// The plain data at the bottom of this type.
    type Base: Base;

    /// Runs a primitive on its inputs.
    ///
    /// # Panics
    /// If their shapes do not fit the primitive.
    #[track_caller]
    fn apply<P: Primitive>(p: P, x: &[&Self]) -> Self;

    /// A constant: data whose derivative is zero.
    fn lift(data: Self::Base) -> Self;

    /// Sizes of the axes, outermost first.
    fn shape(&self) -> &[usize];

    /// The plain value, below every tangent and tape.
    fn primal(&self) -> &Self::Base;

    /// The constant array of this shape whose every element is `c`.
    fn full(shape: &[usize], c: f64) -> Self {
        Self::constant(&Tensor::full(shape, c))
    }

    /// A constant given in double precision.
    fn constant(t: &Tensor<f64>) -> Self {
        Self::lift(Self::Base::from_tensor(t.cast()))
    }

    /// self + other, in the place of self where it has one of its own.
    #[inline]
    fn accumulated(self, other: Self) -> Self {
        self + other
    }

    /// Tangent of `p` at `x`, where `y = p(x)`.
    #[inline]
    fn jvp<P: Primitive>(p: &P, x: &[&Self], y: &Self, dx: &[Option<&Self>]) -> Option<Self> {
        p.jvp(x, y, dx)
    }

    /// Tangents of `p` at `x` along several directions, `None` where nothing moves.
    #[inline]
    fn jvp_several<P: Primitive>(p: &P, x: &[&Self], y: &Self, directions: &[Tangent<'_, Self>]) -> Vec<Option<Self>> {
        jvp_one_by_one(p, x, y, directions)
    }

    /// Adds the cotangents of `p`'s inputs to `out`, given that of its output.
    #[inline]
    fn vjp<P: Primitive>(p: &P, x: &[&Self], y: &Self, ybar: &Self, out: &mut Cotangents<'_, Self>) {
        p.vjp(x, y, ybar, out)
    }

    /// Adds to `out` the part of the cotangents' tangents that comes from `p` being curved: ∂ₓ[vjp(x, ȳ)]·ẋ.
    #[inline]
    fn vjp_curved<P: Primitive>(p: &P, at: &At<'_, Self>, dx: &[Option<&Self>], out: &mut Cotangents<'_, Self>) {
        general_vjp_tangent(p, at, dx, out)
    }

    /// Adds the tangents of the cotangents of `p`'s inputs to `out`: vjp(x, ȳ̇) + ∂ₓ[vjp(x, ȳ)]·ẋ.
    #[inline]
    fn vjp_tangent<P: Primitive>(
        p: &P,
        at: &At<'_, Self>,
        dx: &[Option<&Self>],
        dybar: Option<&Self>,
        out: &mut Cotangents<'_, Self>,
    ) {
        general_vjp_then_curved(p, at, dx, dybar, out)
    }

    /// The tangent of the output and ȳ · φ″[ẋ, ẋ] together, where that saves work; `None` where it does not.
    #[inline]
    fn advance<P: Primitive>(_p: &P, _node: &Advance<'_, Self>) -> Option<(Option<Self>, f64)> {
        None
    }

    /// As [`advance`](Array::advance), [linked](Links) with the nodes before and after it; `None` where nothing is gained by that.
    #[inline]
    fn advance_linked<P: Primitive>(
        _p: &P,
        _node: &Advance<'_, Self>,
        _links: Links<'_, '_, Scalar<Self>>,
    ) -> Option<(Self, f64)> {
        None
    }

    /// Begins the advance while the tangent of the first input is found; see [`Primitive::begin_fused`].
    #[inline]
    fn begin<P: Primitive>(
        _p: &P,
        _node: &Advance<'_, Self>,
        _then: Option<&InPlace<'_, Scalar<Self>>>,
        _find: &mut Find<'_, Scalar<Self>>,
    ) -> Option<Begun<Scalar<Self>>> {
        None
    }

    /// The JVP of the elements of an array from this one on in the place of their ẋ, if `p` is a function of each element with f″ = 0; returns
    /// whether it is.
    #[inline]
    fn jvp_in_place<P: Primitive>(_p: &P, _x: &Self, _y: &Self, _from: usize, _dx: &mut [Scalar<Self>]) -> bool {
        false
    }
}

/// The type of one element of an array, below every tangent and tape.
pub type Scalar<A> = <<A as Array>::Base as Base>::Scalar;

/// Where a primitive is differentiated: its inputs, output and the adjoint of its output, with the output's tangent.
#[derive(Debug)]
pub struct At<'a, A> {
    /// Inputs.
    pub x: &'a [&'a A],
    /// Output, `p(x)`.
    pub y: &'a A,
    /// Tangent of the output along the inputs' tangents; `None` is zero.
    pub dy: Option<&'a A>,
    /// Adjoint of the output.
    pub ybar: &'a A,
}

/// Calls `run` with `part` of each input, on the stack for the usual one and two inputs: with the primitive known, all of
/// it is inlined.
#[inline(always)]
pub(crate) fn with_parts<'a, X, Y: Copy, R>(x: &[&'a X], part: impl Fn(&'a X) -> Y, run: impl FnOnce(&[Y]) -> R) -> R {
    match *x {
        [a] => run(&[part(a)]),
        [a, b] => run(&[part(a), part(b)]),
        _ => run(&x.iter().map(|x| part(x)).collect::<SmallVec<[Y; 3]>>()),
    }
}

/// An array of plain numbers, on which sweeps return numbers.
pub trait Ground: Array<Base = Self> + Base {
    /// Whether the two are known to be the same numbers because they are stored in one place.
    fn is(&self, _other: &Self) -> bool {
        false
    }

    /// Inner product ⟨self, other⟩ = Σ selfᵢ otherᵢ, accumulated in double precision.
    ///
    /// # Panics
    /// If the numbers of elements differ.
    fn inner(&self, other: &Self) -> f64;
}

impl<T: Real> Base for Tensor<T> {
    type Scalar = T;

    fn from_tensor(t: Tensor<T>) -> Self {
        t
    }

    fn to_tensor(&self) -> Tensor<T> {
        self.clone()
    }
}

impl<T: Real> Array for Tensor<T> {
    type Base = Self;

    fn accumulated(mut self, other: Self) -> Self {
        // Copying a shared buffer before adding to it would be one pass more.
        if self.shape() != other.shape() || !self.is_sole_owner() {
            return self + other;
        }
        kernel::onto(self.data_mut(), other.data(), |a, b| a + b);
        self
    }

    #[inline]
    #[track_caller]
    fn apply<P: Primitive>(p: P, x: &[&Self]) -> Self {
        p.eval(x)
    }

    fn lift(data: Self) -> Self {
        data
    }

    fn shape(&self) -> &[usize] {
        Tensor::shape(self)
    }

    fn primal(&self) -> &Self {
        self
    }

    fn full(shape: &[usize], c: f64) -> Self {
        Tensor::full(shape, T::from_f64(c))
    }

    fn jvp<P: Primitive>(p: &P, x: &[&Self], y: &Self, dx: &[Option<&Self>]) -> Option<Self> {
        p.jvp_fused(x, y, dx)
    }

    fn vjp<P: Primitive>(p: &P, x: &[&Self], y: &Self, ybar: &Self, out: &mut Cotangents<'_, Self>) {
        p.vjp_fused(x, y, ybar, out)
    }

    fn vjp_curved<P: Primitive>(p: &P, at: &At<'_, Self>, dx: &[Option<&Self>], out: &mut Cotangents<'_, Self>) {
        p.vjp_curved_fused(at, dx, out)
    }

    fn jvp_several<P: Primitive>(p: &P, x: &[&Self], y: &Self, directions: &[Tangent<'_, Self>]) -> Vec<Option<Self>> {
        p.jvp_several_fused(x, y, directions)
    }

    fn vjp_tangent<P: Primitive>(
        p: &P,
        at: &At<'_, Self>,
        dx: &[Option<&Self>],
        dybar: Option<&Self>,
        out: &mut Cotangents<'_, Self>,
    ) {
        p.vjp_tangent_fused(at, dx, dybar, out)
    }

    fn advance<P: Primitive>(p: &P, node: &Advance<'_, Self>) -> Option<(Option<Self>, f64)> {
        p.advance_fused(node)
    }

    fn advance_linked<P: Primitive>(p: &P, node: &Advance<'_, Self>, links: Links<'_, '_, T>) -> Option<(Self, f64)> {
        p.advance_linked_fused(node, links)
    }

    fn begin<P: Primitive>(
        p: &P,
        node: &Advance<'_, Self>,
        then: Option<&InPlace<'_, T>>,
        find: &mut Find<'_, T>,
    ) -> Option<Begun<T>> {
        p.begin_fused(node, then, find)
    }

    fn jvp_in_place<P: Primitive>(p: &P, x: &Self, y: &Self, from: usize, dx: &mut [T]) -> bool {
        let here = from..from + dx.len();
        p.jvp_in_place(&x.data()[here.clone()], &y.data()[here], dx)
    }
}

impl<T: Real> Ground for Tensor<T> {
    fn is(&self, other: &Self) -> bool {
        self.shares(other)
    }

    #[track_caller]
    fn inner(&self, other: &Self) -> f64 {
        let (a, b) = (self.data(), other.data());
        assert!(a.len() == b.len(), "inner product of shapes {:?} and {:?}", self.shape(), other.shape());
        kernel::inner(a, b)
    }
}

macro_rules! plain_float {
    ($t:ident) => {
        impl Base for $t {
            type Scalar = $t;

            #[track_caller]
            fn from_tensor(t: Tensor<$t>) -> Self {
                t.item()
            }

            fn to_tensor(&self) -> Tensor<$t> {
                Tensor::scalar(*self)
            }
        }

        impl Array for $t {
            type Base = Self;

            #[inline]
            #[track_caller]
            fn apply<P: Primitive>(p: P, x: &[&Self]) -> Self {
                p.eval_scalar(x)
            }

            fn lift(data: Self) -> Self {
                data
            }

            fn shape(&self) -> &[usize] {
                &[]
            }

            fn primal(&self) -> &Self {
                self
            }

            #[inline]
            #[track_caller]
            fn full(shape: &[usize], c: f64) -> Self {
                assert!(shape.is_empty(), "a plain float is no array of shape {shape:?}");
                c as $t
            }
        }

        impl Ground for $t {
            fn inner(&self, other: &Self) -> f64 {
                *self as f64 * *other as f64
            }
        }
    };
}
plain_float!(f32);
plain_float!(f64);

/// Arithmetic of an array type through the primitives, for every mix of owned and borrowed operands, and with plain
/// `f64` factors and terms.
macro_rules! arithmetic {
    ($ty:ty, $($bounds:tt)*) => {
        $crate::array::arithmetic!(@binary $ty, Add, add, $crate::ops::Add, [$($bounds)*]);
        $crate::array::arithmetic!(@binary $ty, Sub, sub, $crate::ops::Sub, [$($bounds)*]);
        $crate::array::arithmetic!(@binary $ty, Mul, mul, $crate::ops::Mul, [$($bounds)*]);
        $crate::array::arithmetic!(@binary $ty, Div, div, $crate::ops::Div, [$($bounds)*]);

        impl<$($bounds)*> std::ops::Neg for $ty {
            type Output = $ty;
            fn neg(self) -> $ty {
                $crate::Ops::scale(&self, -1.0)
            }
        }
        impl<$($bounds)*> std::ops::Neg for &$ty {
            type Output = $ty;
            fn neg(self) -> $ty {
                $crate::Ops::scale(self, -1.0)
            }
        }
        $crate::array::arithmetic!(@number $ty, Add, add, |x, c| $crate::Ops::offset(x, c), [$($bounds)*]);
        $crate::array::arithmetic!(@number $ty, Sub, sub, |x, c| $crate::Ops::offset(x, -c), [$($bounds)*]);
        $crate::array::arithmetic!(@number $ty, Mul, mul, |x, c| $crate::Ops::scale(x, c), [$($bounds)*]);
        $crate::array::arithmetic!(@number $ty, Div, div, |x, c| $crate::Ops::scale(x, 1.0 / c), [$($bounds)*]);
    };
    (@binary $ty:ty, $op:ident, $method:ident, $p:path, [$($bounds:tt)*]) => {
        impl<$($bounds)*> std::ops::$op<$ty> for $ty {
            type Output = $ty;
            #[inline]
            #[track_caller]
            fn $method(self, other: $ty) -> $ty {
                <$ty as $crate::Array>::apply($p, &[&self, &other])
            }
        }
        impl<$($bounds)*> std::ops::$op<&$ty> for $ty {
            type Output = $ty;
            #[inline]
            #[track_caller]
            fn $method(self, other: &$ty) -> $ty {
                <$ty as $crate::Array>::apply($p, &[&self, other])
            }
        }
        impl<$($bounds)*> std::ops::$op<$ty> for &$ty {
            type Output = $ty;
            #[inline]
            #[track_caller]
            fn $method(self, other: $ty) -> $ty {
                <$ty as $crate::Array>::apply($p, &[self, &other])
            }
        }
        impl<$($bounds)*> std::ops::$op<&$ty> for &$ty {
            type Output = $ty;
            #[inline]
            #[track_caller]
            fn $method(self, other: &$ty) -> $ty {
                <$ty as $crate::Array>::apply($p, &[self, other])
            }
        }
    };
    (@number $ty:ty, $op:ident, $method:ident, $f:expr, [$($bounds:tt)*]) => {
        impl<$($bounds)*> std::ops::$op<f64> for $ty {
            type Output = $ty;
            #[inline]
            fn $method(self, c: f64) -> $ty {
                let f: fn(&$ty, f64) -> $ty = $f;
                f(&self, c)
            }
        }
        impl<$($bounds)*> std::ops::$op<f64> for &$ty {
            type Output = $ty;
            #[inline]
            fn $method(self, c: f64) -> $ty {
                let f: fn(&$ty, f64) -> $ty = $f;
                f(self, c)
            }
        }
    };
}
pub(crate) use arithmetic;

arithmetic!(Tensor<T>, T: Real);
arithmetic!(Dual<A>, A: Array);
arithmetic!(crate::Var<A>, A: Array);
