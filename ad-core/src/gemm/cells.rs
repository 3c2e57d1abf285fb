//! Cells of a result, over each of which something is summed: the same however the result is cut.

use std::sync::atomic::{AtomicU64, Ordering};

use pulp::{Arch, Simd, WithSimd};
use smallvec::{SmallVec, smallvec};

use crate::kernel::fetch;
use crate::sums::RunningSum;

/// Rows and columns of a cell, but for those at the end of a result.
pub(super) const CELL: [usize; 2] = [16, fetch::BLOCK];

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
