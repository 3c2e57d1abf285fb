//! Sums over arrays within a [kernel](crate::kernel), whose loops they are compiled with.

use std::ops::Add;

use crate::real::Real;

/// N sums Σ f(aᵢ, bᵢ, …) over arrays of one length, in double precision. For use within a kernel.
#[inline(always)]
pub(crate) fn sums_here<T: Real, const M: usize, const N: usize>(
    arrays: [&[T]; M],
    f: impl Fn([f64; M]) -> [f64; N],
) -> [f64; N] {
    sums_of(
        arrays,
        #[inline(always)]
        |x| x.to_f64(),
        f,
    )
}

/// N sums Σ f(aᵢ, bᵢ, …) over rows of one length, in their own precision: of a row of hundreds each lane adds up a few numbers, so the error is
/// that of a few roundings. In half the time of [`sums_here`] in single precision. For use within a kernel.
#[inline(always)]
pub(crate) fn sums_of_row_here<T: Real, const M: usize, const N: usize>(
    rows: [&[T]; M],
    f: impl Fn([T; M]) -> [T; N],
) -> [T; N] {
    sums_of(
        rows,
        #[inline(always)]
        |x| x,
        f,
    )
}

/// N sums Σ f(aᵢ, bᵢ, …) over converted arrays of one length, in interleaved lanes: a single running sum would wait for each addition to finish.
#[inline(always)]
fn sums_of<T: Copy, S: Copy + Default + Add<Output = S>, const M: usize, const N: usize>(
    arrays: [&[T]; M],
    converted: impl Fn(T) -> S,
    f: impl Fn([S; M]) -> [S; N],
) -> [S; N] {
    let parts = arrays.map(|a| a.as_chunks::<LANES>());
    let mut sums = [S::default(); N];
    for i in 0..parts[0].1.len() {
        let terms = f(parts.map(|(_, rest)| converted(rest[i])));
        for n in 0..N {
            sums[n] = sums[n] + terms[n];
        }
    }
    // Short arrays have nothing in the lanes: those are not gone through.
    if parts[0].0.is_empty() {
        return sums;
    }
    let mut lanes = [[S::default(); LANES]; N];
    for i in 0..parts[0].0.len() {
        let chunk = parts.map(|(whole, _)| &whole[i]);
        for l in 0..LANES {
            let terms = f(chunk.map(|a| converted(a[l])));
            for n in 0..N {
                lanes[n][l] = lanes[n][l] + terms[n];
            }
        }
    }
    for n in 0..N {
        sums[n] = sums[n] + sum_of_lanes(lanes[n]);
    }
    sums
}

/// Σ f(aᵢ, bᵢ) in double precision. For use within a kernel.
#[inline(always)]
pub(crate) fn sum_of_pairs_here<T: Real>(a: &[T], b: &[T], f: impl Fn(f64, f64) -> f64) -> f64 {
    let [sum] = sums_here(
        [a, b],
        #[inline(always)]
        |[a, b]| [f(a, b)],
    );
    sum
}

/// Σ aᵢ bᵢ in double precision. For use within a kernel.
#[inline(always)]
pub(crate) fn inner_here<T: Real>(a: &[T], b: &[T]) -> f64 {
    sum_of_pairs_here(a, b, |a, b| a * b)
}

/// Σ aᵢ in double precision. For use within a kernel.
#[inline(always)]
pub(crate) fn sum_here<T: Real>(a: &[T]) -> f64 {
    let [sum] = sums_here(
        [a],
        #[inline(always)]
        |[a]| [a],
    );
    sum
}

/// Running sums that a sum is interleaved in.
const LANES: usize = 32;

/// The sum of the lanes, a power of two of them, by halves.
#[inline(always)]
fn sum_of_lanes<S: Copy + Add<Output = S>, const N: usize>(mut lanes: [S; N]) -> S {
    let mut n = N;
    while n > 1 {
        n /= 2;
        for l in 0..n {
            lanes[l] = lanes[l] + lanes[l + n];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As if each number of a row of its lanes were rounded a few times.
    #[test]
    fn sums_in_their_own_precision_lose_a_few_roundings() {
        for n in [0, 1, 31, 32, 33, 64, 200, 1000] {
            let numbers = |step: f32| (0..n).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
            let (a, b) = (numbers(0.7), numbers(1.3));
            let own = sums_of_row_here([&a, &b], |[a, b]| [a * b, a]);
            let double = sums_here([&a, &b], |[a, b]| [a * b, a]);
            let sizes = sums_here([&a, &b], |[a, b]| [(a * b).abs(), a.abs()]);
            // Lanes of n / 32 numbers, five halvings, and those left over.
            let roundings = (n / LANES + n % LANES + 6) as f64;
            for ((own, double), size) in own.iter().zip(double).zip(sizes) {
                assert!(
                    (f64::from(*own) - double).abs() <= roundings * f64::from(f32::EPSILON) * size,
                    "{n}: {own} for {double}"
                );
            }
        }
    }

    #[test]
    fn sums_are_those_of_one_number_after_another() {
        for n in [0, 1, 31, 32, 33, 100] {
            let a: Vec<f64> = (0..n).map(|i| f64::from(i) * 0.5).collect();
            let n = f64::from(n);
            // Halves of whole numbers are summed without rounding.
            assert_eq!(sum_here(&a), n * (n - 1.0) / 4.0);
            assert_eq!(inner_here(&a, &a), (n - 1.0) * n * (2.0 * n - 1.0) / 24.0);
        }
    }
}
