use std::array::from_fn;

use super::{double, single};
use crate::ops::Ops;
use crate::parallel;
use crate::real::precise::{self, Double, ulps};

const NAMES: [&str; 7] = ["exp", "exp_m1", "ln_1p", "tanh", "sigmoid", "softplus", "erf"];

/// The functions of [`NAMES`] in single precision.
fn found_single(x: f32) -> [f32; 7] {
    let (exp_m1, ln_1p) = (single::exp_m1(x), single::ln_1p(x));
    [single::exp(x), exp_m1, ln_1p, single::tanh(x), Ops::sigmoid(&x), Ops::softplus(&x), single::erf(x)]
}

/// The same in double precision by the platform's functions.
fn wanted_single(x: f64) -> [f64; 7] {
    let tail = (-x.abs()).exp();
    let sigmoid = if x < 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) };
    let softplus = if x > 0.0 { x } else { 0.0 } + tail.ln_1p();
    // Not a number stays one in a sum only if it is added.
    let softplus = if x.is_nan() { x } else { softplus };
    [x.exp(), x.exp_m1(), x.ln_1p(), x.tanh(), sigmoid, softplus, libm::erf(x)]
}

/// |found − want| in units in the last place of `want`, where `want` is more accurate than `f32`; infinite where only one of
/// the two is not a number or they differ in sign.
fn ulps_single(found: f32, want: f64) -> f64 {
    let nearest = want as f32;
    if found.to_bits() == nearest.to_bits() && !nearest.is_normal() || found.is_nan() && want.is_nan() {
        return 0.0;
    }
    if found.is_nan() || want.is_nan() || found.is_sign_negative() != nearest.is_sign_negative() {
        return f64::INFINITY;
    }
    // Beyond the range, the next number would be 2¹²⁸.
    let number = |x: f32| if x.is_infinite() { 2f64.powi(128) } else { f64::from(x.abs()) };
    let below = number(nearest).min(f64::from(f32::MAX));
    let spacing = number(f32::from_bits((below as f32).to_bits() + 1)) - below;
    (number(found) - want.abs().min(2f64.powi(128))).abs() / spacing
}

/// The largest errors over every `step`-th float.
fn worst_single(step: u32) -> [f64; 7] {
    let stretches = parallel::map(0..256u32, |stretch| {
        let mut worst = [0f64; 7];
        let first = (stretch << 24).next_multiple_of(step);
        for bits in (first..=(stretch << 24) + 0xff_ffff).step_by(step as usize) {
            let x = f32::from_bits(bits);
            let (found, want) = (found_single(x), wanted_single(f64::from(x)));
            worst = from_fn(|i| worst[i].max(ulps_single(found[i], want[i])));
        }
        worst
    });
    stretches.into_iter().fold([0.0; 7], |all, one| from_fn(|i| all[i].max(one[i])))
}

#[test]
fn single_precision_is_within_two_units() {
    let worst = worst_single(9973);
    assert!(worst.iter().all(|w| *w < 2.0), "{NAMES:?}: {worst:?}");
}

#[test]
#[ignore = "all 2³² floats take minutes; a stride of them is always tested"]
fn single_precision_is_within_two_units_everywhere() {
    let worst = worst_single(1);
    println!("{NAMES:?}: {worst:.4?} units in the last place");
    assert!(worst.iter().all(|w| *w < 2.0), "{NAMES:?}: {worst:?}");
}

/// The functions of [`NAMES`] in double precision.
fn found_double(x: f64) -> [f64; 7] {
    let (exp_m1, ln_1p) = (double::exp_m1(x), double::ln_1p(x));
    [double::exp(x), exp_m1, ln_1p, double::tanh(x), Ops::sigmoid(&x), Ops::softplus(&x), double::erf(x)]
}

/// The same with twice the precision; `None` where the function is not a number, or one that the references do not reach.
fn wanted_double(x: f64) -> [Option<Double>; 7] {
    let exact = (x, 0.0);
    [
        Some(precise::exp(exact)),
        Some(precise::exp_m1(exact)),
        (x > -1.0).then(|| precise::ln_1p(exact)),
        (x.abs() < 20.0).then(|| precise::tanh(exact)),
        Some(precise::sigmoid(exact)),
        Some(precise::softplus(x)),
        (x.abs() < 6.5).then(|| precise::erf(exact)),
    ]
}

/// The largest errors over these numbers.
fn worst_double(numbers: impl Iterator<Item = f64>) -> [f64; 7] {
    numbers.fold([0.0; 7], |worst, x| {
        let (found, want) = (found_double(x), wanted_double(x));
        from_fn(|i| want[i].map_or(worst[i], |want| worst[i].max(ulps(found[i], want))))
    })
}

/// Numbers of either sign from 10⁻⁸ to 690, spread evenly over orders of magnitude, and as many spread evenly over [−7, 7].
fn numbers(n: u32) -> impl Iterator<Item = f64> {
    (0..n).flat_map(move |i| {
        let part = (f64::from(i) + 0.5) / f64::from(n);
        let size = 1e-8 * (part * 690e8f64.ln()).exp();
        [if i % 2 == 0 { size } else { -size }, 14.0 * part - 7.0]
    })
}

#[test]
fn double_precision_is_within_three_units() {
    let worst = worst_double(numbers(10_000));
    assert!(worst.iter().all(|w| *w < 3.0), "{NAMES:?}: {worst:?}");
}

#[test]
#[ignore = "takes a minute; fewer numbers are always tested"]
fn double_precision_is_within_three_units_at_many_numbers() {
    let worst = worst_double(numbers(400_000));
    println!("{NAMES:?}: {worst:.3?} units in the last place");
    assert!(worst.iter().all(|w| *w < 3.0), "{NAMES:?}: {worst:?}");
}

/// Special values in both formats.
macro_rules! special_values {
    ($test:ident, $format:ident, $t:ident) => {
        #[test]
        fn $test() {
            use $format::{erf, exp, exp_m1, ln_1p, sigmoid, tanh};
            const INFINITY: $t = $t::INFINITY;
            const TINY: $t = $t::from_bits(1);

            assert_eq!([exp(0.0), exp(-0.0), exp(INFINITY), exp(-INFINITY)], [1.0, 1.0, INFINITY, 0.0]);
            assert_eq!([exp_m1(INFINITY), exp_m1(-INFINITY), exp_m1(-200.0)], [INFINITY, -1.0, -1.0]);
            assert_eq!([ln_1p(INFINITY), ln_1p(-1.0)], [INFINITY, -INFINITY]);
            assert!(ln_1p($t::MAX).is_finite());
            assert_eq!([tanh(INFINITY), tanh(-$t::MAX), tanh(-30.0)], [1.0, -1.0, -1.0]);
            assert_eq!([erf(INFINITY), erf(-$t::MAX), erf(7.0)], [1.0, -1.0, 1.0]);
            assert_eq!([sigmoid(INFINITY), sigmoid(-INFINITY), sigmoid(0.0)], [1.0, 0.0, 0.5]);
            for below in [-1.0 - $t::EPSILON, -2.0, -$t::MAX, -INFINITY] {
                assert!(ln_1p(below).is_nan(), "at {below}");
            }
            for nan in [$t::NAN, -$t::NAN] {
                for f in [exp, exp_m1, ln_1p, tanh, sigmoid, erf] {
                    assert!(f(nan).is_nan());
                }
            }
            for f in [exp_m1, ln_1p, tanh, erf] {
                assert_eq!([f(0.0).to_bits(), f(-0.0).to_bits()], [(0.0 as $t).to_bits(), (-0.0 as $t).to_bits()]);
            }
            for f in [exp_m1, ln_1p, tanh] {
                for x in [TINY, -3.0 * TINY, $t::MIN_POSITIVE, -$t::MIN_POSITIVE, $t::EPSILON * $t::EPSILON] {
                    assert_eq!(f(x), x);
                }
            }
            assert_eq!([erf(TINY), erf(-100.0 * TINY)], [TINY, -113.0 * TINY]);
        }
    };
}
special_values!(special_values_are_exact_in_single_precision, single, f32);
special_values!(special_values_are_exact_in_double_precision, double, f64);

#[test]
fn exponentials_leave_the_range_where_they_should() {
    assert_eq!((double::exp(710.0), double::exp(-746.0)), (f64::INFINITY, 0.0));
    assert!(double::exp(709.78).is_finite() && double::exp(-745.0) > 0.0);
    assert!(double::exp_m1(709.78).is_finite() && double::exp_m1(710.0).is_infinite());
    assert!((double::exp(-740.0) / (-740f64).exp() - 1.0).abs() < 1e-1, "subnormal numbers are still there");
    assert_eq!((single::exp(88.8), single::exp(-200.0)), (f32::INFINITY, 0.0));
}
