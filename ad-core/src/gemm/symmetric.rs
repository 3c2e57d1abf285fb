//! Symmetric matrices, given what is on and below their diagonal.

use pulp::{Arch, Simd, WithSimd};

use super::inner_products::Sums;
use crate::kernel;
use crate::kernel::turn::MOST_LANES;
use crate::real::Real;

/// Rows that are filled at once: a multiple of the numbers of any vector.
const ABREAST: usize = 16;
/// The work of filling one number, in additions: many come from another line of memory.
const FILLING: usize = 4;

/// The symmetric n × n matrix whose half on and below the diagonal is the sum of these, times `c`.
pub(crate) fn fill_symmetric<T: Real>(square: &mut [T], half: &Sums<T>, n: usize, c: T) {
    kernel::pieces(square, ABREAST * n, FILLING, |piece, rows| {
        symmetric_rows(rows, piece * ABREAST, half, n, c);
        0.0
    });
}

/// Rows from the `top`-th on, a multiple of 16, of the matrix that [`fill_symmetric`] fills, on the current thread; a number of them that is a
/// multiple of 16, or the last.
pub(super) fn symmetric_rows<T: Real>(rows: &mut [T], top: usize, half: &Sums<T>, n: usize, c: T) {
    Arch::new().dispatch(Filled { rows, top, half, n, c });
}

/// Some rows that are filled.
struct Filled<'a, T: Real> {
    rows: &'a mut [T],
    top: usize,
    half: &'a Sums<T>,
    n: usize,
    c: T,
}

impl<T: Real> WithSimd for Filled<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Filled { rows, top, half, n, c } = self;
        let lanes = T::lanes::<S>();
        let whole = n / lanes * lanes;
        // Rows below give columns of these: whole squares from the diagonal on, and what is left of them.
        for (rows, i) in rows.chunks_mut(lanes * n).zip((top..).step_by(lanes)) {
            for from in (i..whole).step_by(lanes) {
                turn_square(simd, rows, [i, from], half, n, c);
            }
            for j in whole.max(i + 1)..n {
                for (row, i) in rows.chunks_exact_mut(n).zip(i..j) {
                    row[j] = c * half[0][j * n + i];
                    for half in &half[1..] {
                        row[j] = row[j] + c * half[j * n + i];
                    }
                }
            }
        }
        // And then as they are stored.
        for (row, i) in rows.chunks_exact_mut(n).zip(top..) {
            for (slice, half) in half.iter().enumerate() {
                let numbers = row[..=i].iter_mut().zip(&half[i * n..]);
                match slice {
                    0 => numbers.for_each(|(v, &a)| *v = c * a),
                    _ => numbers.for_each(|(v, &a)| *v = *v + c * a),
                }
            }
        }
    }
}

/// The transpose of the square of the half that is in row `from` and column `i`, in the place opposite, in the rows from the `i`-th on.
#[inline(always)]
fn turn_square<T: Real, S: Simd>(simd: S, rows: &mut [T], [i, from]: [usize; 2], half: &Sums<T>, n: usize, c: T) {
    let (lanes, c) = (T::lanes::<S>(), T::all(simd, c));
    let mut square = [c; MOST_LANES];
    for (slice, half) in half.iter().enumerate() {
        for l in 0..lanes {
            let below = T::times(simd, c, T::load::<S>(&half[(from + l) * n + i..]));
            square[l] = if slice == 0 { below } else { T::plus(simd, square[l], below) };
        }
    }
    T::turn(simd, &mut square);
    for l in 0..lanes {
        T::store::<S>(square[l], &mut rows[l * n + from..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Buffer;

    fn is_symmetric<T: Real>(n: usize, slices: usize) {
        let half: Sums<T> = (0..slices)
            .map(|slice| {
                let mut half = Buffer::stale(n * n);
                for (at, number) in half.iter_mut().enumerate() {
                    let (i, j) = (at / n, at % n);
                    *number = T::from_f64(if j > i { f64::NAN } else { (at + slice * 1000) as f64 });
                }
                half
            })
            .collect();
        let mut square = vec![T::from_f64(f64::NAN); n * n];
        fill_symmetric(&mut square, &half, n, T::from_f64(0.5));
        for (at, found) in square.iter().enumerate() {
            let (i, j) = (at / n, at % n);
            let below = i.max(j) * n + i.min(j);
            let want: f64 = (0..slices).map(|slice| 0.5 * (below + slice * 1000) as f64).sum();
            assert_eq!(found.to_f64(), want, "row {i}, column {j} of {n}×{n} in {slices} slices");
        }
    }

    /// Of whole squares and not, with what is above the diagonal of the half never looked at.
    #[test]
    fn what_is_above_the_diagonal_is_what_is_below_it() {
        for (n, slices) in (1..=70).chain([128, 131]).flat_map(|n| [1, 2, 4].map(|slices| (n, slices))) {
            is_symmetric::<f32>(n, slices);
            is_symmetric::<f64>(n, slices);
        }
    }
}
