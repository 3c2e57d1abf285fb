//! The second factor of a product, which may be a weighted sum of two matrices that is formed where it is multiplied.

use std::ops::Range;

use faer::MatRef;

use super::Matrix;
use crate::buffer::Buffer;
use crate::kernel;
use crate::real::Real;

/// The second factor of a product.
#[derive(Clone, Copy)]
pub(crate) enum Factor<'a, T> {
    /// A matrix as it is.
    Stored(Matrix<'a, T>),
    /// pA + qB of two matrices of the same sizes and layout, given A, B and p, q. Each thread forms some columns before it multiplies by them, so
    /// that they are near, and no array of the size of the whole is written and read again.
    Sum([Matrix<'a, T>; 2], [T; 2]),
}

impl<'a, T: Real> Factor<'a, T> {
    /// A matrix of its sizes and layout.
    pub(super) fn like(self) -> Matrix<'a, T> {
        match self {
            Factor::Stored(matrix) | Factor::Sum([matrix, _], _) => matrix,
        }
    }

    /// What `f` makes of these columns.
    pub(super) fn with_columns<R>(self, columns: Range<usize>, f: impl FnOnce(MatRef<'_, T>) -> R) -> R {
        let ([a, b], weights) = match self {
            Factor::Stored(matrix) => return f(matrix.view().subcols(columns.start, columns.len())),
            Factor::Sum(terms, weights) => (terms, weights),
        };
        let (rows, cols, width) = (a.rows, a.cols, columns.len());
        let mut sum = Buffer::stale(rows * width);
        if a.transposed {
            let stored = columns.start * rows..columns.end * rows;
            kernel::weighted_sum_here(&mut sum, [&a.data[stored.clone()], &b.data[stored]], weights);
        } else {
            for (i, sum) in sum.chunks_exact_mut(width.max(1)).enumerate() {
                let stored = i * cols + columns.start..i * cols + columns.end;
                kernel::weighted_sum_here(sum, [&a.data[stored.clone()], &b.data[stored]], weights);
            }
        }
        f(Matrix::new(&sum, rows, width, a.transposed).view())
    }

    /// What `f` makes of all of it, stored.
    pub(super) fn with_all<R>(self, f: impl FnOnce(Matrix<'_, T>) -> R) -> R {
        match self {
            Factor::Stored(matrix) => f(matrix),
            Factor::Sum([a, b], weights) => {
                let mut sum = Buffer::stale(a.data.len());
                kernel::weighted_sum_here(&mut sum, [a.data, b.data], weights);
                f(a.over(&sum))
            }
        }
    }
}

impl<'a, T> From<Matrix<'a, T>> for Factor<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        Factor::Stored(matrix)
    }
}
