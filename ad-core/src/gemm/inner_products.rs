//! The inner products of rows with rows, a bᵀ, where the result is small beside what it is of, and half of them where they are symmetric.
//!
//! A result of few rows is too small to be cut into blocks. Instead long rows are cut into slices, whose inner products are computed apart, and then
//! added up. How many depends on the sizes alone, so that the bits do not depend on the number of threads.

use std::ops::Range;

use faer::{MatMut, MatRef};
use smallvec::SmallVec;

use super::narrow::{half_into, suits_half};
use super::{BLOCKS, CUT_FROM, Matrix, NARROWEST, Onto, VECTOR, block, columns, counted, shares, together};
use crate::buffer::Buffer;
use crate::parallel;
use crate::real::Real;

/// Numbers that a slice of a row has at least.
const SLICE: usize = 384;
/// Slices at most: the sums of each take memory of the size of the result.
const SLICES: usize = 4;

/// Rows of a whole number of tiles, whichever the processor has.
const TILES: usize = 10;

/// The inner products of the rows of an n × k matrix with those of an m × k matrix.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InnerProducts<'a, T> {
    a: Matrix<'a, T>,
    b: Matrix<'a, T>,
    /// Whether `b` is `a`, so that those on and below the diagonal suffice.
    half: bool,
}

impl<'a, T: Real> InnerProducts<'a, T> {
    /// a bᵀ.
    ///
    /// # Panics
    /// If their rows are not of one length.
    #[track_caller]
    pub(crate) fn whole(a: Matrix<'a, T>, b: Matrix<'a, T>) -> Self {
        let ((n, k), (m, l)) = ((a.rows(), a.cols()), (b.rows(), b.cols()));
        assert!(k == l, "inner products of the rows of {n}×{k} and {m}×{l}");
        InnerProducts { a, b, half: false }
    }

    /// The half of a aᵀ on and below the diagonal.
    pub(crate) fn half(a: Matrix<'a, T>) -> Self {
        InnerProducts { a, b: a, half: true }
    }

    /// Floating-point operations: 2nmk, or n(n + 1)k for half of them.
    fn flops(&self) -> u64 {
        let [n, k, m] = [self.a.rows(), self.a.cols(), self.b.rows()];
        if self.half { (n * (n + 1) * k) as u64 } else { 2 * (n * k * m) as u64 }
    }

    /// The slices of the rows, where there are too few to be cut into blocks or strips.
    fn slices(&self) -> impl Iterator<Item = Range<usize>> {
        let k = self.a.cols();
        let few = self.a.rows().max(self.b.rows()) < NARROWEST;
        // A power of two, for threads are mostly as many.
        let slices = if few { 1 << (k / SLICE).clamp(1, SLICES).ilog2() } else { 1 };
        (0..slices).map(move |i| k * i / slices..k * (i + 1) / slices)
    }
}

/// n × m numbers for each slice of the rows, which add up to the inner products; what is above the diagonal of a half is unspecified.
pub(crate) type Sums<T> = Vec<Buffer<T>>;

/// Several arrays of inner products, on all threads together.
pub(crate) fn inner_products<T: Real>(of: &[InnerProducts<'_, T>]) -> Vec<Sums<T>> {
    let size = |of: &InnerProducts<'_, T>| of.a.rows() * of.b.rows();
    let mut found: Vec<Sums<T>> = of.iter().map(|of| of.slices().map(|_| Buffer::stale(size(of))).collect()).collect();
    let parts = of.iter().zip(&mut found).map(|(of, found)| {
        of.slices().zip(found).flat_map(|(slice, c)| match of.half && suits_half(of.a) {
            true => in_rows(of.a, slice, c),
            false => in_strips(of, slice, c),
        })
    });
    let tasks = together(parts);
    let flops = of.iter().map(InnerProducts::flops).sum();
    counted(flops);
    let run = |parts: SmallVec<[Task<'_, T>; 3]>| parts.into_iter().for_each(run);
    if flops < 2 * CUT_FROM as u64 {
        tasks.into_iter().for_each(run)
    } else {
        parallel::for_each(tasks, run)
    }
    found
}

/// What one thread computes at a time.
enum Task<'a, T> {
    /// Rows of half of the inner products of these parts of rows, from this one on.
    Half(&'a mut [T], usize, Matrix<'a, T>, Range<usize>),
    /// Some columns of a result, from these parts of the operands.
    Strip(MatMut<'a, T>, MatRef<'a, T>, MatRef<'a, T>),
}

fn run<T: Real>(task: Task<'_, T>) {
    match task {
        Task::Half(c, top, a, part) => half_into(c, top, a, part),
        Task::Strip(c, a, b) => block(c, Onto::Nothing, a, b),
    }
}

/// One slice of half of the inner products of rows, by rows: of few rows at once, else in parts of about equal work, one a thread.
fn in_rows<'a, T: Real>(a: Matrix<'a, T>, slice: Range<usize>, c: &'a mut [T]) -> Vec<Task<'a, T>> {
    let n = a.rows();
    let parts = if n < NARROWEST { 1 } else { parallel::threads() };
    // The share s of all work is in the share √s of the rows; of whole tiles.
    let cut = |part: usize| match part == parts {
        true => n,
        false => ((part as f64 / parts as f64).sqrt() * n as f64 / TILES as f64).round() as usize * TILES,
    };
    let mut rest = c;
    let mut tasks = Vec::with_capacity(parts);
    for rows in (0..parts).map(|part| cut(part)..cut(part + 1)).filter(|rows| !rows.is_empty()) {
        let (c, below) = std::mem::take(&mut rest).split_at_mut(rows.len() * n);
        rest = below;
        tasks.push(Task::Half(c, rows.start, a, slice.clone()));
    }
    tasks
}

/// One slice of all inner products, by groups of columns; half of them strip by strip of columns, each from the diagonal down, so that little
/// is computed above it.
fn in_strips<'a, T: Real>(of: &InnerProducts<'a, T>, slice: Range<usize>, c: &'a mut [T]) -> Vec<Task<'a, T>> {
    let (n, m) = (of.a.rows(), of.b.rows());
    if n * m == 0 {
        return Vec::new();
    }
    let part = |of: Matrix<'a, T>| of.view().subcols(slice.start, slice.len());
    let (a, b, mut rest) = (part(of.a), part(of.b).transpose(), MatMut::from_row_major_slice_mut(c, n, m));
    if !of.half {
        let groups = shares(m, (m / NARROWEST).clamp(1, BLOCKS), VECTOR);
        return columns(rest, Onto::Nothing, groups)
            .map(|(c, _, cols)| Task::Strip(c, a, b.subcols(cols.start, cols.len())))
            .collect();
    }
    let mut strips = Vec::new();
    let mut from = 0;
    for width in strips_of_half(n) {
        let (c, right) = rest.split_at_col_mut(width);
        rest = right.split_at_row_mut(width).1;
        strips.push(Task::Strip(c, a.subrows(from, n - from), b.subcols(from, width)));
        from += width;
    }
    strips
}

/// Widths of the strips of columns of one half of an n × n result, each from the diagonal down: one of few rows, two of about
/// one area of more, else narrow ones, which compute little above the diagonal.
fn strips_of_half(n: usize) -> impl Iterator<Item = usize> {
    let (first, others) = match n {
        ..NARROWEST => (n, n),
        _ if n < 4 * NARROWEST => ((n * 3 / 8).next_multiple_of(VECTOR), n),
        _ => (NARROWEST, NARROWEST),
    };
    let mut left = n;
    std::iter::from_fn(move || {
        let width = if left == n { first } else { others };
        let width = if left < width + VECTOR { left } else { width };
        left -= width;
        (width > 0).then_some(width)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::gemm::matmul_into;

    fn numbers(n: usize, step: f64) -> Vec<f64> {
        (0..n).map(|i| (i as f64 * step).sin()).collect()
    }

    /// The sums of all slices.
    fn total(sums: &Sums<f64>) -> Vec<f64> {
        (0..sums[0].len()).map(|i| sums.iter().map(|slice| slice[i]).sum()).collect()
    }

    /// Rows that are cut and that are not, and results that are.
    const SIZES: [[usize; 3]; 10] = [
        [1, 3, 2],
        [5, 7, 4],
        [32, 1024, 32],
        [33, 800, 63],
        [70, 300, 33],
        [128, 784, 128],
        [130, 1600, 64],
        [300, 800, 20],
        [0, 5, 3],
        [4, 0, 4],
    ];

    #[test]
    fn they_are_the_product_with_the_transpose() {
        for [n, k, m] in SIZES {
            for transposed in [false, true] {
                let (a, b) = (numbers(n * k, 0.7), numbers(m * k, 1.3));
                let (a, b) = (Matrix::new(&a, n, k, transposed), Matrix::new(&b, m, k, false));
                let found = inner_products(&[InnerProducts::whole(a, b), InnerProducts::half(a)]);
                let (mut whole, mut square) = (vec![0.0; n * m], vec![0.0; n * n]);
                matmul_into(&mut whole, Onto::Nothing, a, b.transpose());
                matmul_into(&mut square, Onto::Nothing, a, a.transpose());
                for (found, want) in total(&found[0]).iter().zip(&whole) {
                    approx::assert_relative_eq!(found, want, max_relative = 1e-12, epsilon = 1e-12);
                }
                let half = total(&found[1]);
                for (i, j) in (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                    approx::assert_relative_eq!(
                        half[i * n + j],
                        square[i * n + j],
                        max_relative = 1e-12,
                        epsilon = 1e-12
                    );
                }
            }
        }
    }

    #[test]
    fn their_bits_do_not_depend_on_the_number_of_threads() {
        for [n, k, m] in SIZES {
            let (a, b) = (numbers(n * k, 0.7), numbers(m * k, 1.3));
            let (a, b) = (Matrix::new(&a, n, k, false), Matrix::new(&b, m, k, false));
            let on = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                let found = pool.install(|| inner_products(&[InnerProducts::whole(a, b), InnerProducts::half(a)]));
                let half = total(&found[1]).into_iter().enumerate().filter(|(i, _)| i % n.max(1) <= i / n.max(1));
                (total(&found[0]), half.collect::<Vec<_>>())
            };
            let one = on(1);
            assert!([2, 3, 4, 13].iter().all(|threads| on(*threads) == one), "{n}×{k} by {m}×{k}");
        }
    }

    #[test]
    #[should_panic(expected = "inner products of the rows of 2×2 and 1×4")]
    fn rows_of_another_length_are_named() {
        let _ = InnerProducts::whole(Matrix::new(&[0.0; 4], 2, 2, false), Matrix::new(&[0.0; 4], 1, 4, false));
    }

    proptest! {
        #[test]
        fn strips_of_a_half_cover_all_columns_and_none_is_narrow(n in 1usize..3000) {
            let strips: Vec<_> = strips_of_half(n).collect();
            prop_assert_eq!(strips.iter().sum::<usize>(), n);
            prop_assert!(strips.iter().all(|&width| width >= VECTOR.min(n)), "{strips:?}");
        }

        #[test]
        fn slices_cover_the_rows_and_none_is_short(n in 1usize..300, k in 0usize..5000) {
            let a = vec![0.0; n * k];
            let slices: Vec<_> = InnerProducts::half(Matrix::new(&a, n, k, false)).slices().collect();
            prop_assert_eq!((slices[0].start, slices[slices.len() - 1].end), (0, k));
            prop_assert!(slices.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert!(slices.len() == 1 || slices.iter().all(|slice| slice.len() >= SLICE), "{slices:?}");
        }
    }
}
