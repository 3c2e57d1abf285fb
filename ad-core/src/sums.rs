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

/// Numbers that are summed in their own precision: each lane adds up a few tens.
const STRETCH: usize = 1 << 10;

/// N sums Σ f(aᵢ, bᵢ, …) over rows of one length, in their own precision over some numbers at a time, so that the error is that of a few
/// roundings. In half the time of [`sums_here`] in single precision. For use within a kernel.
#[inline(always)]
pub(crate) fn sums_of_row_here<T: Real, const M: usize, const N: usize>(
    rows: [&[T]; M],
    f: impl Fn([T; M]) -> [T; N],
) -> [f64; N] {
    let (n, mut sums) = (rows[0].len(), [0.0; N]);
    for from in (0..n).step_by(STRETCH) {
        let mut stretch = rows;
        for m in 0..M {
            stretch[m] = &rows[m][from..n.min(from + STRETCH)];
        }
        let of_stretch = sums_of(
            stretch,
            #[inline(always)]
            |x| x,
            &f,
        );
        for i in 0..N {
            sums[i] += of_stretch[i].to_f64();
        }
    }
    sums
}

/// N sums Σ f(aᵢ, bᵢ, …) over converted arrays of one length, in interleaved lanes: a single running sum would wait for each addition to finish.
#[inline(always)]
fn sums_of<T: Copy, S: Copy + Default + Add<Output = S>, const M: usize, const N: usize>(
    arrays: [&[T]; M],
    converted: impl Fn(T) -> S,
    f: impl Fn([S; M]) -> [S; N],
) -> [S; N] {
    let whole = arrays.map(|a| a.as_chunks::<LANES>().0);
    let rest = arrays.map(|a| a.as_chunks::<LANES>().1);
    let half = rest.map(|a| a.as_chunks::<{ LANES / 2 }>().0);
    let few = rest.map(|a| a.as_chunks::<{ LANES / 2 }>().1);
    let mut sums = [S::default(); N];
    for i in 0..few[0].len() {
        let terms = f(few.map(|a| converted(a[i])));
        for n in 0..N {
            sums[n] = sums[n] + terms[n];
        }
    }
    // Short arrays have nothing in the lanes: those are not gone through.
    if whole[0].is_empty() && half[0].is_empty() {
        return sums;
    }
    let mut lanes = [[S::default(); LANES]; N];
    for i in 0..whole[0].len() {
        let chunk = whole.map(|a| &a[i]);
        for l in 0..LANES {
            let terms = f(chunk.map(|a| converted(a[l])));
            for n in 0..N {
                lanes[n][l] = lanes[n][l] + terms[n];
            }
        }
    }
    for i in 0..half[0].len() {
        let chunk = half.map(|a| &a[i]);
        for l in 0..LANES / 2 {
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

/// A sum Σ f(aᵢ, bᵢ) in double precision that goes on from array to array, in interleaved lanes. For use within a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunningSum([f64; LANES]);

impl RunningSum {
    /// Zero.
    pub(crate) const ZERO: RunningSum = RunningSum([0.0; LANES]);

    /// Adds Σ f(aᵢ, bᵢ).
    #[inline(always)]
    pub(crate) fn add_pairs<T: Real>(&mut self, a: &[T], b: &[T], f: impl Fn(f64, f64) -> f64) {
        let ((a, few_a), (b, few_b)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        // A copy, which stays in registers.
        let mut lanes = self.0;
        for (a, b) in a.iter().zip(b) {
            for l in 0..LANES {
                lanes[l] += f(a[l].to_f64(), b[l].to_f64());
            }
        }
        for ((lane, a), b) in lanes.iter_mut().zip(few_a).zip(few_b) {
            *lane += f(a.to_f64(), b.to_f64());
        }
        self.0 = lanes;
    }

    /// The sum so far.
    #[inline(always)]
    pub(crate) fn total(self) -> f64 {
        sum_of_lanes(self.0)
    }
}

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

    /// The error is that of some roundings, of however many numbers.
    #[test]
    fn sums_in_their_own_precision_lose_a_few_roundings() {
        for n in [0, 1, 15, 16, 17, 31, 32, 33, 48, 64, 200, 1000, 1024, 1025, 100_000] {
            let numbers = |step: f32| (0..n).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
            let (a, b) = (numbers(0.7), numbers(1.3));
            let own = sums_of_row_here([&a, &b], |[a, b]| [a * b, a]);
            let double = sums_here([&a, &b], |[a, b]| [a * b, a]);
            let sizes = sums_here([&a, &b], |[a, b]| [(a * b).abs(), a.abs()]);
            // Of a product, of lanes of at most 32 numbers, of five halvings, and of fewer numbers left over than lanes.
            let roundings = 70.0;
            for ((own, double), size) in own.into_iter().zip(double).zip(sizes) {
                assert!((own - double).abs() <= roundings * f64::from(f32::EPSILON) * size, "{n}: {own} for {double}");
            }
        }
    }

    #[test]
    fn a_running_sum_is_that_of_all_arrays() {
        for lengths in [vec![], vec![0], vec![31, 1], vec![32, 33, 100], vec![7; 9]] {
            let (mut sum, mut want) = (RunningSum::ZERO, 0.0);
            for n in lengths {
                let a: Vec<f64> = (0..n).map(|i| f64::from(i) * 0.5).collect();
                sum.add_pairs(&a, &a, |a, b| a * b);
                want += a.iter().map(|a| a * a).sum::<f64>();
            }
            // Quarters of whole numbers are summed without rounding.
            assert_eq!(sum.total(), want);
        }
    }

    #[test]
    fn sums_are_those_of_one_number_after_another() {
        for n in [0, 1, 15, 16, 17, 31, 32, 33, 48, 100] {
            let a: Vec<f64> = (0..n).map(|i| f64::from(i) * 0.5).collect();
            let n = f64::from(n);
            // Halves of whole numbers are summed without rounding.
            assert_eq!(sum_here(&a), n * (n - 1.0) / 4.0);
            assert_eq!(inner_here(&a, &a), (n - 1.0) * n * (2.0 * n - 1.0) / 24.0);
        }
    }
}
