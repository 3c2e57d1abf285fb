//! Results of one or more steps, such as sums of products, that go through all of them block by block.
//!
//! Each block of a result is one thread's from the first step to the last: threads wait for each other once, and no step has to fetch from
//! another core what the step before wrote there. Where whole rows of a result are what [the next ones](Next) begin from, the thread that found
//! them goes on with those.

use std::ops::Range;

use faer::MatMut;
use smallvec::SmallVec;

use super::block::{Block, Place, Way, way};
use super::cells::{CELL, CellStep};
use super::{BLOCKS, CUT_FROM, First, NARROWEST, Onto, Second, Source, VECTOR, counted, shares, together};
use crate::kernel;
use crate::parallel;
use crate::primitive::InPlace;
use crate::real::Real;

/// Numbers of a result that are passed on at once to what they become.
const AT_ONCE: usize = 1 << 12;

/// Multiply-adds of a product in the time in which a number of a sum is formed.
const SUM: usize = 12;

/// One step of a result's computation.
pub(crate) enum Step<'a, T: Real> {
    /// A product, and what it does with what the step before left in its place.
    Product(Onto<'a, T>, First<'a, T>, Second<'a, T>),
    /// pA + qB of two matrices, given A, B and p, q: rows as they are stored. The only step of its result.
    Sum([Source<'a, T>; 2], [T; 2]),
    /// A function of the numbers in some neighbouring [cells](super::cells), given their first row and column, row by row. Cells are the same however the
    /// result is cut, so that what is summed over one does not depend on the number of threads.
    Cells(&'a CellStep<'a, T>),
}

/// A row-major result, and the steps that lead to it.
pub(crate) struct Output<'a, T: Real> {
    numbers: &'a mut [T],
    rows: usize,
    cols: usize,
    steps: &'a [Step<'a, T>],
    /// What the numbers become in the end, in their place.
    then: Option<&'a InPlace<'a, T>>,
    /// Results of as many rows that begin from those of this one.
    next: Vec<Output<'a, T>>,
    /// What the numbers become in their place after those.
    finally: Option<&'a InPlace<'a, T>>,
}

/// Some results.
type Outputs<'a, T> = SmallVec<[Output<'a, T>; 2]>;

/// Results that begin from the rows of a tangent, which are computed with them, by the thread that has just found them; and what becomes of
/// the tangent after that.
///
/// Whoever computes the tangent may take them; where nobody does they are computed later.
pub struct Next<'a, T: Real> {
    outputs: Outputs<'a, T>,
    finally: Option<&'a InPlace<'a, T>>,
}

impl<'a, T: Real> Next<'a, T> {
    /// These results, none of them empty, and what the tangent becomes in its place when they have begun.
    pub(crate) fn new(outputs: Outputs<'a, T>, finally: Option<&'a InPlace<'a, T>>) -> Self {
        Next { outputs, finally }
    }

    /// The results, for whoever computes them.
    pub(crate) fn take(&mut self) -> Outputs<'a, T> {
        std::mem::take(&mut self.outputs)
    }

    /// Computes the results that have not been taken, given all of the tangent, which becomes what it does.
    pub(crate) fn follow(&mut self, tangent: &mut [T]) {
        self.take().iter_mut().for_each(|output| output.whole().run(tangent));
        if let Some(finally) = self.finally {
            finally(0, tangent);
        }
    }

    /// Whether they have been taken.
    pub(crate) fn is_taken(&self) -> bool {
        self.outputs.is_empty()
    }
}

impl<T: Real> std::fmt::Debug for Next<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = self.outputs.iter().map(|output| [output.rows, output.cols]);
        f.debug_list().entries(sizes).finish()
    }
}

impl<'a, T: Real> Output<'a, T> {
    /// A result of so many rows and columns.
    ///
    /// # Panics
    /// If the sizes of a step or the numbers do not fit.
    #[track_caller]
    pub(crate) fn new(numbers: &'a mut [T], [rows, cols]: [usize; 2], steps: &'a [Step<'a, T>]) -> Self {
        let output = Output { numbers, rows, cols, steps, then: None, next: Vec::new(), finally: None };
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

    /// The same, followed by the results that begin from its rows.
    pub(crate) fn followed_by<'n: 'a>(self, next: Option<&mut Next<'n, T>>) -> Self {
        let Some(next) = next else { return self };
        debug_assert!(next.outputs.iter().all(|next| next.rows == self.rows && !next.numbers.is_empty()));
        Output { next: next.take().into_vec(), finally: next.finally, ..self }
    }

    /// The factors of all products.
    fn products(&self) -> impl Iterator<Item = (First<'a, T>, Second<'a, T>)> + use<'a, T> {
        self.steps.iter().filter_map(|step| match step {
            Step::Product(_, a, b) => Some((*a, *b)),
            Step::Sum(..) | Step::Cells(_) => None,
        })
    }

    /// The inner dimensions of all products together.
    fn depth(&self) -> usize {
        self.products().map(|(a, _)| a.sizes()[1]).sum()
    }

    /// Multiply-adds of all products, and of those that are factors of them, here and in what follows.
    fn work(&self) -> usize {
        let factors: usize = self.products().map(|(a, _)| a.work()).sum();
        self.rows * self.cols * self.depth() + factors + self.next.iter().map(Output::work).sum::<usize>()
    }

    /// Multiply-adds that take as long as the sums.
    fn work_of_sums(&self) -> usize {
        let sums = self.steps.iter().filter(|step| matches!(step, Step::Sum(..))).count();
        SUM * sums * self.numbers.len() + self.next.iter().map(Output::work_of_sums).sum::<usize>()
    }

    /// Rows and columns that blocks are of multiples of.
    fn unit(&self) -> [usize; 2] {
        let is_plain = |step: &Step<'_, T>| matches!(step, Step::Product(_, First::Rows(_), _));
        if self.steps.iter().all(is_plain) && self.next.is_empty() { [4, VECTOR] } else { CELL }
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
        let Some((a, b)) = self.products().next() else { return self.by_rows() };
        let least = match way(a, b) {
            Way::Narrow => [unit[0], NARROWEST],
            _ => unit.map(|unit| unit.max(NARROWEST)),
        };
        if self.products().any(|(a, _)| matches!(a, First::Product(..))) {
            return self.by_rows();
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

    /// As [`cuts`](Output::cuts), into whole rows.
    fn by_rows(&self) -> [usize; 2] {
        [parts(self.rows, 2 * CELL[0], most_blocks()), 1]
    }

    /// The blocks that can be computed apart.
    fn blocks(&mut self) -> Vec<Block<'_, T>> {
        let (unit, [down, across]) = (self.unit(), self.cuts());
        let bands: SmallVec<[_; 8]> = shares(self.rows, down, unit[0]).collect();
        if across == 1 {
            return self.bands(&bands, self.steps);
        }
        let Output { numbers: ref mut rest, cols, steps, .. } = *self;
        let mut rest = &mut **rest;
        let mut blocks = Vec::with_capacity(down * across);
        for rows in bands {
            let (band, below) = rest.split_at_mut(rows.len() * cols);
            rest = below;
            let mut band = MatMut::from_row_major_slice_mut(band, rows.len(), cols);
            for cols in shares(cols, across, unit[1]) {
                let (c, right) = band.split_at_col_mut(cols.len());
                band = right;
                let first = [rows.start, cols.start];
                let place = Place::Columns(c);
                blocks.push(Block { place, first, steps, then: None, next: Vec::new(), finally: None, is_near: false });
            }
        }
        blocks
    }

    /// Blocks of whole rows that take these steps, become what they do, and go on with what follows.
    fn bands<'b>(&'b mut self, bands: &[Range<usize>], steps: &'b [Step<'b, T>]) -> Vec<Block<'b, T>> {
        let Output { numbers: ref mut rest, cols, then, ref mut next, finally, .. } = *self;
        let mut next: SmallVec<[_; 2]> =
            next.iter_mut().map(|next| next.bands(bands, next.steps).into_iter()).collect();
        let mut rest = &mut **rest;
        let band = |rows: &Range<usize>| {
            let (band, below) = std::mem::take(&mut rest).split_at_mut(rows.len() * cols);
            rest = below;
            let next = next.iter_mut().filter_map(Iterator::next).collect();
            let (place, first) = (Place::Rows(band, cols), [rows.start, 0]);
            Block { place, first, steps, then, next, finally, is_near: false }
        };
        bands.iter().map(band).collect()
    }

    /// All of it as one block.
    fn whole(&mut self) -> Block<'_, T> {
        let Output { steps, then, finally, .. } = *self;
        let (place, next) = (Place::Rows(self.numbers, self.cols), self.next.iter_mut().map(Output::whole).collect());
        Block { place, first: [0, 0], steps, then, next, finally, is_near: false }
    }

    /// What the numbers become and what follows, where blocks were of parts of rows.
    fn finish(&mut self) {
        if self.cuts()[1] == 1 {
            return;
        }
        if !self.next.is_empty() {
            let down = parts(self.rows, CELL[0], most_blocks());
            let bands: SmallVec<[_; 8]> = shares(self.rows, down, CELL[0]).collect();
            return parallel::for_each(self.bands(&bands, &[]), |block| block.run(&[]));
        }
        if let Some(then) = self.then {
            kernel::pieces(self.numbers, AT_ONCE, 1, |i, numbers| {
                then(i * AT_ONCE, numbers);
                0.0
            });
        }
    }
}

/// Computes results of independent steps, on all threads together: each thread takes its block of each. The bits of the results do not depend
/// on the number of threads.
pub(crate) fn compute<'a, T: Real>(outputs: impl IntoIterator<Item = Output<'a, T>>) {
    // What is empty has no blocks.
    let mut outputs: Outputs<'_, T> = outputs.into_iter().filter(|output| !output.numbers.is_empty()).collect();
    let work: usize = outputs.iter().map(Output::work).sum();
    counted(2 * work as u64);
    let of_sums: usize = outputs.iter().map(Output::work_of_sums).sum();
    if work + of_sums < CUT_FROM || most_blocks() == 1 {
        return outputs.iter_mut().for_each(|output| output.whole().run(&[]));
    }
    match &mut outputs[..] {
        [output] => parallel::for_each(output.blocks(), |block| block.run(&[])),
        outputs => {
            let blocks = together(outputs.iter_mut().map(|output| output.blocks()));
            parallel::for_each(blocks, |blocks| blocks.into_iter().for_each(|block| block.run(&[])));
        }
    }
    outputs.iter_mut().for_each(Output::finish);
}

/// Whether a product is one of inner products of rows: each thread computes some rows of it, of which all columns.
pub(crate) fn is_narrow<T: Real>(a: First<'_, T>, b: Second<'_, T>) -> bool {
    way(a, b) == Way::Narrow
}

/// Into how many parts something is cut, of which each is so long at least.
fn parts(len: usize, least: usize, most: usize) -> usize {
    (len / least).clamp(1, most.max(1))
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
