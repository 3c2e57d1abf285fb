//! The scalars that hold numbers: `f32` and `f64`.

use std::fmt;

/// A floating-point scalar: `f32` or `f64`.
///
/// Methods take `self` by value and carry the standard library's names; inside generic code a call such as `x.exp()`
/// on a `T: Real` is this trait's, while on a reference it is the differentiable [`Ops`](crate::Ops) method.
pub trait Real:
    Copy + PartialOrd + Default + Send + Sync + fmt::Display + fmt::Debug + fmt::LowerExp + 'static
{
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;
    /// The nearest number to `x`.
    fn from_f64(x: f64) -> Self;
    /// The same number in double precision.
    fn to_f64(self) -> f64;
}
macro_rules! real {
    ($($t:ident),*) => {$(
        impl Real for $t {
            const NAME: &'static str = stringify!($t);
            const EPSILON: f64 = $t::EPSILON as f64;
            fn from_f64(x: f64) -> Self { x as $t }
            fn to_f64(self) -> f64 { self as f64 }
        }
    )*};
}
real!(f32, f64);
