//! Sums of columns.

use super::{CHUNK, Kernel, in_chunks};
use crate::real::Real;

/// The sums of f over the columns of matrices stored by rows.
#[derive(Clone, Copy)]
struct Columns<'a, T, F, const M: usize> {
    matrices: [&'a [T]; M],
    rows: usize,
    width: usize,
    f: F,
}

/// Columns summed at a time: their sums stay in registers.
const ABREAST: usize = 32;

impl<T: Real, F: Fn([T; M]) -> T + Copy + Sync, const M: usize> Kernel for Columns<'_, T, F, M> {
    type Item = T;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (whole, last) = out.as_chunks_mut::<ABREAST>();
        let from_last = from + whole.len() * ABREAST;
        for (i, out) in whole.iter_mut().enumerate() {
            let at = from + i * ABREAST;
            let mut sums = [0.0; ABREAST];
            for row in 0..self.rows {
                let row: [&[T; ABREAST]; M] = self.matrices.map(
                    #[inline(always)]
                    |all| all[row * self.width + at..][..ABREAST].try_into().expect("as many as asked for"),
                );
                for l in 0..ABREAST {
                    let term = (self.f)(row.map(
                        #[inline(always)]
                        |row| row[l],
                    ));
                    sums[l] += term.to_f64();
                }
            }
            for l in 0..ABREAST {
                out[l] = T::from_f64(sums[l]);
            }
        }
        for (i, out) in last.iter_mut().enumerate() {
            let numbers = |row: usize| self.matrices.map(|all| all[row * self.width + from_last + i]);
            *out = T::from_f64((0..self.rows).map(|row| (self.f)(numbers(row)).to_f64()).sum());
        }
        0.0
    }
}

/// The sums of the columns of a matrix stored by rows, in double precision, from the first row to the last.
pub(crate) fn column_sums<T: Real>(out: &mut [T], data: &[T]) {
    column_sums_of(
        out,
        [data],
        #[inline(always)]
        |[x]| x,
    );
}

/// For each column of matrices of one size stored by rows, Σ f(aᵢ, bᵢ, …), from the first row to the last: terms in their own precision, summed in
/// double precision.
pub(crate) fn column_sums_of<T: Real, const M: usize>(
    out: &mut [T],
    matrices: [&[T]; M],
    f: impl Fn([T; M]) -> T + Copy + Sync,
) {
    let width = out.len();
    let rows = matrices[0].len() / width.max(1);
    let chunk = (CHUNK / (M * rows * ABREAST).max(1)).max(1) * ABREAST;
    in_chunks(Columns { matrices, rows, width, f }, out, chunk, M * rows);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tests::numbers;

    #[test]
    fn columns_are_summed_at_any_width() {
        for (rows, width) in [(3, 1), (4, 31), (5, 32), (2, 33), (7, 100), (3, CHUNK + 33), (300, 130)] {
            let (a, b) = (numbers(rows * width, 0.9), numbers(rows * width, 1.7));
            let (mut sums, mut products) = (vec![0.0; width], vec![0.0; width]);
            column_sums(&mut sums, &a);
            column_sums_of(&mut products, [&a, &b], |[a, b]| a * b);
            for j in 0..width {
                let column = |of: &[f32]| of.iter().skip(j).step_by(width).copied().collect::<Vec<_>>();
                let (a, b) = (column(&a), column(&b));
                let sum = |terms: Vec<f32>| terms.into_iter().map(f64::from).sum::<f64>() as f32;
                assert_eq!(sums[j], sum(a.clone()), "{rows}×{width}, column {j}");
                let want = sum(a.iter().zip(&b).map(|(a, b)| a * b).collect());
                assert_eq!(products[j], want, "{rows}×{width}, column {j}");
            }
        }
    }
}
