//! Blocks of a result: what one thread computes, from the first step to the last.

use faer::{MatMut, MatRef};
use smallvec::{SmallVec, smallvec};

use super::cells::{CELL, CellStep};
use super::narrow::{self, narrow_into};
use super::steps::Step;
use super::turned::{group_turned, turned};
use super::{
    First, Matrix, NEAR, Onto, PACKED, READ_AGAIN, SHALLOWEST, SUMMED, Second, Source, columns, group, groups, in_step,
    near_group, near_groups, spaced,
};
use crate::kernel;
use crate::primitive::InPlace;
use crate::real::Real;

/// How a product is computed: by the sizes of all of it, also where it is cut, and by the processor.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    Narrow,
    Turned,
    Spaced,
    Plain,
}

pub(super) fn way<T: Real>(a: First<'_, T>, b: Second<'_, T>) -> Way {
    let ([n, k], b) = (a.sizes(), b.like());
    let sizes = [n, k, b.cols];
    if a.is_by_rows() && b.transposed && narrow::suits::<T>(sizes) {
        Way::Narrow
    } else if b.transposed && turned(sizes) {
        Way::Turned
    } else if a.stored().is_some_and(|a| in_step(a, b.cols)) {
        Way::Spaced
    } else {
        Way::Plain
    }
}

/// Where the numbers of a block are.
pub(super) enum Place<'a, T> {
    /// Whole rows of so many columns.
    Rows(&'a mut [T], usize),
    /// Some columns of some rows.
    Columns(MatMut<'a, T>),
}

impl<T> Place<'_, T> {
    fn view(&mut self) -> MatMut<'_, T> {
        match self {
            Place::Rows(numbers, cols) => {
                let rows = numbers.len() / *cols;
                MatMut::from_row_major_slice_mut(numbers, rows, *cols)
            }
            Place::Columns(c) => c.as_mut(),
        }
    }
}

/// A block of a result.
pub(super) struct Block<'a, T: Real> {
    pub(super) place: Place<'a, T>,
    /// Its first row and column.
    pub(super) first: [usize; 2],
    pub(super) steps: &'a [Step<'a, T>],
    /// What its numbers become in the end, if they are whole rows.
    pub(super) then: Option<&'a InPlace<'a, T>>,
    /// The blocks of what follows, of the same rows.
    pub(super) next: Vec<Block<'a, T>>,
    /// What its numbers become after those.
    pub(super) finally: Option<&'a InPlace<'a, T>>,
    /// Whether it is small and multiplied at once, so that adding to it again and again costs little.
    pub(super) is_near: bool,
}

impl<T: Real> Block<'_, T> {
    /// All steps, and those of what follows, on the current thread, given the rows of the result before that the thread has found.
    pub(super) fn run(mut self, found: &[T]) {
        for step in self.steps {
            match step {
                Step::Product(onto, a, b) => self.product(*onto, found, *a, *b),
                Step::Sum(terms, weights) => self.sum(found, *terms, *weights),
                Step::Cells(f) => self.cells(*f),
            }
        }
        if let Place::Rows(numbers, cols) = self.place {
            let from = self.first[0] * cols;
            if let Some(then) = self.then {
                then(from, numbers);
            }
            self.next.into_iter().for_each(|next| next.run(numbers));
            if let Some(finally) = self.finally {
                finally(from, numbers);
            }
        }
    }

    fn sum(&mut self, found: &[T], terms: [Source<'_, T>; 2], weights: [T; 2]) {
        let Place::Rows(numbers, cols) = &mut self.place else { panic!("a sum of columns of two matrices") };
        let terms = terms.map(|term| {
            let (matrix, first) = term.rows_from(self.first[0], found);
            &matrix.data[first * *cols..][..numbers.len()]
        });
        kernel::weighted_sum_here(numbers, terms, weights);
    }

    fn product(&mut self, onto: Onto<'_, T>, found: &[T], a: First<'_, T>, b: Second<'_, T>) {
        let (way, [top, left]) = (way(a, b), self.first);
        if let (Way::Narrow, First::Rows(rows), Place::Rows(c, _)) = (way, a, &mut self.place) {
            let (a, top) = rows.rows_from(top, found);
            return b.with_all(|b| narrow_into(c, top, onto, a, b));
        }
        let [height, depth] = a.sizes();
        let is_sum = matches!(b, Second::Sum(..));
        let is_shallow = matches!(way, Way::Plain) && (SHALLOWEST..=NEAR).contains(&depth) && !a.is_transposed();
        let is_near = self.is_near || is_shallow || is_sum && height * depth <= READ_AGAIN;
        let c = self.place.view();
        let (rows, cols) = (c.nrows(), c.ncols());
        let onto = match onto {
            Onto::Row(row) => Onto::Row(&row[left..left + cols]),
            other => other,
        };
        let groups: SmallVec<[_; 8]> = match way {
            // What is packed then is the first operand, once for all.
            Way::Turned if !is_sum => smallvec![0..cols],
            _ if is_near => near_groups::<T>(cols).collect(),
            _ => groups::<T>(cols, depth, if is_sum { SUMMED } else { PACKED }).collect(),
        };
        let by_groups = |a: MatRef<'_, T>| {
            for (c, onto, cols) in columns(c, onto, groups) {
                b.with_columns(left + cols.start..left + cols.end, |b| match way {
                    Way::Turned => group_turned(c, onto, a, b),
                    _ if is_near => near_group(c, onto, a, b),
                    _ => group(c, onto, a, b),
                });
            }
        };
        a.with_rows(top..top + rows, found, |a| match way {
            Way::Spaced => spaced(a, by_groups),
            _ => by_groups(a),
        });
    }

    fn cells(&mut self, f: &CellStep<'_, T>) {
        let [top, left] = self.first;
        let mut c = self.place.view();
        let (rows, cols) = (c.nrows(), c.ncols());
        for i in (0..rows).step_by(CELL[0]) {
            let band = c.as_mut().submatrix_mut(i, 0, CELL[0].min(rows - i), cols);
            let mut numbers: SmallVec<[&mut [T]; CELL[0]]> = band.row_iter_mut().map(slice).collect();
            f([top + i, left], &mut numbers);
        }
    }
}

/// Rows of a b from the `top`-th on, on the current thread, given those of the first that it has [found](Source::Found).
pub(super) fn rows_of_product<T: Real>(rows: &mut [T], top: usize, found: &[T], a: Source<'_, T>, b: Matrix<'_, T>) {
    let place = Place::Rows(rows, b.cols);
    let first = [top, 0];
    let mut block = Block { place, first, steps: &[], then: None, next: Vec::new(), finally: None, is_near: true };
    block.product(Onto::Nothing, found, First::Rows(a), b.into());
}

/// The numbers of a row of a result.
pub(super) fn slice<T>(row: faer::RowMut<'_, T>) -> &mut [T] {
    row.try_as_row_major_mut().expect("results are row-major").as_slice_mut()
}
