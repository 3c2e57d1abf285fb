//! eˣ, tanh and log(1 + x) without branches, so that loops over them become vector instructions.
//!
//! The exponentials reduce x = n log 2 + r with |r| ≤ ½ log 2 and evaluate eʳ − 1 by a polynomial. Only additions,
//! multiplications, a division and selections are used, in one order, so results are the same whatever the width of the
//! vectors. Single precision has polynomials of its own, twice as many numbers to a vector; only its log(1 + x) and
//! its sigmoid are computed in double precision and rounded once.
//!
//! Largest errors found, in units in the last place: 0.5032 for eˣ and 0.5088 for tanh in `f32` (all floats), 0.93 and 2.42 in
//! `f64` (400,000 numbers of either sign from 10⁻⁸ to 40, against twice the precision).

/// 1.5 · 2⁵²: adding it rounds a number below 2⁵¹ to an integer, held in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
/// The high part of log 2, with enough trailing zeros that n times it is exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
/// log 2 − [`LN_2_HIGH`].
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// x held within ±bound; NaN stays NaN.
#[inline(always)]
fn bounded(x: f64, bound: f64) -> f64 {
    let x = if x > bound { bound } else { x };
    if x < -bound { -bound } else { x }
}

/// 2ⁿ for an integer −1022 ≤ n ≤ 1023.
#[inline(always)]
fn power_of_two(n: f64) -> f64 {
    f64::from_bits((n + (ROUND + 1023.0)).to_bits() << 52)
}

/// (n, eʳ − 1) with x = n log 2 + r, by `terms` of the Taylor series beyond r: r + r²/2! + r³/3! + …
#[inline(always)]
fn reduced<const TERMS: usize>(x: f64, inverse_factorials: &[f64; TERMS]) -> (f64, f64) {
    let n = (x * std::f64::consts::LOG2_E + ROUND) - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let mut q = inverse_factorials[TERMS - 1];
    let mut i = TERMS - 1;
    while i > 0 {
        i -= 1;
        q = q * r + inverse_factorials[i];
    }
    (n, r + r * r * q)
}

/// 1/k! for k from 2; r¹⁴/14! is below 4·10⁻¹⁸ for |r| ≤ ½ log 2.
const DOUBLE: [f64; 12] = inverse_factorials();

/// The same for single precision: r⁹/9! is below 2·10⁻¹⁰.
const SINGLE: [f64; 7] = inverse_factorials();

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

/// eˣ to double precision.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let (n, e) = reduced(bounded(x, 1100.0), &DOUBLE);
    // Two factors, since 2ⁿ alone overflows before eˣ does.
    let half = (n * 0.5 + ROUND) - ROUND;
    (1.0 + e) * power_of_two(half) * power_of_two(n - half)
}

/// eˣ − 1 to double precision, for x ≤ 700.
#[inline(always)]
fn exp_m1_below_700<const TERMS: usize>(x: f64, inverse_factorials: &[f64; TERMS]) -> f64 {
    let (n, e) = reduced(x, inverse_factorials);
    let scale = power_of_two(n);
    // 2ⁿ(1 + e) − 1: for n = 0 exactly e.
    scale * e + (scale - 1.0)
}

/// tanh x to double precision, by eˣ − 1: (e²ˣ − 1)/(e²ˣ + 1).
#[inline(always)]
fn tanh_by<const TERMS: usize>(x: f64, inverse_factorials: &[f64; TERMS]) -> f64 {
    let e = exp_m1_below_700(bounded(2.0 * x, 44.0), inverse_factorials);
    e / (e + 2.0)
}

/// tanh x to double precision.
#[inline(always)]
pub(super) fn tanh(x: f64) -> f64 {
    let small = f64::from_bits(x.to_bits() & !(1 << 63));
    f64::from_bits(tanh_by(small, &DOUBLE).to_bits() | (x.to_bits() & (1 << 63)))
}

/// log(1 + e) to double precision for 0 ≤ e ≤ 1, as 2 artanh t with t = e/(2 + e) ≤ ⅓: t + t³/3 + t⁵/5 + …
#[inline(always)]
fn ln_1p_by<const TERMS: usize>(e: f64) -> f64 {
    let t = e / (e + 2.0);
    let square = t * t;
    let mut q = 0.0;
    let mut k = TERMS;
    while k > 0 {
        q = q * square + 1.0 / (2 * k + 1) as f64;
        k -= 1;
    }
    let twice = t + t;
    twice + twice * (square * q)
}

/// log(1 + e) to double precision, for 0 ≤ e ≤ 1: what is left out is below t³⁷/37 < 10⁻¹⁷ t.
#[inline(always)]
pub(super) fn ln_1p(e: f64) -> f64 {
    ln_1p_by::<17>(e)
}

/// log(1 + e) to single precision, for 0 ≤ e ≤ 1: what is left out is below t¹⁹/19 < 10⁻⁸ t.
#[inline(always)]
pub(super) fn ln_1p_single(e: f32) -> f32 {
    ln_1p_by::<9>(f64::from(e)) as f32
}

/// 1/(1 + e⁻ˣ) to double precision, exact in both tails.
#[inline(always)]
pub(super) fn sigmoid(x: f64) -> f64 {
    let e = exp(-f64::from_bits(x.to_bits() & !(1 << 63)));
    (if x < 0.0 { e } else { 1.0 }) / (e + 1.0)
}

/// 1/(1 + e⁻ˣ) to single precision; in double precision, since the error of eˣ would be twice as many units of the result.
#[inline(always)]
pub(super) fn sigmoid_single(x: f32) -> f32 {
    let wide = f64::from(x);
    let (n, e) = reduced(bounded(-f64::from_bits(wide.to_bits() & !(1 << 63)), 200.0), &SINGLE);
    let e = (1.0 + e) * power_of_two(n);
    ((if x < 0.0 { e } else { 1.0 }) / (e + 1.0)) as f32
}

/// 1.5 · 2²³, as [`ROUND`].
const ROUND_SINGLE: f32 = 12_582_912.0;
/// (eʳ − 1 − r)/r² for |r| ≤ ½ log 2 by interpolation at Chebyshev points, to 6·10⁻⁸.
const EXP_SINGLE: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_463, 0.008_363_198, 0.001_393_367_7];
/// (tanh x / x − 1)/x² as a function of x² ≤ 0.42 likewise, to 2·10⁻⁹.
const TANH_SINGLE: [f32; 6] = [-0.333_333_34, 0.133_332_92, -0.053_956_8, 0.021_749_4, -0.008_281_772, 0.002_224_319_6];

/// The value of a polynomial, coefficients from the lowest.
#[inline(always)]
fn polynomial<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    let mut value = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        value = value * x + coefficients[i];
    }
    value
}

/// (n, eʳ) with x = n log 2 + r, for |x| ≤ 200.
#[inline(always)]
fn reduced_single(x: f32) -> (f32, f32) {
    // The high part of log 2 has nine bits, so n times it is exact.
    const HIGH: f32 = 0.693_359_4;
    const LOW: f32 = -2.121_944_4e-4;
    let n = (x * std::f32::consts::LOG2_E + ROUND_SINGLE) - ROUND_SINGLE;
    let (high, low) = (x - n * HIGH, n * LOW);
    let r = high - low;
    // r is rounded, its parts are not: the leading term takes those.
    (n, 1.0 + (high + (r * r * polynomial(&EXP_SINGLE, r) - low)))
}

/// 2ⁿ for an integer −126 ≤ n ≤ 127.
#[inline(always)]
fn power_of_two_single(n: f32) -> f32 {
    f32::from_bits((n + (ROUND_SINGLE + 127.0)).to_bits() << 23)
}

/// eˣ to single precision.
#[inline(always)]
pub(super) fn exp_single(x: f32) -> f32 {
    let x = if x > 105.0 { 105.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    let (n, e) = reduced_single(x);
    // Two factors, since 2ⁿ alone leaves the range before eˣ does.
    let half = (n * 0.5 + ROUND_SINGLE) - ROUND_SINGLE;
    e * power_of_two_single(half) * power_of_two_single(n - half)
}

/// tanh x to single precision: near 0 by a polynomial, beyond by 1 − 2/(e²ˣ + 1).
#[inline(always)]
pub(super) fn tanh_single(x: f32) -> f32 {
    let sign = x.to_bits() & (1 << 31);
    let x = f32::from_bits(x.to_bits() & !(1 << 31));
    let square = x * x;
    let near = x + x * (square * polynomial(&TANH_SINGLE, square));
    let (n, e) = reduced_single(if x > 10.0 { 20.0 } else { x + x });
    let far = 1.0 - 2.0 / (e * power_of_two_single(n) + 1.0);
    f32::from_bits((if x < 0.625 { near } else { far }).to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Ops;

    /// |found − want| in units of the last place of `want`, where `want` is more accurate than `f32`.
    fn ulps_single(found: f32, want: f64) -> f64 {
        if found.is_nan() && want.is_nan() || f64::from(found) == want || (found.is_infinite() && want.abs() > 3.5e38) {
            return 0.0;
        }
        let nearest = want as f32;
        let spacing = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(found) - want).abs() / spacing
    }

    /// The largest errors of eˣ, tanh, the sigmoid and softplus over every `step`-th float.
    fn worst_single(step: usize) -> [f64; 4] {
        let mut worst = [0f64; 4];
        for bits in (0..=u32::MAX).step_by(step) {
            let x = f32::from_bits(bits);
            let wide = f64::from(x);
            let found = [exp_single(x), tanh_single(x), Ops::sigmoid(&x), Ops::softplus(&x)];
            let tail = (-wide.abs()).exp();
            let sigmoid = if wide < 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) };
            let want = [wide.exp(), wide.tanh(), sigmoid, if wide > 0.0 { wide } else { 0.0 } + tail.ln_1p()];
            for ((worst, found), want) in worst.iter_mut().zip(found).zip(want) {
                *worst = worst.max(ulps_single(found, want));
            }
        }
        worst
    }

    #[test]
    fn single_precision_is_within_two_units() {
        let worst = worst_single(9973);
        assert!(worst.iter().all(|w| *w < 2.0), "{worst:?}");
    }

    #[test]
    #[ignore = "all 2³² floats take minutes; a stride of them is always tested"]
    fn single_precision_is_within_two_units_everywhere() {
        let worst = worst_single(1);
        println!("exp, tanh, sigmoid, softplus: {worst:.4?} units in the last place");
        assert!(worst.iter().all(|w| *w < 2.0), "{worst:?}");
    }

    /// A number with twice the precision: the sum of two.
    type Double = (f64, f64);

    fn two_sum(a: f64, b: f64) -> Double {
        let s = a + b;
        let t = s - a;
        (s, (a - (s - t)) + (b - t))
    }

    fn add(a: Double, b: Double) -> Double {
        let (s, e) = two_sum(a.0, b.0);
        two_sum(s, e + a.1 + b.1)
    }

    fn mul(a: Double, b: Double) -> Double {
        let p = a.0 * b.0;
        let e = a.0.mul_add(b.0, -p) + (a.0 * b.1 + a.1 * b.0);
        two_sum(p, e)
    }

    fn div(a: Double, b: Double) -> Double {
        let q = a.0 / b.0;
        let rest = add(a, mul((-q, 0.0), b));
        let q2 = rest.0 / b.0;
        let rest = add(rest, mul((-q2, 0.0), b));
        add(two_sum(q, q2), (rest.0 / b.0, 0.0))
    }

    /// eˣ − 1 for |x| ≤ 40 with twice the precision: the series at x/1024, squared back: (1 + s)² − 1 = 2s + s².
    fn precise_exp_m1(x: f64) -> Double {
        let r = (x / 1024.0, 0.0);
        let mut s = (0.0, 0.0);
        for k in (1..=16).rev() {
            s = mul(div(r, (f64::from(k), 0.0)), add((1.0, 0.0), s));
        }
        for _ in 0..10 {
            s = add(mul((2.0, 0.0), s), mul(s, s));
        }
        s
    }

    /// log(1 + e) for 0 ≤ e ≤ 1 with twice the precision: the series of 2 artanh e/(2 + e).
    fn precise_ln_1p(e: Double) -> Double {
        let t = div(e, add((2.0, 0.0), e));
        let square = mul(t, t);
        let mut sum = (0.0, 0.0);
        for k in (0..36).rev() {
            sum = add(mul(sum, square), div((1.0, 0.0), (f64::from(2 * k + 1), 0.0)));
        }
        mul(mul((2.0, 0.0), t), sum)
    }

    fn ulps(found: f64, want: Double) -> f64 {
        let spacing = f64::from_bits(want.0.abs().to_bits() + 1) - want.0.abs();
        (((found - want.0) - want.1) / spacing).abs()
    }

    #[test]
    fn double_precision_is_within_three_units() {
        let (mut exp_worst, mut tanh_worst) = (0f64, 0f64);
        let (mut sigmoid_worst, mut softplus_worst) = (0f64, 0f64);
        for i in 1..400_000 {
            // From 10⁻⁸ to 40, of either sign.
            let x = 1e-8 * (f64::from(i) * 5.52e-5).exp() * if i % 2 == 0 { 1.0 } else { -1.0 };
            // The reference for negative x is the inverse: adding 1 to eˣ − 1 would cancel.
            let grown = add(precise_exp_m1(x.abs()), (1.0, 0.0));
            let want = if x < 0.0 { div((1.0, 0.0), grown) } else { grown };
            exp_worst = exp_worst.max(ulps(exp(x), want));
            let below_one = if x < 0.0 { want } else { div((1.0, 0.0), grown) };
            let above_zero = div((1.0, 0.0), add((1.0, 0.0), below_one));
            let sigmoid = if x < 0.0 { mul(below_one, above_zero) } else { above_zero };
            sigmoid_worst = sigmoid_worst.max(ulps(Ops::sigmoid(&x), sigmoid));
            let softplus = add((x.max(0.0), 0.0), precise_ln_1p(below_one));
            softplus_worst = softplus_worst.max(ulps(Ops::softplus(&x), softplus));
            if x.abs() < 20.0 {
                let e = precise_exp_m1(2.0 * x);
                tanh_worst = tanh_worst.max(ulps(tanh(x), div(e, add(e, (2.0, 0.0)))));
            }
        }
        println!("exp {exp_worst:.2}, tanh {tanh_worst:.2}, sigmoid {sigmoid_worst:.2}, softplus {softplus_worst:.2}");
        assert!(sigmoid_worst <= 3.0 && softplus_worst <= 3.0, "sigmoid {sigmoid_worst}, softplus {softplus_worst}");
        assert!(exp_worst <= 1.5 && tanh_worst <= 3.0, "exp {exp_worst}, tanh {tanh_worst}");
    }

    #[test]
    fn special_values_are_exact() {
        assert_eq!((exp(0.0), exp(-0.0), exp_single(0.0)), (1.0, 1.0, 1.0));
        assert_eq!((exp(f64::INFINITY), exp(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
        assert_eq!((exp(710.0), exp(-746.0)), (f64::INFINITY, 0.0));
        assert!(exp(709.78).is_finite() && exp(-745.0) > 0.0);
        assert!((exp(-740.0) / (-740f64).exp() - 1.0).abs() < 1e-1, "numbers below the normal range are still there");
        assert_eq!((exp_single(f32::INFINITY), exp_single(-200.0)), (f32::INFINITY, 0.0));
        assert!(exp(f64::NAN).is_nan() && tanh(f64::NAN).is_nan());
        assert!(exp_single(f32::NAN).is_nan() && tanh_single(f32::NAN).is_nan());
        assert_eq!((tanh(f64::INFINITY), tanh(-1e300), tanh_single(-30.0)), (1.0, -1.0, -1.0));
        assert_eq!((tanh(0.0).to_bits(), tanh(-0.0).to_bits()), (0, (-0f64).to_bits()));
        for x in [1e-300, 1e-20, -1e-12] {
            assert_eq!(tanh(x), x);
        }
    }
}
