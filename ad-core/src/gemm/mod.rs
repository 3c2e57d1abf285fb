//! The one place where matrix products are computed, by `faer` (those with few rows [turned](mod@turned)), those with few columns by [`narrow`], those
//! within attention's heads by [`small`], and counted.
//!
//! A product is cut into blocks of its result, along the inner dimension only where [few long rows](mod@inner_products) are, and blocks are
//! shared out over the current rayon pool: one a thread where `faer` gives the same bits however a product is cut, else a number that depends
//! on the sizes only. So a result does not depend on the number of threads. Where a result takes [several steps](steps), such as a sum of products,
//! each block goes through all of them; a [factor] that is a sum or a product itself is formed where it is multiplied, some columns or rows at
//! a time.

mod block;
mod cells;
mod factor;
mod inner_products;
mod narrow;
mod small;
mod steps;
mod symmetric;
#[cfg(test)]
mod tests;
mod turned;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use pulp::{Arch, Simd, WithSimd};
use smallvec::SmallVec;

use crate::buffer::{Buffer, LINE};
use crate::kernel::turn::Turn;
use crate::parallel::{Apart, SLOTS, slot};
use crate::real::Real;
pub(crate) use cells::CellSums;
pub(crate) use factor::{First, Second, Source};
pub(crate) use inner_products::{InnerProducts, inner_products};
use narrow::Narrow;
use small::Small;
pub(crate) use small::{SmallSizes, Square, UNIT, small_into};
pub use steps::Next;
pub(crate) use steps::{Output, Step, compute, is_narrow};
pub(crate) use symmetric::fill_symmetric;

/// A matrix of `rows × cols` numbers, stored row-major either as itself or as its transpose.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a, T: Real> Matrix<'a, T> {
    /// A view of `data` as a `rows × cols` matrix; if `transposed`, `data` holds its transpose row by row.
    ///
    /// # Panics
    /// If `data` does not hold `rows * cols` numbers.
    #[track_caller]
    pub fn new(data: &'a [T], rows: usize, cols: usize, transposed: bool) -> Self {
        assert_eq!(data.len(), rows * cols, "a {rows}×{cols} matrix over {} numbers", data.len());
        Matrix { data, rows, cols, transposed }
    }

    /// The transpose, over the same numbers.
    pub fn transpose(self) -> Self {
        Matrix { rows: self.cols, cols: self.rows, transposed: !self.transposed, ..self }
    }

    /// Number of rows.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub(crate) fn cols(self) -> usize {
        self.cols
    }

    /// The numbers, in the order of storage.
    pub(crate) fn data(self) -> &'a [T] {
        self.data
    }

    /// Rows and columns as they are stored: of the transpose, if that is.
    pub(crate) fn stored_sizes(self) -> [usize; 2] {
        if self.transposed { [self.cols, self.rows] } else { [self.rows, self.cols] }
    }

    /// A matrix of the same sizes and layout over other numbers.
    ///
    /// # Panics
    /// If there are not as many.
    pub(crate) fn over<'b>(self, data: &'b [T]) -> Matrix<'b, T> {
        Matrix::new(data, self.rows, self.cols, self.transposed)
    }

    fn view(self) -> MatRef<'a, T> {
        match self.transposed {
            false => MatRef::from_row_major_slice(self.data, self.rows, self.cols),
            true => MatRef::from_row_major_slice(self.data, self.cols, self.rows).transpose(),
        }
    }
}

/// What a product does with the numbers that are in its result's place.
#[derive(Clone, Copy, Debug)]
pub enum Onto<'a, T> {
    /// Overwrites them.
    Nothing,
    /// Overwrites them, each row starting from this one.
    Row(&'a [T]),
    /// Adds to them.
    Present,
}

/// Floating-point operations of the matrix products of each thread so far: two a multiply-add.
static FLOPS: [Apart<AtomicU64>; SLOTS] = [const { Apart(AtomicU64::new(0)) }; SLOTS];

/// Floating-point operations of the matrix products computed since the program started, on all threads: 2nkm for an n×k by
/// a k×m matrix, n(n + 1)k for one half of a symmetric n×k by k×n product, and those of whole blocks of 16 within attention's heads.
pub fn flops() -> u64 {
    FLOPS.iter().map(|flops| flops.0.load(Ordering::Relaxed)).sum()
}

/// Counts a product.
pub(crate) fn counted(flops: u64) {
    FLOPS[slot()].0.fetch_add(flops, Ordering::Relaxed);
}

/// Multiply-adds from which a product is cut into blocks at all: below, handing out the work costs more than it saves.
const CUT_FROM: usize = 1 << 18;
/// Columns and rows of the result that a block should have at least, so that its operands are reused enough.
const NARROWEST: usize = 64;
/// Blocks that a product is cut into where `faer` may sum in another order once it is cut.
const BLOCKS: usize = 4;
/// Numbers that a 512-bit vector has at most.
const VECTOR: usize = 16;

/// c = onto + a b, of n × k by k × m; c is row-major. The bits of the result do not depend on the number of threads.
///
/// # Panics
/// If the sizes do not fit.
#[track_caller]
pub fn matmul_into<T: Real>(c: &mut [T], onto: Onto<'_, T>, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    compute([Output::new(c, [a.rows, b.cols], &[Step::Product(onto, a.into(), b.into())])]);
}

/// `0..len` cut into `parts` ranges of about one length, at multiples of `unit`.
fn shares(len: usize, parts: usize, unit: usize) -> impl Iterator<Item = Range<usize>> {
    let cut = move |i: usize| if i == parts { len } else { len * i / parts / unit * unit };
    (0..parts).map(move |i| cut(i)..cut(i + 1))
}

/// The first part of each result, the second of each, and so on: tasks of about one length where the parts of each are.
fn together<I>(parts: impl IntoIterator<Item = impl IntoIterator<Item = I>>) -> Vec<SmallVec<[I; 3]>> {
    let mut tasks: Vec<SmallVec<[I; 3]>> = Vec::new();
    for parts in parts {
        for (i, part) in parts.into_iter().enumerate() {
            if i == tasks.len() {
                tasks.push(SmallVec::new());
            }
            tasks[i].push(part);
        }
    }
    tasks
}

/// A result and what it starts from cut into these groups of columns.
fn columns<'a, T: Real>(
    c: MatMut<'a, T>,
    onto: Onto<'a, T>,
    groups: impl IntoIterator<Item = Range<usize>>,
) -> impl Iterator<Item = (MatMut<'a, T>, Onto<'a, T>, Range<usize>)> {
    groups.into_iter().scan(Some(c), move |rest, cols| {
        let (c, others) = rest.take()?.split_at_col_mut(cols.len());
        *rest = Some(others);
        let onto = match onto {
            Onto::Row(row) => Onto::Row(&row[cols.clone()]),
            other => other,
        };
        Some((c, onto, cols))
    })
}

/// Numbers left free after each row of a copy.
const GAP: usize = 16;

/// Whether the first operand of a product with `m` columns is copied with gaps: `faer` reads a transposed one down its columns, and where
/// these are a power of two apart (or a large part of one) their numbers displace each other from the nearest cache. Measured by the bench
/// `products`: the weight adjoint of 32×1024×1024 became 1.26 times as fast on a thread where that cache is of 32 kB. With few columns the
/// copy costs more than it saves.
fn in_step<T>(a: Matrix<'_, T>, m: usize) -> bool {
    a.transposed && a.rows >= 256 && a.rows.is_multiple_of(64) && m >= 512
}

/// What `f` makes of a copy of a transposed operand with a gap after each row.
fn spaced<T: Real>(a: MatRef<'_, T>, f: impl FnOnce(MatRef<'_, T>)) {
    let (n, k) = (a.nrows(), a.ncols());
    let mut copy = Buffer::stale(k * (n + GAP));
    for (to, from) in copy.chunks_exact_mut(n + GAP).zip(a.col_iter()) {
        let (row, gap) = to.split_at_mut(n);
        match from.try_as_col_major() {
            Some(from) => row.copy_from_slice(from.as_slice()),
            None => row.iter_mut().zip(from.iter()).for_each(|(to, &from)| *to = from),
        }
        gap.fill(T::default());
    }
    f(MatRef::from_row_major_slice_with_stride(&copy, k, n, n + GAP).transpose());
}

/// Bytes of a row of the result that `faer` computes at once with 512-bit vectors: six of them.
const PANEL: usize = 6 * LINE;
/// Numbers of the second operand that are packed at once, at most, so that they stay in the second-level cache.
const PACKED: usize = 1 << 17;
/// The inner dimension over which `faer` packs.
const DEPTH: usize = 512;

/// Numbers of a sum that are formed and packed at once, at most: the two that it is of pass through the cache, too, and the first operand is to
/// stay there.
const SUMMED: usize = PACKED / 4;

/// The inner dimension over which four vectors of columns stay in the nearest cache, of 32 kB or more, while row after row is computed.
const NEAR: usize = 128;
/// The inner dimension from which six vectors of columns do not, so that four at once are faster, up to [`NEAR`].
const SHALLOWEST: usize = 97;
/// Numbers of the first operand of a product by a sum, at most, for it to be computed [near](NEAR): it is read for each group of columns.
const READ_AGAIN: usize = 1 << 17;

/// The groups of columns of a block of `cols` columns and an inner dimension of `k` that are computed one after another: of so many numbers at most
/// as stay near when `packed`, in whole panels.
fn groups<T>(cols: usize, k: usize, packed: usize) -> impl Iterator<Item = Range<usize>> {
    let panel = PANEL / size_of::<T>();
    let most = (packed / k.clamp(1, DEPTH) / panel).max(1) * panel;
    groups_of(cols, most, panel)
}

/// The groups of four vectors of columns of which [`NEAR`] rows stay in the nearest cache.
fn near_groups<T>(cols: usize) -> impl Iterator<Item = Range<usize>> {
    let panel = 4 * LINE / size_of::<T>();
    groups_of(cols, panel, panel)
}

/// Groups of at most so many columns, and at the end such that none ends in one or two vectors: those are computed at a half or four fifths
/// of the speed, three and more at full speed (measured with 128×784 and 512×128 numbers in the first operand).
fn groups_of(cols: usize, most: usize, panel: usize) -> impl Iterator<Item = Range<usize>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let left = cols - from;
        let whole = left.min(most) / panel * panel;
        let narrow = whole > 0 && (1..=panel / 3).contains(&(left - whole));
        let width = match narrow {
            true => whole - panel / 2,
            false => left.min(most),
        };
        from += width;
        (width > 0).then_some(from - width..from)
    })
}

/// One block, on the current thread.
fn block<T: Real>(c: MatMut<'_, T>, onto: Onto<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let groups = groups::<T>(c.ncols(), a.ncols(), PACKED);
    columns(c, onto, groups).for_each(|(c, onto, cols)| group(c, onto, a, b.subcols(cols.start, cols.len())));
}

/// One group of columns. A row that each of the result's starts from is added at the end: written before, it would bring the result's place
/// into the cache while nothing else is done, which the product does beside computing.
fn group<T: Real>(mut c: MatMut<'_, T>, onto: Onto<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let accum = match onto {
        Onto::Nothing | Onto::Row(_) => Accum::Replace,
        Onto::Present => Accum::Add,
    };
    T::product(c.as_mut(), accum, a, b);
    if let Onto::Row(row) = onto {
        Arch::new().dispatch(AddRow { c, row });
    }
}

/// One group of columns, [`NEAR`] of the inner dimension at a time.
fn near_group<T: Real>(mut c: MatMut<'_, T>, mut onto: Onto<'_, T>, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let depth = a.ncols();
    for from in (0..depth.max(1)).step_by(NEAR) {
        let len = NEAR.min(depth - from);
        group(c.as_mut(), std::mem::replace(&mut onto, Onto::Present), a.subcols(from, len), b.subrows(from, len));
    }
}

/// c with a row added to each of its rows.
struct AddRow<'a, T> {
    c: MatMut<'a, T>,
    row: &'a [T],
}

impl<T: Real> WithSimd for AddRow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for c in self.c.row_iter_mut() {
            let c = c.try_as_row_major_mut().expect("results are row-major").as_slice_mut();
            for (c, &r) in c.iter_mut().zip(self.row) {
                *c = *c + r;
            }
        }
    }
}

/// The products of `faer` at one scalar; the engine's scalars are those that have them.
pub trait Product: Narrow + Small + Turn {
    /// c = a b, or c += a b, on the current thread.
    fn product(c: MatMut<'_, Self>, accum: Accum, a: MatRef<'_, Self>, b: MatRef<'_, Self>);
}

macro_rules! product {
    ($($t:ty),*) => {$(
        impl Product for $t {
            fn product(c: MatMut<'_, $t>, accum: Accum, a: MatRef<'_, $t>, b: MatRef<'_, $t>) {
                matmul(c, accum, a, b, 1.0, Par::Seq);
            }
        }
    )*};
}
product!(f32, f64);
