//! Mean and variance of numbers under the softmax of others, row by row.
//!
//! A row of a few classes fills no vector, and the sum of a vector's lanes takes as long as what the lanes were for. So short rows are turned
//! and worked on side by side, one lane each; in the same order as one after another, with the same bits.

use crate::buffer::Buffer;
use crate::ops::rows::{self, exponentials_here, larger, shift_by_top};
use crate::real::Real;
use crate::sums::{sum_of_pairs_here, sums_here};

/// The numbers of a short row, at most: longer ones are summed in lanes of their own.
const SHORT: usize = 15;
/// Short rows that are worked on side by side.
const ABREAST: usize = 32;
/// Rows that are turned at once: what is written at a time is a vector, and no number goes to memory by itself.
const TURNED: usize = 8;

/// How many rows of this width are worked on at a time.
pub(super) fn rows_at_once(width: usize) -> usize {
    let rows = rows::rows_at_once(width);
    if width <= SHORT { rows.next_multiple_of(ABREAST) } else { rows }
}

/// Σ p v and Σ p (v − Σ p v)² of each row of v, with p the softmax of that row of x, for rows of this width. For use within a kernel.
///
/// The variance does not cancel as Σ p v² − (Σ p v)² would.
#[inline(always)]
pub(super) fn moments_here<T: Real>(found: &mut [[f64; 2]], x: &[T], v: &[T], width: usize) {
    if width <= SHORT {
        let size = ABREAST * width;
        for (found, (x, v)) in found.chunks_mut(ABREAST).zip(x.chunks(size).zip(v.chunks(size))) {
            of_short_rows(found, x, v, width);
        }
    } else {
        let mut powers = Buffer::stale(x.len());
        exponentials_here(&mut powers, x, width);
        for (found, (powers, v)) in found.iter_mut().zip(powers.chunks_exact(width).zip(v.chunks_exact(width))) {
            *found = of_row(powers, v);
        }
    }
}

/// The moments of one row, given the exponentials that p is proportional to.
#[inline(always)]
fn of_row<T: Real>(powers: &[T], v: &[T]) -> [f64; 2] {
    let [sum, first] = sums_here(
        [powers, v],
        #[inline(always)]
        |[e, v]| [e, e * v],
    );
    let inverse = 1.0 / sum;
    let mean = inverse * first;
    let second = sum_of_pairs_here(
        powers,
        v,
        #[inline(always)]
        |e, v| e * (v - mean) * (v - mean),
    );
    [mean, inverse * second]
}

/// The moments of at most [`ABREAST`] rows.
#[inline(always)]
fn of_short_rows<T: Real>(found: &mut [[f64; 2]], x: &[T], v: &[T], width: usize) {
    let [mut powers, mut numbers] = [[[T::default(); ABREAST]; SHORT]; 2];
    let (powers, numbers) = (&mut powers[..width], &mut numbers[..width]);
    turn(powers, x);
    turn(numbers, v);
    let mut top = [T::from_f64(f64::NEG_INFINITY); ABREAST];
    for powers in &*powers {
        for r in 0..ABREAST {
            top[r] = larger(top[r], powers[r]);
        }
    }
    for powers in &mut *powers {
        for r in 0..ABREAST {
            powers[r] = (powers[r] - shift_by_top(top[r])).exp();
        }
    }
    let [mut sum, mut first, mut second] = [[0.0; ABREAST]; 3];
    for (powers, numbers) in powers.iter().zip(&*numbers) {
        for r in 0..ABREAST {
            let (e, v) = (powers[r].to_f64(), numbers[r].to_f64());
            sum[r] += e;
            first[r] += e * v;
        }
    }
    let [mut inverse, mut mean] = [[0.0; ABREAST]; 2];
    for r in 0..ABREAST {
        inverse[r] = 1.0 / sum[r];
        mean[r] = inverse[r] * first[r];
    }
    for (powers, numbers) in powers.iter().zip(&*numbers) {
        for r in 0..ABREAST {
            let (e, v) = (powers[r].to_f64(), numbers[r].to_f64());
            second[r] += e * (v - mean[r]) * (v - mean[r]);
        }
    }
    for (r, found) in found.iter_mut().enumerate() {
        *found = [mean[r], inverse[r] * second[r]];
    }
}

/// The columns of at most [`ABREAST`] rows, as many as there are columns.
///
/// Not by [squares](crate::kernel::turn), whose rows these are shorter than.
#[inline(always)]
fn turn<T: Real>(columns: &mut [[T; ABREAST]], rows: &[T]) {
    let width = columns.len();
    for (block, rows) in rows.chunks(TURNED * width).enumerate() {
        let last = rows.len() / width - 1;
        // In the place of rows that are missing at the end, the last one.
        let mut of = [rows; TURNED];
        for r in 0..TURNED {
            of[r] = &rows[r.min(last) * width..][..width];
        }
        for (c, column) in columns.iter_mut().enumerate() {
            let mut numbers = [T::default(); TURNED];
            for r in 0..TURNED {
                numbers[r] = of[r][c];
            }
            column.as_chunks_mut::<TURNED>().0[block] = numbers;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::pieces_here;

    fn found<T: Real>(x: &[T], v: &[T], width: usize) -> Vec<[f64; 2]> {
        let mut found = vec![[0.0; 2]; x.len() / width];
        let rows = found.len();
        pieces_here(
            &mut found,
            rows,
            #[inline(always)]
            |_, found| moments_here(found, x, v, width),
        );
        found
    }

    fn numbers(n: usize, step: f64, size: f64) -> Vec<f64> {
        (0..n).map(|i| size * (i as f64 * step).sin()).collect()
    }

    /// By the definition.
    fn expected(x: &[f64], v: &[f64]) -> [f64; 2] {
        let sum: f64 = x.iter().map(|x| x.exp()).sum();
        let under = |f: &dyn Fn(f64) -> f64| x.iter().zip(v).map(|(x, v)| x.exp() / sum * f(*v)).sum::<f64>();
        let mean = under(&|v| v);
        [mean, under(&|v| (v - mean) * (v - mean))]
    }

    #[test]
    fn they_are_the_mean_and_the_variance_of_each_row() {
        for (rows, width) in [1, 7, 8, 9, 31, 32, 33, 64, 70].into_iter().flat_map(|n| (1..=18).map(move |w| (n, w))) {
            let (x, v) = (numbers(rows * width, 0.7, 3.0), numbers(rows * width, 1.3, 2.0));
            for ((x, v), found) in x.chunks(width).zip(v.chunks(width)).zip(found(&x, &v, width)) {
                for (found, want) in found.into_iter().zip(expected(x, v)) {
                    approx::assert_relative_eq!(found, want, max_relative = 1e-13, epsilon = 1e-14);
                }
            }
        }
    }

    /// Side by side or one after another, also of single precision and of numbers without a mean.
    #[test]
    fn short_rows_have_the_bits_of_a_row_by_itself() {
        let (rows, width) = (70, 10);
        let mut x: Vec<f32> = numbers(rows * width, 0.7, 30.0).into_iter().map(|x| x as f32).collect();
        x[3 * width..4 * width].fill(f32::NEG_INFINITY);
        x[40 * width + 2] = f32::NEG_INFINITY;
        x[50 * width] = f32::NAN;
        x[69 * width + 5] = 1e30;
        let v: Vec<f32> = numbers(rows * width, 1.3, 1e-20).into_iter().map(|v| v as f32).collect();
        let together = found(&x, &v, width);
        for (row, together) in together.iter().enumerate() {
            let here = row * width..(row + 1) * width;
            let mut alone = [[0.0; 2]];
            pieces_here(
                &mut alone,
                1,
                #[inline(always)]
                |_, alone| {
                    let mut powers = vec![0.0; width];
                    exponentials_here(&mut powers, &x[here.clone()], width);
                    alone[0] = of_row(&powers, &v[here.clone()]);
                },
            );
            assert_eq!(together.map(f64::to_bits), alone[0].map(f64::to_bits), "row {row}");
        }
        assert!(together[3][0].is_nan() && together[50][1].is_nan());
        assert!(together[69][1] == 0.0 && together[0][1] > 0.0);
    }
}
