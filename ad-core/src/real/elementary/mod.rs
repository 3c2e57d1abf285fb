//! eˣ, eˣ − 1, log(1 + x), tanh, the sigmoid and erf without branches, so that loops over them become vector instructions.
//!
//! Only additions, multiplications, divisions and selections are used, in one order, so results are the same whatever the
//! width of the vectors. Both formats compute by the same formulas, each with polynomials of its own; single precision
//! has twice as many numbers to a vector. Only its sigmoid is computed in double precision and rounded once.
//!
//! - **eˣ**: x = n log 2 + r with |r| ≤ ½ log 2, and a polynomial for eʳ − 1. The rounding error of r is known and
//!   made up for.
//! - **log(1 + x)**: 1 + x = 2ᵏ(1 + f) with 1 + f within [√½, √2], and log(1 + f) = 2 artanh s with s = f/(2 + f). What
//!   rounding took from 1 + x is added as the logarithm's first-order change.
//! - **erf x**: x + x·P(x²) below 1. From there on, 1 − e^−Q(x) with a polynomial Q for −log erfc x: since erfc is small there, Q and
//!   its exponential need fewer correct digits than the result has.
//!
//! Errors stay below two units in the last place in `f32` and three in `f64`.

pub(super) mod double;
pub(super) mod single;

#[cfg(test)]
mod tests;

/// The functions that both formats compute by the same formulas; each format's file holds the constants that they name.
macro_rules! elementary {
    ($t:ident, $bits:ident) => {
        /// Bits below the exponent.
        const FRACTION_BITS: u32 = $t::MANTISSA_DIGITS - 1;
        /// 1.5 · 2ᵐ for a fraction of m bits: adding it rounds a number below 2ᵐ⁻¹ to an integer, held in the low bits.
        const ROUND: $t = 1.5 * INTEGERS_FROM;
        /// 2ᵐ for a fraction of m bits.
        const INTEGERS_FROM: $t = ((1 as $bits) << FRACTION_BITS) as $t;
        /// The exponent of 1 as it is stored.
        const BIAS: $t = ($t::MAX_EXP - 1) as $t;

        /// The value of a polynomial, coefficients from the lowest.
        #[inline(always)]
        fn polynomial<const N: usize>(coefficients: &[$t; N], x: $t) -> $t {
            let mut value = coefficients[N - 1];
            let mut i = N - 1;
            while i > 0 {
                i -= 1;
                value = value * x + coefficients[i];
            }
            value
        }

        /// The nearest integer, for numbers below 2ᵐ⁻¹.
        #[inline(always)]
        fn rounded(x: $t) -> $t {
            (x + ROUND) - ROUND
        }

        /// x held within ±bound; NaN stays NaN.
        #[inline(always)]
        fn bounded(x: $t, bound: $t) -> $t {
            let x = if x > bound { bound } else { x };
            if x < -bound { -bound } else { x }
        }

        /// 2ⁿ for an integer n with 2ⁿ in the normal range.
        #[inline(always)]
        pub(super) fn power_of_two(n: $t) -> $t {
            $t::from_bits((n + (ROUND + BIAS)).to_bits() << FRACTION_BITS)
        }

        /// x = n log 2 + r as (n, h, t) with eʳ − 1 = h + t, where h is r but for its last digits, given the coefficients
        /// of (eʳ − 1 − r)/r².
        #[inline(always)]
        pub(super) fn reduced<const N: usize>(x: $t, coefficients: &[$t; N]) -> ($t, $t, $t) {
            let n = rounded(x * std::$t::consts::LOG2_E);
            let (high, low) = (x - n * LN_2_HIGH, n * LN_2_LOW);
            // r is rounded, its parts are not: the leading term takes those.
            let r = high - low;
            (n, high, r * r * polynomial(coefficients, r) - low)
        }

        /// eˣ.
        #[inline(always)]
        pub(in crate::real) fn exp(x: $t) -> $t {
            let (n, high, tail) = reduced(bounded(x, EXP_LEAVES_RANGE), &EXP);
            // Two factors, since 2ⁿ alone leaves the range before eˣ does.
            let half = rounded(n * 0.5);
            (1.0 + (high + tail)) * power_of_two(half) * power_of_two(n - half)
        }

        /// scale · (1 + h + t) − one.
        #[inline(always)]
        fn scaled_less(scale: $t, high: $t, tail: $t, one: $t) -> $t {
            (scale * high + (scale - one)) + scale * tail
        }

        /// eˣ − 1.
        #[inline(always)]
        pub(in crate::real) fn exp_m1(x: $t) -> $t {
            let (n, high, tail) = reduced(bounded(x, EXP_LEAVES_RANGE), &EXP);
            let half = rounded(n * 0.5);
            let less = scaled_less(power_of_two(half), high, tail, power_of_two(half - n));
            (less * power_of_two(n - half)).copysign(x)
        }

        /// log(1 + x); −∞ at −1, and NaN below.
        #[inline(always)]
        pub(in crate::real) fn ln_1p(x: $t) -> $t {
            const ROOT: $bits = std::$t::consts::FRAC_1_SQRT_2.to_bits();
            const FRACTION: $bits = (1 << FRACTION_BITS) - 1;
            let u = 1.0 + x;
            // In multiples of √½, so that the fraction starts anew there and not at powers of two.
            let bits = u.to_bits().wrapping_add((1 as $t).to_bits() - ROOT);
            let k = $t::from_bits((bits >> FRACTION_BITS) | INTEGERS_FROM.to_bits()) - (INTEGERS_FROM + BIAS);
            let m = $t::from_bits((bits & FRACTION) + ROOT);

            let lost = if x > 1.0 { 1.0 - (u - x) } else { x - (u - 1.0) };
            let f = if k == 0.0 { x } else { m - 1.0 };
            let s = f / (2.0 + f);
            // lost/u, where 1/m is (1 − s)/(1 + s); nothing beside log u for a large k, whose inverse power may be subnormal.
            let inverse = power_of_two(-(if k > 100.0 { 100.0 } else { k })) * (1.0 - 2.0 * s * (1.0 - s));
            let change = if k == 0.0 { 0.0 } else { lost * inverse };

            // 2 artanh s = f − (f²/2 − s(f²/2 + R)): the leading term is exact.
            let half_square = 0.5 * f * f;
            let square = s * s;
            let tail = s * (half_square + square * polynomial(&LOG, square)) + (k * LN_2_LOW + change);
            let value = (k * LN_2_HIGH - ((half_square - tail) - f)).copysign(x);

            let value = if x < $t::INFINITY { value } else { x };
            let value = if x == -1.0 { $t::NEG_INFINITY } else { value };
            if x < -1.0 { $t::NAN } else { value }
        }

        /// erf x.
        #[inline(always)]
        pub(in crate::real) fn erf(x: $t) -> $t {
            let size = x.abs();
            let near = size + size * polynomial(&ERF, size * size);
            let q = polynomial(&LOG_ERFC, (if size > ERF_IS_ONE { ERF_IS_ONE } else { size }) - 2.0);
            let (n, high, tail) = reduced(-q, &EXP);
            let far = 1.0 - (1.0 + (high + tail)) * power_of_two(n);
            (if size < 1.0 { near } else { far }).copysign(x)
        }
    };
}
use elementary;
