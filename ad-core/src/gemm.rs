//! The one place where matrix products are computed: a safe wrapper around the `gemm` crate.
//!
//! The choice between one thread and the current rayon pool depends on the sizes only, and threads split rows and
//! columns, never the inner dimension, so a result does not depend on the number of threads.
#![allow(unsafe_code)]

use crate::real::Real;

/// A matrix of `rows × cols` numbers, stored row-major either as itself or as its transpose.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a, T> Matrix<'a, T> {
    /// A view of `data` as a `rows × cols` matrix; if `transposed`, `data` holds its transpose row by row.
    ///
    /// # Panics
    /// If `data` does not hold `rows * cols` numbers.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize, transposed: bool) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix over {} numbers", data.len());
        Matrix { data, rows, cols, transposed }
    }

    /// (column stride, row stride).
    fn strides(&self) -> (isize, isize) {
        if self.transposed { (self.rows as isize, 1) } else { (1, self.cols as isize) }
    }
}

/// Multiply-adds from which a product is shared out over threads; below, handing out the work costs more than it saves.
const PARALLEL_FROM: usize = 1 << 21;

/// c = a b, or c += a b if `accumulate`; c is row-major.
///
/// # Panics
/// If the sizes do not fit.
pub(crate) fn matmul_into<T: Real>(c: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>, accumulate: bool) {
    let (n, k, m) = (a.rows, a.cols, b.cols);
    assert!(b.rows == k && c.len() == n * m, "product {n}×{k} by {}×{m} into {} numbers", b.rows, c.len());
    if c.is_empty() {
        return;
    }
    if k == 0 {
        if !accumulate {
            c.fill(T::default());
        }
        return;
    }
    let threads = rayon::current_num_threads();
    let parallelism = if n * k * m < PARALLEL_FROM || threads == 1 {
        gemm::Parallelism::None
    } else {
        gemm::Parallelism::Rayon(threads)
    };
    let ((a_cs, a_rs), (b_cs, b_rs)) = (a.strides(), b.strides());
    let one = T::from_f64(1.0);
    let alpha = if accumulate { one } else { T::default() };
    // SAFETY: `Matrix::new` and the assertion above make every offset i·rs + j·cs lie inside its slice, c is borrowed
    // exclusively, and T is f32 or f64.
    unsafe {
        gemm::gemm(
            n,
            m,
            k,
            c.as_mut_ptr(),
            1,
            m as isize,
            accumulate,
            a.data.as_ptr(),
            a_cs,
            a_rs,
            b.data.as_ptr(),
            b_cs,
            b_rs,
            alpha,
            one,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, step: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * step).sin()).collect()
    }

    #[test]
    fn every_layout_agrees_with_three_loops() {
        let (n, k, m) = (5, 7, 3);
        let (a, b) = (numbers(n * k, 0.7), numbers(k * m, 1.3));
        for (ta, tb, accumulate) in
            [(false, false, false), (true, false, true), (false, true, false), (true, true, true)]
        {
            let at = |i: usize, l: usize| if ta { a[l * n + i] } else { a[i * k + l] };
            let bt = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * m + j] };
            let mut c = vec![2.0; n * m];
            matmul_into(&mut c, Matrix::new(&a, n, k, ta), Matrix::new(&b, k, m, tb), accumulate);
            for i in 0..n {
                for j in 0..m {
                    let want = (0..k).map(|l| at(i, l) * bt(l, j)).sum::<f64>() + if accumulate { 2.0 } else { 0.0 };
                    approx::assert_relative_eq!(c[i * m + j], want, max_relative = 1e-13, epsilon = 1e-13);
                }
            }
        }
    }

    #[test]
    fn an_empty_inner_dimension_gives_zeros() {
        let mut c = vec![1.0; 6];
        matmul_into(&mut c, Matrix::new(&[], 2, 0, false), Matrix::new(&[], 0, 3, false), false);
        assert_eq!(c, vec![0.0; 6]);
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        for (n, k, m) in [(256, 300, 130), (64, 1024, 512), (1000, 64, 64), (128, 784, 512), (33, 2049, 65)] {
            let (a, b) = (numbers(n * k, 0.7), numbers(k * m, 1.3));
            let product = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let mut c = vec![0.0; n * m];
                pool.install(|| matmul_into(&mut c, Matrix::new(&a, n, k, false), Matrix::new(&b, k, m, true), false));
                c
            };
            let one = product(1);
            for threads in [2, 3, 4] {
                assert!(one == product(threads), "{n}×{k}×{m} on {threads} threads");
            }
        }
    }
}
