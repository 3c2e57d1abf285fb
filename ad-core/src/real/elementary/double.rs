//! In double precision.

use super::elementary;

elementary!(f64, u64);

/// The high part of log 2, with enough trailing zeros that n times it is exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
/// log 2 − [`LN_2_HIGH`].
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// eˣ is 0 or ∞ from here on.
const EXP_LEAVES_RANGE: f64 = 1100.0;

/// (eʳ − 1 − r)/r² for |r| ≤ ½ log 2 by its series, 1/2! + r/3! + …; r¹⁴/14! is below 4·10⁻¹⁸.
const EXP: [f64; 12] = inverse_factorials();

/// The same with as many terms as single precision needs: r⁹/9! is below 2·10⁻¹⁰.
pub(super) const EXP_FOR_SINGLE: [f64; 7] = inverse_factorials();

const fn inverse_factorials<const TERMS: usize>() -> [f64; TERMS] {
    let mut out = [0.0; TERMS];
    let (mut i, mut factorial) = (0, 1.0);
    while i < TERMS {
        factorial *= (i + 2) as f64;
        out[i] = 1.0 / factorial;
        i += 1;
    }
    out
}

/// (2 artanh s − 2s)/s³ as a function of s² ≤ (√2 − 1)⁴, the best polynomial of its degree by Remez exchange in 60 digits,
/// to 10⁻¹⁶.
const LOG: [f64; 7] = [
    0.666_666_666_666_671_2,
    0.399_999_999_995_389_1,
    0.285_714_287_183_589_3,
    0.222_222_007_867_152_07,
    0.181_834_589_342_731_22,
    0.153_165_558_909_184_54,
    0.147_724_167_170_461,
];

/// erf x / x − 1 as a function of x² ≤ 1 likewise, to 8·10⁻¹⁸.
const ERF: [f64; 12] = [
    0.128_379_167_095_512_56,
    -0.376_126_389_031_835_5,
    0.112_837_916_709_452_52,
    -0.026_866_170_643_276_02,
    0.005_223_977_607_422_088,
    -0.000_854_832_598_964_295_9,
    0.000_120_552_953_192_280_35,
    -1.492_474_464_482_012_5e-5,
    1.644_751_751_167_007_3e-6,
    -1.620_917_505_111_122_1e-7,
    1.372_297_408_557_780_3e-8,
    -7.801_187_300_572_818e-10,
];

/// −log erfc x in powers of x − 2 for 1 ≤ x ≤ 6 likewise, so that its error times erfc x is below 7·10⁻¹⁸.
const LOG_ERFC: [f64; 18] = [
    5.364_941_264_616_636,
    4.418_160_805_994_414,
    0.923_750_841_823_942_7,
    0.016_465_118_137_389_35,
    -0.003_570_756_347_814_507_7,
    0.000_732_399_377_994_685_1,
    -0.000_135_309_330_789_329_86,
    2.070_647_048_429_689_5e-5,
    -1.952_186_906_204_060_7e-6,
    -2.037_269_816_901_753e-7,
    1.731_717_649_949_251_7e-7,
    -5.769_639_730_855_599e-8,
    1.398_994_644_202_942_7e-8,
    -2.609_499_481_842_315_6e-9,
    2.568_916_087_151_854e-10,
    7.153_247_319_781_722e-11,
    -3.662_266_893_193_839e-11,
    4.865_391_109_807_806_6e-12,
];

/// erf x rounds to 1 from here on.
const ERF_IS_ONE: f64 = 6.0;

/// tanh x, as (e²ˣ − 1)/(e²ˣ + 1).
#[inline(always)]
pub(in crate::real) fn tanh(x: f64) -> f64 {
    let (n, high, tail) = reduced(bounded(2.0 * x.abs(), 44.0), &EXP);
    let e = scaled_less(power_of_two(n), high, tail, 1.0);
    (e / (e + 2.0)).copysign(x)
}

/// 1/(1 + e⁻ˣ), exact in both tails.
#[inline(always)]
pub(in crate::real) fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (e + 1.0)
}

/// log x in two parts that add up to more digits than one number holds, for x ≥ 1; where x is something else, log x and 0.
pub(crate) fn ln_in_parts(x: f64) -> (f64, f64) {
    if !(1.0..f64::INFINITY).contains(&x) {
        return (x.ln(), 0.0);
    }
    let k = ((x.to_bits() >> FRACTION_BITS) as f64) - BIAS;
    (k * LN_2_HIGH, (x * power_of_two(-k)).ln() + k * LN_2_LOW)
}
