//! Products over plain slices, row-major: for formulas that are computed as they stand, without recording anything.
//!
//! They are the products that the engine's own operations are computed by, so they are vectorised for the processor, shared out over the
//! current rayon pool, and counted by [`work::flops`](crate::work::flops).
//!
//! ```
//! use ad_core::matrix::{Matrix, Onto, bilinear, inner, matmul_into};
//! let (x, w, b) = ([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 1.0, 1.0], [0.5, -0.5]);
//! // b + x wᵀ
//! let mut z = [0.0; 4];
//! matmul_into(&mut z, Onto::Row(&b), Matrix::new(&x, 2, 2, false), Matrix::new(&w, 2, 2, false).transpose());
//! assert_eq!(z, [1.5, 2.5, 3.5, 6.5]);
//! assert_eq!(inner(&b, &[2.0, 4.0]), -1.0);
//! assert_eq!(bilinear(&b, &x, &[1.0, 1.0]), 0.5 * 3.0 - 0.5 * 7.0);
//! ```

pub use crate::gemm::{Matrix, Onto, matmul_into};
pub use crate::kernel::inner;

use crate::gemm::{InnerProducts, Sums, inner_products};
use crate::kernel::{self, Kernel};
use crate::real::Real;
use crate::sums::sum_of_pairs_here;

/// square = c a aᵀ, c times the Gram matrix of the rows of an n × k matrix: n × n, of which one half is computed, with n(n + 1)k
/// operations, and copied to the other.
///
/// The bits of the result do not depend on the number of threads.
///
/// ```
/// use ad_core::matrix::{Matrix, gram_into};
/// let mut square = [0.0; 4];
/// gram_into(&mut square, Matrix::new(&[1.0, 2.0, 3.0, 4.0], 2, 2, false), 10.0);
/// assert_eq!(square, [50.0, 110.0, 110.0, 250.0]);
/// ```
///
/// # Panics
/// If `square` does not hold n² numbers.
#[track_caller]
pub fn gram_into<T: Real>(square: &mut [T], a: Matrix<'_, T>, c: T) {
    let n = a.rows();
    assert!(square.len() == n * n, "Gram matrix of {n} rows into {} numbers", square.len());
    let half = inner_products(&[InnerProducts::half(a)]);
    fill_symmetric(square, &half[0], n, c);
}

/// Rows that are filled at once, and columns.
const ABREAST: usize = 16;
/// The work of filling one number, in additions: every other one comes from another line of memory.
const FILLING: usize = 4;

/// The symmetric n × n matrix whose half on and below the diagonal is the sum of these, times `c`.
pub(crate) fn fill_symmetric<T: Real>(square: &mut [T], half: &Sums<T>, n: usize, c: T) {
    kernel::pieces(
        square,
        ABREAST * n,
        FILLING,
        #[inline(always)]
        |piece, rows| {
            fill_rows(rows, piece * ABREAST, half, n, c);
            0.0
        },
    );
}

/// Rows of a symmetric matrix from the `top`-th on: [`ABREAST`], or the last.
#[inline(always)]
fn fill_rows<T: Real>(rows: &mut [T], top: usize, half: &Sums<T>, n: usize, c: T) {
    let bottom = top + rows.len() / n;
    for (slice, half) in half.iter().enumerate() {
        for (row, i) in rows.chunks_exact_mut(n).zip(top..) {
            let numbers = row[..=i].iter_mut().zip(&half[i * n..]);
            match slice {
                0 => numbers.for_each(|(v, &a)| *v = c * a),
                _ => numbers.for_each(|(v, &a)| *v = *v + c * a),
            }
        }
    }
    for (i, j) in (top..bottom).flat_map(|i| (i + 1..bottom).map(move |j| (i, j))) {
        rows[(i - top) * n + j] = rows[(j - top) * n + i];
    }
    // Rows below give columns of these rows.
    for from in (bottom..n).step_by(ABREAST) {
        let mut turned = [[T::default(); ABREAST]; ABREAST];
        for (slice, half) in half.iter().enumerate() {
            for (j, below) in half[from * n..].chunks_exact(n).take(ABREAST).enumerate() {
                let below: &[T; ABREAST] = below[top..].first_chunk().expect("there are rows below whole ones only");
                for l in 0..ABREAST {
                    turned[l][j] = if slice == 0 { c * below[l] } else { turned[l][j] + c * below[l] };
                }
            }
        }
        for (row, turned) in rows.chunks_exact_mut(n).zip(&turned) {
            row[from..].iter_mut().zip(turned).for_each(|(v, &a)| *v = a);
        }
    }
}

/// Terms of a bilinear form, a row of the matrix an element.
struct Bilinear<'a, T> {
    a: &'a [T],
    c: &'a [T],
    b: &'a [T],
}

impl<T: Real> Kernel for Bilinear<'_, T> {
    type Item = ();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [()]) -> f64 {
        let n = self.b.len();
        let mut sum = 0.0;
        for j in from..from + out.len() {
            let a = self.a[j].to_f64();
            sum += sum_of_pairs_here(self.b, &self.c[j * n..][..n], |b, c| a * b * c);
        }
        sum
    }
}

/// Σ_jk a_j b_k c_jk in double precision, all terms formed one by one, for c of a.len() × b.len() numbers.
///
/// The bits of the sum do not depend on the number of threads.
///
/// # Panics
/// If c does not have as many numbers.
#[track_caller]
pub fn bilinear<T: Real>(a: &[T], c: &[T], b: &[T]) -> f64 {
    assert!(c.len() == a.len() * b.len(), "bilinear form of {} by {} in {} numbers", a.len(), b.len(), c.len());
    kernel::run(&Bilinear { a, c, b }, &mut vec![(); a.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bilinear_form_is_two_loops() {
        let numbers = |n: usize, step: f64| (0..n).map(|i| (i as f64 * step).sin()).collect::<Vec<_>>();
        for (rows, columns) in [(0, 3), (1, 1), (3, 31), (5, 32), (40, 100)] {
            let (a, c, b) = (numbers(rows, 0.7), numbers(rows * columns, 1.3), numbers(columns, 2.1));
            let terms = (0..rows).flat_map(|j| (0..columns).map(move |k| (j, k)));
            let want: f64 = terms.map(|(j, k)| a[j] * b[k] * c[j * columns + k]).sum();
            approx::assert_relative_eq!(bilinear(&a, &c, &b), want, max_relative = 1e-12, epsilon = 1e-12);
        }
    }

    #[test]
    fn a_gram_matrix_is_symmetric_and_the_whole_product() {
        for (n, k) in [(0, 3), (1, 3), (5, 7), (16, 4), (33, 2), (70, 300), (130, 300), (300, 80)] {
            let a: Vec<f64> = (0..n * k).map(|i| (i as f64 * 0.7).sin()).collect();
            let rows = Matrix::new(&a, n, k, false);
            let (mut square, mut whole) = (vec![9.0; n * n], vec![0.0; n * n]);
            gram_into(&mut square, rows, 0.5);
            matmul_into(&mut whole, Onto::Nothing, rows, rows.transpose());
            for (i, (found, product)) in square.iter().zip(&whole).enumerate() {
                approx::assert_relative_eq!(*found, 0.5 * product, max_relative = 1e-12, epsilon = 1e-12);
                assert_eq!(*found, square[i % n * n + i / n]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "Gram matrix of 2 rows into 3 numbers")]
    fn a_gram_matrix_of_another_size_is_named() {
        gram_into(&mut [0.0; 3], Matrix::new(&[1.0; 4], 2, 2, false), 1.0);
    }

    #[test]
    #[should_panic(expected = "bilinear form of 2 by 3 in 5 numbers")]
    fn sizes_that_do_not_fit_are_named() {
        bilinear(&[1.0; 2], &[1.0; 5], &[1.0; 3]);
    }
}
