//! Results of one or more steps, such as sums of products, that go through all of them block by block.
//!
//! Each block of a result is one thread's from the first step to the last: threads wait for each other once, and no step has to fetch from
//! another core what the step before wrote there.

use std::sync::atomic::{AtomicU64, Ordering};

use faer::{MatMut, MatRef};
use pulp::{Arch, Simd, WithSimd};
use smallvec::{SmallVec, smallvec};

use super::narrow::{self, narrow_into};
use super::{
    BLOCKS, CUT_FROM, Factor, Matrix, NARROWEST, Onto, PACKED, SUMMED, VECTOR, columns, counted, group, group_turned,
    groups, in_step, shares, spaced, together, turned,
};
use crate::kernel::fetch;
use crate::parallel;
use crate::real::Real;
use crate::sums::RunningSum;

/// Rows and columns of a cell, but for those at the end of a result.
const CELL: [usize; 2] = [16, fetch::BLOCK];

/// One step of a result's computation.
pub(crate) enum Step<'a, T> {
    /// A product, and what it does with what the step before left in its place.
    Product(Onto<'a, T>, Matrix<'a, T>, Factor<'a, T>),
    /// A function of the numbers in some neighbouring [cells](CELL), given their first row and column, row by row. Cells are the same however the
    /// result is cut, so that what is summed over one does not depend on the number of threads.
    Cells(&'a CellStep<'a, T>),
}

/// What is done to cells side by side.
pub(crate) type CellStep<'a, T> = dyn Fn([usize; 2], &mut [&mut [T]]) + Sync + 'a;

/// A sum over each cell of a result, and over all, whichever thread finds which.
pub(crate) struct CellSums {
    /// Their bits: numbers that threads share.
    bits: Vec<AtomicU64>,
    across: usize,
}

impl CellSums {
    /// Zero for each cell.
    pub(crate) fn new(rows: usize, cols: usize) -> Self {
        let [down, across] = [rows.div_ceil(CELL[0]), cols.div_ceil(CELL[1])];
        CellSums { bits: (0..down * across).map(|_| AtomicU64::new(0)).collect(), across }
    }

    /// Calls `f` with the row, the first column and the numbers of each row of each of some cells side by side, and with the sum of the cell that it
    /// adds to, given their first row and column. Compiled for the processor's vector instructions if `f` is marked `inline(always)`.
    pub(crate) fn add<T>(
        &self,
        first: [usize; 2],
        cells: &mut [&mut [T]],
        f: impl FnMut([usize; 2], &mut [T], &mut RunningSum),
    ) {
        let across = cells.first().map_or(0, |row| row.len()).div_ceil(CELL[1]);
        let mut sums: SmallVec<[RunningSum; 4]> = smallvec![RunningSum::ZERO; across];
        Arch::new().dispatch(SideBySide { cells, first, sums: &mut sums, f });
        // Their thread alone has these cells, and comes to them once.
        let of_cells = &self.bits[first[0] / CELL[0] * self.across + first[1] / CELL[1]..];
        for (bits, sum) in of_cells.iter().zip(sums) {
            bits.store(sum.total().to_bits(), Ordering::Relaxed);
        }
    }

    /// The sum of all, in the order of the cells.
    pub(crate) fn total(&self) -> f64 {
        self.bits.iter().map(|bits| f64::from_bits(bits.load(Ordering::Relaxed))).sum()
    }
}

/// Cells side by side with the sum of each, and what is done to each row of each. Not a closure, which would be called from what is compiled for
/// the processor's vectors, but not with it.
struct SideBySide<'a, 'b, T, F> {
    cells: &'a mut [&'b mut [T]],
    first: [usize; 2],
    sums: &'a mut [RunningSum],
    f: F,
}

impl<T, F: FnMut([usize; 2], &mut [T], &mut RunningSum)> WithSimd for SideBySide<'_, '_, T, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let SideBySide { cells, first: [top, left], sums, mut f } = self;
        for (row, i) in cells.iter_mut().zip(top..) {
            let numbers = row.chunks_mut(CELL[1]).zip((left..).step_by(CELL[1]));
            for ((numbers, j), sum) in numbers.zip(&mut *sums) {
                f([i, j], numbers, sum);
            }
        }
    }
}

/// A row-major result, and the steps that lead to it.
pub(crate) struct Output<'a, T> {
    numbers: &'a mut [T],
    rows: usize,
    cols: usize,
    steps: &'a [Step<'a, T>],
}

impl<'a, T: Real> Output<'a, T> {
    /// A result of so many rows and columns.
    ///
    /// # Panics
    /// If the sizes of a step or the numbers do not fit.
    #[track_caller]
    pub(crate) fn new(numbers: &'a mut [T], [rows, cols]: [usize; 2], steps: &'a [Step<'a, T>]) -> Self {
        let output = Output { numbers, rows, cols, steps };
        for [a, b] in output.products() {
            let (n, k, m, len) = (a.rows, a.cols, b.cols, output.numbers.len());
            let fit = [n, m, b.rows, len] == [rows, cols, k, n * m];
            assert!(fit, "product {n}×{k} by {}×{m} into {len} numbers", b.rows);
        }
        output
    }

    /// The factors of all products.
    fn products(&self) -> impl Iterator<Item = [Matrix<'a, T>; 2]> + use<'a, T> {
        self.steps.iter().filter_map(|step| match step {
            Step::Product(_, a, b) => Some([*a, b.like()]),
            Step::Cells(_) => None,
        })
    }

    /// Multiply-adds of all products.
    fn work(&self) -> usize {
        self.rows * self.cols * self.products().map(|[a, _]| a.cols).sum::<usize>()
    }

    /// Into how many parts the rows and the columns are cut.
    ///
    /// Columns come first: the second operand is then packed once in all, the first, in the layers' forward products the smaller one, read
    /// once a block. Of a transposed first operand a block of rows reads its own columns only, which is worth more: so the adjoint of a weight
    /// is cut, and the gradient of layers of 32×1024×1024 became 1.15 times as fast on two threads.
    fn cuts(&self, unit: [usize; 2]) -> [usize; 2] {
        let Some([a, b]) = self.products().next() else { return [1, 1] };
        let least = match way(a, b) {
            Way::Narrow => [unit[0], NARROWEST],
            _ => unit.map(|unit| unit.max(NARROWEST)),
        };
        let blocks = most_blocks();
        let parts = |len: usize, least: usize, most: usize| (len / least).clamp(1, most.max(1));
        if a.transposed {
            let down = parts(self.rows, least[0], blocks);
            [down, parts(self.cols, least[1], blocks / down)]
        } else {
            let across = parts(self.cols, least[1], blocks);
            [parts(self.rows, least[0], blocks / across), across]
        }
    }

    /// The blocks that can be computed apart.
    fn blocks(self) -> Vec<Block<'a, T>> {
        let has_cells = self.steps.iter().any(|step| matches!(step, Step::Cells(_)));
        let unit = if has_cells { CELL } else { [4, VECTOR] };
        let [down, across] = self.cuts(unit);
        let Output { numbers: mut rest, rows, cols, steps } = self;
        let mut blocks = Vec::with_capacity(down * across);
        for rows in shares(rows, down, unit[0]) {
            let (band, below) = rest.split_at_mut(rows.len() * cols);
            rest = below;
            let top = rows.start;
            if across == 1 {
                blocks.push(Block { place: Place::Rows(band, cols), first: [top, 0], steps });
                continue;
            }
            let mut band = MatMut::from_row_major_slice_mut(band, rows.len(), cols);
            for cols in shares(cols, across, unit[1]) {
                let (c, right) = band.split_at_col_mut(cols.len());
                band = right;
                blocks.push(Block { place: Place::Columns(c), first: [top, cols.start], steps });
            }
        }
        blocks
    }

    /// All of it as one block.
    fn whole(self) -> Block<'a, T> {
        Block { place: Place::Rows(self.numbers, self.cols), first: [0, 0], steps: self.steps }
    }
}

/// Computes results of independent steps, on all threads together: each thread takes its block of each. The bits of the results do not depend
/// on the number of threads.
pub(crate) fn compute<'a, T: Real, const N: usize>(outputs: [Output<'a, T>; N]) {
    let work: usize = outputs.iter().map(Output::work).sum();
    counted(2 * work as u64);
    // What is empty has no blocks.
    let outputs = outputs.into_iter().filter(|output| !output.numbers.is_empty());
    if work < CUT_FROM || most_blocks() == 1 {
        return outputs.for_each(|output| output.whole().run());
    }
    parallel::for_each(together(outputs.map(Output::blocks)), |blocks| blocks.into_iter().for_each(Block::run));
}

/// How many blocks a result is cut into, if it is large enough: one for each thread where that changes no bits. For `x86_64` with AVX2 or AVX-512,
/// `faer` sums each number of the result over runs of 512 of the inner dimension, in order, whatever the sizes and the block; its products
/// for other processors choose the runs by the sizes.
fn most_blocks() -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
        return parallel::threads();
    }
    BLOCKS
}

/// How a product is computed: by the sizes of all of it, also where it is cut, and by the processor.
#[derive(Clone, Copy)]
enum Way {
    Narrow,
    Turned,
    Spaced,
    Plain,
}

fn way<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Way {
    let sizes = [a.rows, a.cols, b.cols];
    if !a.transposed && b.transposed && narrow::suits::<T>(sizes) {
        Way::Narrow
    } else if b.transposed && turned(sizes) {
        Way::Turned
    } else if in_step(a, b.cols) {
        Way::Spaced
    } else {
        Way::Plain
    }
}

/// Where the numbers of a block are.
enum Place<'a, T> {
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
struct Block<'a, T> {
    place: Place<'a, T>,
    /// Its first row and column.
    first: [usize; 2],
    steps: &'a [Step<'a, T>],
}

impl<T: Real> Block<'_, T> {
    /// All steps, on the current thread.
    fn run(mut self) {
        for step in self.steps {
            match step {
                Step::Product(onto, a, b) => self.product(*onto, *a, *b),
                Step::Cells(f) => self.cells(*f),
            }
        }
    }

    fn product(&mut self, onto: Onto<'_, T>, a: Matrix<'_, T>, b: Factor<'_, T>) {
        let (way, [top, left]) = (way(a, b.like()), self.first);
        if let (Way::Narrow, Place::Rows(c, _)) = (way, &mut self.place) {
            return b.with_all(|b| narrow_into(c, top, onto, a, b));
        }
        let c = self.place.view();
        let (rows, cols) = (c.nrows(), c.ncols());
        let onto = match onto {
            Onto::Row(row) => Onto::Row(&row[left..left + cols]),
            other => other,
        };
        let a = a.view().subrows(top, rows);
        let groups: SmallVec<[_; 8]> = match (way, b) {
            // What is packed then is the first operand, once for all.
            (Way::Turned, Factor::Stored(_)) => smallvec![0..cols],
            (_, Factor::Sum(..)) => groups::<T>(cols, a.ncols(), SUMMED).collect(),
            _ => groups::<T>(cols, a.ncols(), PACKED).collect(),
        };
        let by_groups = |a: MatRef<'_, T>| {
            for (c, onto, cols) in columns(c, onto, groups) {
                b.with_columns(left + cols.start..left + cols.end, |b| match way {
                    Way::Turned => group_turned(c, onto, a, b),
                    _ => group(c, onto, a, b),
                });
            }
        };
        match way {
            Way::Spaced => spaced(a, by_groups),
            _ => by_groups(a),
        }
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

/// The numbers of a row of a result.
fn slice<T>(row: faer::RowMut<'_, T>) -> &mut [T] {
    row.try_as_row_major_mut().expect("results are row-major").as_slice_mut()
}
