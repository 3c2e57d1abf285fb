//! Products that are computed as their transpose, which is then turned.

use faer::{Accum, MatMut, MatRef};
use pulp::{Arch, Simd, WithSimd};

use super::block::slice;
use super::{Matrix, Onto};
use crate::buffer::Buffer;
use crate::kernel::turn::MOST_LANES;
use crate::real::Real;

/// Whether a product whose second operand is stored by columns is computed so: `faer` vectorises along the
/// columns of a row-major result and packs the second operand, so where the first is much smaller, it is faster the other way round. By the
/// sizes alone; measured by the bench `products`.
pub(super) fn turned([n, k, m]: [usize; 3]) -> bool {
    (24..=48).contains(&n) && m >= 256 && k >= 256
}

/// Some columns of a result by their transpose, on the current thread.
pub(super) fn group_turned<T: Real>(c: MatMut<'_, T>, onto: Onto<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let (n, m) = (c.nrows(), c.ncols());
    let mut transpose = Buffer::stale(n * m);
    T::product(MatMut::from_row_major_slice_mut(&mut transpose, m, n), Accum::Replace, b.transpose(), a.transpose());
    let rows = c.row_iter_mut().map(slice).collect();
    Arch::new().dispatch(Turned { rows, onto, transpose: Matrix::new(&transpose, m, n, false) });
}

/// Rows of a result, what they start from, and what is turned and added to that.
struct Turned<'a, T> {
    rows: Vec<&'a mut [T]>,
    onto: Onto<'a, T>,
    transpose: Matrix<'a, T>,
}

impl<T: Real> WithSimd for Turned<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Turned { mut rows, onto, transpose: Matrix { data, rows: m, cols: n, .. } } = self;
        let lanes = T::lanes::<S>();
        let [whole_n, whole_m] = [n, m].map(|size| size / lanes * lanes);
        for j in (0..whole_m).step_by(lanes) {
            for i in (0..whole_n).step_by(lanes) {
                let mut square = [T::all(simd, T::default()); MOST_LANES];
                for l in 0..lanes {
                    square[l] = T::load::<S>(&data[(j + l) * n + i..]);
                }
                T::turn(simd, &mut square);
                for l in 0..lanes {
                    let c = &mut rows[i + l][j..];
                    let numbers = match onto {
                        Onto::Nothing => square[l],
                        Onto::Present => T::plus(simd, T::load::<S>(c), square[l]),
                        Onto::Row(row) => T::plus(simd, T::load::<S>(&row[j..]), square[l]),
                    };
                    T::store::<S>(numbers, c);
                }
            }
        }
        // What is no whole square: columns at the end of the first rows, and rows at the end.
        for (i, row) in rows.iter_mut().enumerate() {
            for j in if i < whole_n { whole_m } else { 0 }..m {
                let number = data[j * n + i];
                row[j] = match onto {
                    Onto::Nothing => number,
                    Onto::Present => row[j] + number,
                    Onto::Row(row) => row[j] + number,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_the_product<T: Real>([n, k, m]: [usize; 3]) {
        // Whole numbers, whose products are summed without rounding in any order.
        let numbers = |len: usize, step: usize| -> Vec<T> {
            (0..len).map(|i| T::from_f64((i * step % 13) as f64 - 6.0)).collect()
        };
        let (a, b, row) = (numbers(n * k, 7), numbers(k * m, 5), numbers(m, 3));
        let (a, b) = (Matrix::new(&a, n, k, false), Matrix::new(&b, k, m, true));
        let mut product = vec![T::default(); n * m];
        T::product(MatMut::from_row_major_slice_mut(&mut product, n, m), Accum::Replace, a.view(), b.view());
        for onto in [Onto::Nothing, Onto::Row(&row), Onto::Present] {
            // Columns 1.. of a wider result, so that rows are apart.
            let mut wide = vec![T::from_f64(2.0); n * (m + 1)];
            let c = MatMut::from_row_major_slice_mut(&mut wide, n, m + 1).subcols_mut(1, m);
            group_turned(c, onto, a.view(), b.view());
            for (i, (wide, product)) in wide.chunks(m + 1).zip(product.chunks(m)).enumerate() {
                assert_eq!(wide[0].to_f64(), 2.0, "what is beside the columns");
                for (j, (found, product)) in wide[1..].iter().zip(product).enumerate() {
                    let start = match onto {
                        Onto::Nothing => 0.0,
                        Onto::Row(row) => row[j].to_f64(),
                        Onto::Present => 2.0,
                    };
                    assert_eq!(found.to_f64(), product.to_f64() + start, "row {i}, column {j} of {n}×{k}×{m}");
                }
            }
        }
    }

    #[test]
    fn they_are_the_products_onto_what_they_start_from() {
        for sizes in [[32, 20, 64], [24, 9, 31], [33, 5, 50], [48, 7, 16], [7, 3, 5], [16, 1, 15], [1, 2, 1]] {
            is_the_product::<f32>(sizes);
            is_the_product::<f64>(sizes);
        }
    }
}
