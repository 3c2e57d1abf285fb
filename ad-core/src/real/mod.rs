//! The scalars that hold numbers: `f32` and `f64`.

mod elementary;
#[cfg(test)]
pub(crate) mod precise;

use std::fmt;

use crate::array::{Array, Base};
use crate::gemm::Product;
use crate::ops::Convolve;
pub(crate) use elementary::double::ln_in_parts;
use elementary::{double, single};

/// A floating-point scalar: `f32` or `f64`, with the elementary functions that primitives evaluate.
///
/// The functions take `self` by value, so on a `T: Real` held by value `x.exp()` is this trait's plain number, while on a
/// reference `&A` it is the differentiable method of [`Ops`](crate::Ops).
pub trait Real:
    Array<Base = Self>
    + Base<Scalar = Self>
    + Product
    + Convolve
    + Copy
    + PartialOrd
    + Default
    + Send
    + Sync
    + fmt::Display
    + fmt::LowerExp
    + 'static
{
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;
    /// The nearest number to `x`.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
    /// eˣ.
    fn exp(self) -> Self;
    /// eˣ − 1, accurate near 0.
    fn exp_m1(self) -> Self;
    /// Natural logarithm.
    fn ln(self) -> Self;
    /// log(1 + x), accurate near 0.
    fn ln_1p(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// 1/(1 + e⁻ˣ).
    fn sigmoid(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// Sine.
    fn sin(self) -> Self;
    /// Cosine.
    fn cos(self) -> Self;
    /// Error function, 2/√π ∫₀ˣ e^(−t²) dt.
    fn erf(self) -> Self;
    /// |x|.
    fn abs(self) -> Self;
    /// xⁿ for an integer n.
    fn powi(self, n: i32) -> Self;
    /// xᵖ for a real p.
    fn powf(self, p: Self) -> Self;
    /// Whether the number is neither infinite nor NaN.
    fn finite(self) -> bool;
    /// self · factor + term, rounded once. One instruction in what is compiled for a processor that has it, as kernels are, and a slow
    /// call elsewhere.
    fn times_plus(self, factor: Self, term: Self) -> Self;
}

macro_rules! real {
    ($t:ident, $elementary:ident) => {
        impl Real for $t {
            const NAME: &'static str = stringify!($t);
            const EPSILON: f64 = $t::EPSILON as f64;
            #[inline]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn powi(self, n: i32) -> Self {
                // Without a call where few factors do, so that loops over arrays become vectors.
                match n {
                    -1 => 1.0 / self,
                    0 => 1.0,
                    1 => self,
                    2 => self * self,
                    3 => self * self * self,
                    n => $t::powi(self, n),
                }
            }
            #[inline]
            fn powf(self, p: Self) -> Self {
                $t::powf(self, p)
            }
            #[inline]
            fn finite(self) -> bool {
                self.is_finite()
            }
            #[inline(always)]
            fn times_plus(self, factor: Self, term: Self) -> Self {
                self.mul_add(factor, term)
            }
            real!(@by #[inline(always)] $elementary: exp, exp_m1, ln_1p, sigmoid, tanh, erf);
            real!(@by #[inline] $t: ln, sqrt, sin, cos, abs);
        }
    };
    (@by #[$inline:meta] $by:ident: $($f:ident),*) => {$(
        #[$inline]
        fn $f(self) -> Self {
            $by::$f(self)
        }
    )*};
}
real!(f32, single);
real!(f64, double);
