//! The number s by which the two-product form scales its sums.

use std::f64::consts::SQRT_2;
use std::ops::RangeInclusive;

use crate::kernel::{self, fetch};
use crate::real::Real;
use crate::sums::RunningSum;

/// s = ‖W‖ / ‖Ẇ‖, a power of two so that it scales without rounding, given the [mean squares](mean_squares) of W and Ẇ. `None`
/// where one of them vanishes or overflows, or where s is so large or small that what is scaled by it may leave the range of single precision.
pub(crate) fn balance([of_w, of_dw]: [f64; 2]) -> Option<f64> {
    let s = (of_w / of_dw).sqrt();
    // Rounded by its exponent alone: log and exp2 of the library are far from the caches where they are called once a layer.
    SCALES.contains(&s).then(|| f64::from_bits((SQRT_2 * s).to_bits() & EXPONENT))
}

/// The bits of a positive number that make it a power of two without the others.
const EXPONENT: u64 = 0x7ff << 52;

/// The scales of a two-product form: 2⁻⁴⁰ to 2⁴⁰.
const SCALES: RangeInclusive<f64> = 1.0 / (1u64 << 40) as f64..=(1u64 << 40) as f64;

/// Places at which long arrays are sampled.
const PLACES: usize = 16;
/// Numbers of neighbours sampled at each: of one line of the cache, in single precision.
const SAMPLED: usize = 16;

/// About the mean square of each array: of long ones, neighbours at places without a pattern are looked at, or all numbers where those vanish.
pub(crate) fn mean_squares<T: Real, const N: usize>(arrays: [&[T]; N]) -> [f64; N] {
    let sample = |a: usize, place: usize| {
        let stretch = arrays[a].len() / PLACES;
        let at = place * stretch + place.wrapping_mul(0x9E37_79B9) % (stretch - SAMPLED);
        &arrays[a][at / SAMPLED * SAMPLED..][..SAMPLED]
    };
    let is_long = |a: usize| arrays[a].len() / PLACES >= 4 * SAMPLED;
    let samples = |a: usize| (0..if is_long(a) { PLACES } else { 0 }).map(move |place| sample(a, place));
    // All are asked for before the first is waited for: they come from far.
    (0..N).flat_map(samples).for_each(fetch::ask);
    let mut sums = [0.0; N];
    kernel::pieces_here(
        &mut sums,
        1,
        #[inline(always)]
        |a, sum| {
            let mut squares = RunningSum::ZERO;
            for sample in samples(a) {
                squares.add_pairs(sample, sample, |a, b| a * b);
            }
            sum[0] = squares.total();
        },
    );
    std::array::from_fn(|a| match sums[a] > 0.0 {
        true => sums[a] / (PLACES * SAMPLED) as f64,
        false => kernel::inner(arrays[a], arrays[a]) / arrays[a].len().max(1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_the_nearest_powers_of_two() {
        for exact in [1e-9, 0.1, 0.70, 0.71, 1.0, 1.41, 1.42, 3.0, 1e9] {
            let s = balance([exact, 1.0 / exact]).expect("it balances");
            assert_eq!(s, f64::log2(exact).round().exp2(), "{exact}");
        }
        for tangent in [0.0, 1e-60, 1e60, f64::INFINITY, f64::NAN] {
            assert_eq!(balance([1.0, tangent]), None, "{tangent}");
        }
    }
}
