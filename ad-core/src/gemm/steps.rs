//! Results of one or more steps, such as sums of products, that go through all of them block by block.
//!
//! Each block of a result is one thread's from the first step to the last: threads wait for each other once, and no step has to fetch from
//! another core what the step before wrote there.

use std::sync::atomic::{AtomicU64, Ordering};

use faer::{MatMut, MatRef};
use pulp::{Arch, Simd, WithSimd};
use smallvec::{SmallVec, smallvec};

use super::narrow::{self, narrow_into};
use super::turned::{group_turned, turned};
use super::{
    BLOCKS, CUT_FROM, First, Matrix, NARROWEST, NEAR, Onto, PACKED, READ_AGAIN, SHALLOWEST, SUMMED, Second, VECTOR,
    columns, counted, group, groups, in_step, near_group, near_groups, shares, spaced, together,
};
use crate::kernel::{self, fetch};
use crate::parallel;
use crate::primitive::InPlace;
use crate::real::Real;
use crate::sums::RunningSum;

/// Rows and columns of a cell, but for those at the end of a result.
const CELL: [usize; 2] = [16, fetch::BLOCK];

/// Numbers of a result that are passed on at once to what they become.
const AT_ONCE: usize = 1 << 12;

/// One step of a result's computation.
pub(crate) enum Step<'a, T: Real> {
    /// A product, and what it does with what the step before left in its place.
    Product(Onto<'a, T>, First<'a, T>, Second<'a, T>),
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
pub(crate) struct Output<'a, T: Real> {
    numbers: &'a mut [T],
    rows: usize,
    cols: usize,
    steps: &'a [Step<'a, T>],
    /// What the numbers become in the end, in their place.
    then: Option<&'a InPlace<'a, T>>,
}

impl<'a, T: Real> Output<'a, T> {
    /// A result of so many rows and columns.
    ///
    /// # Panics
    /// If the sizes of a step or the numbers do not fit.
    #[track_caller]
    pub(crate) fn new(numbers: &'a mut [T], [rows, cols]: [usize; 2], steps: &'a [Step<'a, T>]) -> Self {
        let output = Output { numbers, rows, cols, steps, then: None };
        for (a, b) in output.products() {
            let ([n, k], b, len) = (a.sizes(), b.like(), output.numbers.len());
            let m = b.cols;
            let fit = [n, m, b.rows, len] == [rows, cols, k, n * m];
            assert!(fit, "product {n}×{k} by {}×{m} into {len} numbers", b.rows);
        }
        output
    }

    /// The same, whose numbers become this in their place after all steps: block by block while they are near, if these are of whole rows, else
    /// in a loop of its own, as what reads them next goes by rows.
    pub(crate) fn then(self, then: Option<&'a InPlace<'a, T>>) -> Self {
        Output { then, ..self }
    }

    /// The factors of all products.
    fn products(&self) -> impl Iterator<Item = (First<'a, T>, Second<'a, T>)> + use<'a, T> {
        self.steps.iter().filter_map(|step| match step {
            Step::Product(_, a, b) => Some((*a, *b)),
            Step::Cells(_) => None,
        })
    }

    /// The inner dimensions of all products together.
    fn depth(&self) -> usize {
        self.products().map(|(a, _)| a.sizes()[1]).sum()
    }

    /// Multiply-adds of all products, and of those that are factors of them.
    fn work(&self) -> usize {
        self.rows * self.cols * self.depth() + self.products().map(|(a, _)| a.work()).sum::<usize>()
    }

    /// Rows and columns that blocks are of multiples of.
    fn unit(&self) -> [usize; 2] {
        let is_plain = |step: &Step<'_, T>| matches!(step, Step::Product(_, First::Stored(_), _));
        if self.steps.iter().all(is_plain) { [4, VECTOR] } else { CELL }
    }

    /// Into how many parts the rows and the columns are cut.
    ///
    /// Columns come first: the second operand is then packed once in all, the first, in the layers' forward products the smaller one, read
    /// once a block. Of a transposed first operand a block of rows reads its own columns only, which is worth more: so the adjoint of a weight
    /// is cut, and the gradient of layers of 32×1024×1024 became 1.15 times as fast on two threads.
    ///
    /// A shallow result is mostly written, and threads that write columns of the same rows delay each other, as what a processor fetches ahead
    /// of one's columns are the other's: it is cut down its rows, too. So is one whose first factor is a product, each of whose rows one
    /// thread forms.
    fn cuts(&self) -> [usize; 2] {
        let unit = self.unit();
        let blocks = most_blocks();
        let parts = |len: usize, least: usize, most: usize| (len / least).clamp(1, most.max(1));
        let by_rows = [parts(self.rows, 2 * CELL[0], blocks), 1];
        let Some((a, b)) = self.products().next() else { return by_rows };
        let least = match way(a, b) {
            Way::Narrow => [unit[0], NARROWEST],
            _ => unit.map(|unit| unit.max(NARROWEST)),
        };
        if self.products().any(|(a, _)| matches!(a, First::Product(..))) {
            return by_rows;
        }
        let is_sum = self.products().any(|(_, b)| matches!(b, Second::Sum(..)));
        let is_shallow = self.depth() <= self.rows && !is_sum;
        if is_shallow || a.is_transposed() {
            let down = parts(self.rows, least[0], blocks);
            [down, parts(self.cols, least[1], blocks / down)]
        } else {
            let across = parts(self.cols, least[1], blocks);
            [parts(self.rows, least[0], blocks / across), across]
        }
    }

    /// The blocks that can be computed apart.
    fn blocks(&mut self) -> Vec<Block<'_, T>> {
        let (unit, [down, across]) = (self.unit(), self.cuts());
        let Output { numbers: ref mut rest, rows, cols, steps, then } = *self;
        let mut rest = &mut **rest;
        let mut blocks = Vec::with_capacity(down * across);
        for rows in shares(rows, down, unit[0]) {
            let (band, below) = rest.split_at_mut(rows.len() * cols);
            rest = below;
            let top = rows.start;
            if across == 1 {
                blocks.push(Block { place: Place::Rows(band, cols), first: [top, 0], steps, then, is_near: false });
                continue;
            }
            let mut band = MatMut::from_row_major_slice_mut(band, rows.len(), cols);
            for cols in shares(cols, across, unit[1]) {
                let (c, right) = band.split_at_col_mut(cols.len());
                band = right;
                let first = [top, cols.start];
                blocks.push(Block { place: Place::Columns(c), first, steps, then: None, is_near: false });
            }
        }
        blocks
    }

    /// All of it as one block.
    fn whole(&mut self) -> Block<'_, T> {
        let Output { steps, then, .. } = *self;
        Block { place: Place::Rows(self.numbers, self.cols), first: [0, 0], steps, then, is_near: false }
    }

    /// What the numbers become, where blocks were of parts of rows.
    fn finish(&mut self) {
        if let Some(then) = self.then.filter(|_| self.cuts()[1] > 1) {
            kernel::pieces(self.numbers, AT_ONCE, 1, |i, numbers| {
                then(i * AT_ONCE, numbers);
                0.0
            });
        }
    }
}

/// Computes results of independent steps, on all threads together: each thread takes its block of each. The bits of the results do not depend
/// on the number of threads.
pub(crate) fn compute<T: Real, const N: usize>(mut outputs: [Output<'_, T>; N]) {
    let work: usize = outputs.iter().map(Output::work).sum();
    counted(2 * work as u64);
    // What is empty has no blocks.
    let outputs = outputs.iter_mut().filter(|output| !output.numbers.is_empty());
    if work < CUT_FROM || most_blocks() == 1 {
        return outputs.for_each(|output| output.whole().run());
    }
    let mut outputs: SmallVec<[_; 2]> = outputs.collect();
    match &mut outputs[..] {
        [output] => parallel::for_each(output.blocks(), Block::run),
        outputs => {
            let blocks = together(outputs.iter_mut().map(|output| output.blocks()));
            parallel::for_each(blocks, |blocks| blocks.into_iter().for_each(Block::run));
        }
    }
    outputs.into_iter().for_each(Output::finish);
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

fn way<T: Real>(a: First<'_, T>, b: Second<'_, T>) -> Way {
    let ([n, k], b) = (a.sizes(), b.like());
    let (sizes, stored) = ([n, k, b.cols], a.stored());
    if stored.is_some_and(|a| !a.transposed) && b.transposed && narrow::suits::<T>(sizes) {
        Way::Narrow
    } else if b.transposed && turned(sizes) {
        Way::Turned
    } else if stored.is_some_and(|a| in_step(a, b.cols)) {
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
struct Block<'a, T: Real> {
    place: Place<'a, T>,
    /// Its first row and column.
    first: [usize; 2],
    steps: &'a [Step<'a, T>],
    /// What its numbers become in the end, if they are whole rows.
    then: Option<&'a InPlace<'a, T>>,
    /// Whether it is small and multiplied at once, so that adding to it again and again costs little.
    is_near: bool,
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
        if let (Some(then), Place::Rows(numbers, cols)) = (self.then, &mut self.place) {
            then(self.first[0] * *cols, numbers);
        }
    }

    fn product(&mut self, onto: Onto<'_, T>, a: First<'_, T>, b: Second<'_, T>) {
        let (way, [top, left]) = (way(a, b), self.first);
        if let (Way::Narrow, First::Stored(a), Place::Rows(c, _)) = (way, a, &mut self.place) {
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
        a.with_rows(top..top + rows, |a| match way {
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

/// Rows of a b from the `top`-th on, on the current thread.
pub(super) fn rows_of_product<T: Real>(rows: &mut [T], top: usize, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    let mut block = Block { place: Place::Rows(rows, b.cols), first: [top, 0], steps: &[], then: None, is_near: true };
    block.product(Onto::Nothing, a.into(), b.into());
}

/// The numbers of a row of a result.
pub(super) fn slice<T>(row: faer::RowMut<'_, T>) -> &mut [T] {
    row.try_as_row_major_mut().expect("results are row-major").as_slice_mut()
}
