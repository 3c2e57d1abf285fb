//! The factors of a product, which may be formed where they are multiplied: the first by rows, the second by columns.

use std::ops::Range;

use faer::MatRef;

use super::Matrix;
use super::block::rows_of_product;
use super::inner_products::Sums;
use super::symmetric::symmetric_rows;
use crate::buffer::Buffer;
use crate::kernel;
use crate::real::Real;

/// Where the rows of a matrix come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    /// The matrix as it is.
    Stored(Matrix<'a, T>),
    /// The result that a thread has just found some rows of, of these sizes: those rows are near.
    Found([usize; 2]),
}

impl<'a, T: Real> Source<'a, T> {
    /// Rows and columns.
    pub(crate) fn sizes(self) -> [usize; 2] {
        match self {
            Source::Stored(matrix) => [matrix.rows, matrix.cols],
            Source::Found(sizes) => sizes,
        }
    }

    /// The matrix, where it is one as it is.
    pub(crate) fn stored(self) -> Option<Matrix<'a, T>> {
        match self {
            Source::Stored(matrix) => Some(matrix),
            Source::Found(_) => None,
        }
    }

    /// A matrix with the `top`-th row and those after it, and which of its rows that is, given the rows that the thread has found, of which
    /// the `top`-th is the first.
    pub(super) fn rows_from<'b>(self, top: usize, found: &'b [T]) -> (Matrix<'b, T>, usize)
    where
        'a: 'b,
    {
        match self {
            Source::Stored(matrix) => (matrix, top),
            Source::Found([_, cols]) => (Matrix::new(found, found.len() / cols.max(1), cols, false), 0),
        }
    }
}

/// The first factor of a product. Each thread forms the rows that it multiplies, so that no thread waits for others to do so, and they are near.
#[derive(Clone, Copy)]
pub(crate) enum First<'a, T: Real> {
    /// A matrix.
    Rows(Source<'a, T>),
    /// The product of two matrices.
    Product(Source<'a, T>, Matrix<'a, T>),
    /// A symmetric n × n matrix, given the numbers on and below its diagonal over c, n and c.
    Symmetric(&'a Sums<T>, usize, T),
}

impl<'a, T: Real> First<'a, T> {
    /// Rows and columns.
    pub(super) fn sizes(self) -> [usize; 2] {
        match self {
            First::Rows(rows) => rows.sizes(),
            First::Product(a, b) => [a.sizes()[0], b.cols],
            First::Symmetric(_, n, _) => [n, n],
        }
    }

    /// The matrix, where it is one as it is.
    pub(super) fn stored(self) -> Option<Matrix<'a, T>> {
        match self {
            First::Rows(rows) => rows.stored(),
            _ => None,
        }
    }

    /// Whether it is the transpose of what is stored.
    pub(super) fn is_transposed(self) -> bool {
        self.stored().is_some_and(|matrix| matrix.transposed)
    }

    /// Whether it is a matrix that need not be formed, row after row.
    pub(super) fn is_by_rows(self) -> bool {
        matches!(self, First::Rows(_)) && !self.is_transposed()
    }

    /// Multiply-adds that forming all of it takes.
    pub(super) fn work(self) -> usize {
        match self {
            First::Product(a, b) => {
                let [rows, inner] = a.sizes();
                rows * inner * b.cols
            }
            _ => 0,
        }
    }

    /// What `f` makes of these rows, given those that the thread has [found](Source::Found).
    pub(super) fn with_rows<R>(self, rows: Range<usize>, found: &[T], f: impl FnOnce(MatRef<'_, T>) -> R) -> R {
        let [_, cols] = self.sizes();
        let formed = |form: &dyn Fn(&mut [T])| {
            let mut formed = Buffer::stale(rows.len() * cols);
            form(&mut formed);
            formed
        };
        let formed = match self {
            First::Rows(source) => {
                let (matrix, first) = source.rows_from(rows.start, found);
                return f(matrix.view().subrows(first, rows.len()));
            }
            First::Product(a, b) => formed(&|numbers| rows_of_product(numbers, rows.start, found, a, b)),
            First::Symmetric(half, n, c) => formed(&|numbers| symmetric_rows(numbers, rows.start, half, n, c)),
        };
        f(MatRef::from_row_major_slice(&formed, rows.len(), cols))
    }
}

/// The second factor of a product.
#[derive(Clone, Copy)]
pub(crate) enum Second<'a, T> {
    /// A matrix as it is.
    Stored(Matrix<'a, T>),
    /// pA + qB of two matrices of the same sizes and layout, given A, B and p, q. Each thread forms some columns before it multiplies by them, so
    /// that they are near, and no array of the size of the whole is written and read again.
    Sum([Matrix<'a, T>; 2], [T; 2]),
}

impl<'a, T: Real> Second<'a, T> {
    /// A matrix of its sizes and layout.
    pub(super) fn like(self) -> Matrix<'a, T> {
        match self {
            Second::Stored(matrix) | Second::Sum([matrix, _], _) => matrix,
        }
    }

    /// What `f` makes of these columns.
    pub(super) fn with_columns<R>(self, columns: Range<usize>, f: impl FnOnce(MatRef<'_, T>) -> R) -> R {
        match self {
            Second::Stored(matrix) => f(matrix.view().subcols(columns.start, columns.len())),
            Second::Sum(terms, weights) => {
                let width = columns.len();
                let sum = formed(terms, weights, columns);
                f(Matrix::new(&sum, terms[0].rows, width, terms[0].transposed).view())
            }
        }
    }

    /// What `f` makes of all of it.
    pub(super) fn with_all<R>(self, f: impl FnOnce(Matrix<'_, T>) -> R) -> R {
        match self {
            Second::Stored(matrix) => f(matrix),
            Second::Sum(terms, weights) => f(terms[0].over(&formed(terms, weights, 0..terms[0].cols))),
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

impl<'a, T: Real> From<Matrix<'a, T>> for First<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        First::Rows(Source::Stored(matrix))
    }
}

impl<'a, T> From<Matrix<'a, T>> for Second<'a, T> {
    fn from(matrix: Matrix<'a, T>) -> Self {
        Second::Stored(matrix)
    }
}
