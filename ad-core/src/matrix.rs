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

use crate::gemm::{InnerProducts, fill_symmetric, inner_products};
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

/// Terms of a bilinear form, a row of the matrix an element.
#[derive(Clone, Copy)]
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
    kernel::run(Bilinear { a, c, b }, &mut vec![(); a.len()])
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
        for (n, k) in
            [(0, 3), (1, 3), (5, 7), (16, 4), (33, 2), (33, 800), (20, 2000), (70, 300), (130, 300), (300, 80)]
        {
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
