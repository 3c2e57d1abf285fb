//! eˣ and tanh without branches, so that loops over them become vector instructions.
//!
//! Both reduce x = n log 2 + r with |r| ≤ ½ log 2 and evaluate eʳ − 1 by its Taylor polynomial. Only additions,
//! multiplications, a division and selections are used, in one order, so results are the same whatever the width of the
//! vectors. In single precision everything is computed in double precision and rounded once.
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

/// eˣ to single precision.
#[inline(always)]
pub(super) fn exp_single(x: f32) -> f32 {
    let (n, e) = reduced(bounded(f64::from(x), 200.0), &SINGLE);
    ((1.0 + e) * power_of_two(n)) as f32
}

/// tanh x to single precision.
#[inline(always)]
pub(super) fn tanh_single(x: f32) -> f32 {
    let wide = f64::from(x);
    let small = f64::from_bits(wide.to_bits() & !(1 << 63));
    f64::from_bits(tanh_by(small, &SINGLE).to_bits() | (wide.to_bits() & (1 << 63))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// |found − want| in units of the last place of `want`, where `want` is more accurate than `f32`.
    fn ulps_single(found: f32, want: f64) -> f64 {
        if found.is_nan() && want.is_nan() || f64::from(found) == want || (found.is_infinite() && want.abs() > 3.5e38) {
            return 0.0;
        }
        let nearest = want as f32;
        let spacing = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(found) - want).abs() / spacing
    }

    fn worst_single(step: usize) -> [f64; 2] {
        let mut worst = [0f64; 2];
        for bits in (0..=u32::MAX).step_by(step) {
            let x = f32::from_bits(bits);
            let wide = f64::from(x);
            worst[0] = worst[0].max(ulps_single(exp_single(x), wide.exp()));
            worst[1] = worst[1].max(ulps_single(tanh_single(x), wide.tanh()));
        }
        worst
    }

    #[test]
    fn single_precision_is_within_one_unit() {
        let worst = worst_single(9973);
        assert!(worst.iter().all(|w| *w < 0.6), "{worst:?}");
    }

    #[test]
    #[ignore = "all 2³² floats take minutes; a stride of them is always tested"]
    fn single_precision_is_within_one_unit_everywhere() {
        let worst = worst_single(1);
        println!("exp {:.4}, tanh {:.4} units in the last place", worst[0], worst[1]);
        assert!(worst.iter().all(|w| *w < 0.6), "{worst:?}");
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

    fn ulps(found: f64, want: Double) -> f64 {
        let spacing = f64::from_bits(want.0.abs().to_bits() + 1) - want.0.abs();
        (((found - want.0) - want.1) / spacing).abs()
    }

    #[test]
    fn double_precision_is_within_three_units() {
        let (mut exp_worst, mut tanh_worst) = (0f64, 0f64);
        for i in 1..400_000 {
            // From 10⁻⁸ to 40, of either sign.
            let x = 1e-8 * (f64::from(i) * 5.52e-5).exp() * if i % 2 == 0 { 1.0 } else { -1.0 };
            // The reference for negative x is the inverse: adding 1 to eˣ − 1 would cancel.
            let grown = add(precise_exp_m1(x.abs()), (1.0, 0.0));
            let want = if x < 0.0 { div((1.0, 0.0), grown) } else { grown };
            exp_worst = exp_worst.max(ulps(exp(x), want));
            if x.abs() < 20.0 {
                let e = precise_exp_m1(2.0 * x);
                tanh_worst = tanh_worst.max(ulps(tanh(x), div(e, add(e, (2.0, 0.0)))));
            }
        }
        println!("exp {exp_worst:.2}, tanh {tanh_worst:.2} units in the last place");
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
