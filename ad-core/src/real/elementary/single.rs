//! In single precision.

use super::{double, elementary};

elementary!(f32, u32);

/// The high part of log 2, of nine bits, so that n times it is exact.
const LN_2_HIGH: f32 = 0.693_359_4;
/// log 2 − [`LN_2_HIGH`].
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// eˣ is 0 or ∞ from here on.
const EXP_LEAVES_RANGE: f32 = 105.0;

/// (eʳ − 1 − r)/r² for |r| ≤ ½ log 2 by interpolation at Chebyshev points, to 6·10⁻⁸.
const EXP: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_463, 0.008_363_198, 0.001_393_367_7];

/// (2 artanh s − 2s)/s³ as a function of s² ≤ (√2 − 1)⁴, the best polynomial of its degree by Remez exchange in 60 digits,
/// to 10⁻⁶.
const LOG: [f32; 3] = [0.666_667_7, 0.399_781_94, 0.298_568_64];

/// erf x / x − 1 as a function of x² ≤ 1 likewise, to 2·10⁻⁹.
const ERF: [f32; 7] =
    [0.128_379_17, -0.376_126_26, 0.112_836, -0.026_854_444, 0.005_189_535, -0.000_802_084_05, 7.889_115e-5];

/// −log erfc x in powers of x − 2 for 1 ≤ x ≤ 4 likewise, so that its error times erfc x is below 2·10⁻⁹.
const LOG_ERFC: [f32; 7] =
    [5.364_941, 4.418_159_5, 0.923_753_1, 0.016_487_272, -0.003_543_685, 0.000_712_722, -0.000_185_572_59];

/// erf x rounds to 1 from here on.
const ERF_IS_ONE: f32 = 4.0;

/// (tanh x / x − 1)/x² as a function of x² ≤ 0.42 by interpolation at Chebyshev points, to 2·10⁻⁹.
const TANH: [f32; 6] = [-0.333_333_34, 0.133_332_92, -0.053_956_8, 0.021_749_4, -0.008_281_772, 0.002_224_319_6];

/// tanh x: near 0 by a polynomial, beyond by 1 − 2/(e²ˣ + 1).
#[inline(always)]
pub(in crate::real) fn tanh(x: f32) -> f32 {
    let size = x.abs();
    let square = size * size;
    let near = size + size * (square * polynomial(&TANH, square));
    let (n, high, tail) = reduced(if size > 10.0 { 20.0 } else { size + size }, &EXP);
    let far = 1.0 - 2.0 / ((1.0 + (high + tail)) * power_of_two(n) + 1.0);
    (if size < 0.625 { near } else { far }).copysign(x)
}

/// 1/(1 + e⁻ˣ); in double precision, since the error of eˣ would be twice as many units of the result.
#[inline(always)]
pub(in crate::real) fn sigmoid(x: f32) -> f32 {
    let size = f64::from(x.abs());
    let (n, high, tail) = double::reduced(if size > 200.0 { -200.0 } else { -size }, &double::EXP_FOR_SINGLE);
    let e = (1.0 + (high + tail)) * double::power_of_two(n);
    ((if x < 0.0 { e } else { 1.0 }) / (e + 1.0)) as f32
}
