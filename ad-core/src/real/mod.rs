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
    + bytemuck::Pod
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

/// xⁿ by repeated squaring. Not the intrinsic, and not inlined: in a loop over an array, that would be computed for each element also where
/// n is one of the exponents that need no call.
#[inline(never)]
fn power<T: Real>(x: T, n: i32) -> T {
    let one = T::from_f64(1.0);
    let (mut power, mut square, mut left) = (one, x, n.unsigned_abs());
    while left > 0 {
        if left % 2 == 1 {
            power = power * square;
        }
        square = square * square;
        left /= 2;
    }
    if n < 0 { one / power } else { power }
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
                    n => power(self, n),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_powers_are_products() {
        for n in -9..=20i32 {
            for x in [-1.7, -0.3, 0.9, 1.0, 2.5] {
                let product = (0..n.abs()).map(|_| x).product::<f64>();
                let want = if n < 0 { 1.0 / product } else { product };
                approx::assert_relative_eq!(Real::powi(x, n), want, max_relative = 1e-14);
                approx::assert_relative_eq!(Real::powi(x as f32, n), (x as f32).powi(n), max_relative = 1e-6);
            }
            assert!(n <= 0 || Real::powi(0.0, n) == 0.0);
        }
        assert_eq!((Real::powi(0.0f32, 0), Real::powi(f32::NAN, 0)), (1.0, 1.0));
        assert_eq!((Real::powi(2.0f64, i32::MIN), Real::powi(0.0f64, -2)), (0.0, f64::INFINITY));
    }
}
