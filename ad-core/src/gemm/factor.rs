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
        match self {
            Factor::Stored(matrix) => f(matrix.view().subcols(columns.start, columns.len())),
            Factor::Sum(terms, weights) => {
                let width = columns.len();
                let sum = formed(terms, weights, columns);
                f(Matrix::new(&sum, terms[0].rows, width, terms[0].transposed).view())
            }
        }
    }

    /// What `f` makes of all of it.
    pub(super) fn with_all<R>(self, f: impl FnOnce(Matrix<'_, T>) -> R) -> R {
        match self {
            Factor::Stored(matrix) => f(matrix),
            Factor::Sum(terms, weights) => f(terms[0].over(&formed(terms, weights, 0..terms[0].cols))),
        }
    }
}

/// Columns of a weighted sum, in the layout of what it is of.
fn formed<T: Real>([a, b]: [Matrix<'_, T>; 2], weights: [T; 2], columns: Range<usize>) -> Buffer<T> {
    let (rows, cols, width) = (a.rows, a.cols, columns.len());
    let mut sum = Buffer::stale(rows * width);
    let form = |sum: &mut [T], stored: Range<usize>| {
        kernel::weighted_sum_here(sum, [&a.data[stored.clone()], &b.data[stored]], weights);
    };
    if a.transposed {
        form(&mut sum, columns.start * rows..columns.end * rows);
    } else {
        for (i, sum) in sum.chunks_exact_mut(width.max(1)).enumerate() {
            form(sum, i * cols + columns.start..i * cols + columns.end);
        }
    }
    sum
}

impl<'a, T> From<Matrix<'a, T>> for Factor<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        Factor::Stored(matrix)
    }
}
