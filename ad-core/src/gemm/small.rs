//! Products of small matrices, as those of a head of attention: scores, and what weights of them make of rows.
//!
//! The second factor is stored by rows, which are whole vectors, so that nothing is packed; a block of the result stays in registers while it is
//! summed. A square matrix that is 0 above its diagonal is computed and read in blocks of [`UNIT`] on and below the diagonal only, which a general
//! product cannot do: of 64 rows five eighths of the work remain.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::counted;
use crate::parallel;
use crate::real::Real;

/// What all sizes are multiples of.
pub(crate) const UNIT: usize = 16;
/// Multiply-adds from which a product is cut into parts; most are of heads that threads have for themselves.
const CUT_FROM: usize = 1 << 20;
/// Vectors of a row that are computed at once.
const WIDE: usize = 2;

/// Which of a product's matrices is the square one, n × n; the other two are n × d, or d × n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Square {
    /// The result: n × d by d × n.
    Result,
    /// The first factor: n × n by n × d.
    First,
    /// The transpose of the first factor, which is stored as it is.
    Turned,
}

/// Sizes of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SmallSizes {
    /// Rows and columns of the square matrix.
    pub(crate) n: usize,
    /// The other size.
    pub(crate) d: usize,
    /// Whether the square matrix is 0 above its diagonal; of a result, what is there is not written or of no particular value.
    pub(crate) lower: bool,
}

impl SmallSizes {
    /// Floating-point operations of a product.
    pub(crate) fn flops(self) -> u64 {
        let blocks = self.n / UNIT;
        let square = if self.lower { blocks * (blocks + 1) / 2 * UNIT * UNIT } else { self.n * self.n };
        2 * (square * self.d) as u64
    }

    /// The numbers of a row of the square matrix that are not 0, as far as whole blocks.
    pub(crate) fn within(self, row: usize) -> usize {
        if self.lower { (row / UNIT + 1) * UNIT } else { self.n }
    }
}

/// Some rows of a sum of products.
pub struct SmallProduct<'a, T> {
    /// These rows.
    c: &'a mut [T],
    /// The first of them.
    from: usize,
    factors: &'a [[&'a [T]; 2]],
    sizes: SmallSizes,
    square: Square,
}

/// c = Σ a b over the factors [a, b], on this thread; on all, if it is large. Each number is summed in the same order
/// for any number of threads.
///
/// # Panics
/// If a size is not a multiple of [`UNIT`], or does not fit.
#[track_caller]
pub(crate) fn small_into<T: Real>(c: &mut [T], square: Square, sizes: SmallSizes, factors: &[[&[T]; 2]]) {
    let SmallSizes { n, d, .. } = sizes;
    let wanted = match square {
        Square::Result => [n * n, n * d, d * n],
        Square::First | Square::Turned => [n * d, n * n, n * d],
    };
    let fit = factors.iter().all(|[a, b]| [c.len(), a.len(), b.len()] == wanted);
    assert!(
        fit && n.is_multiple_of(UNIT) && d.is_multiple_of(UNIT),
        "small product: {sizes:?}, {square:?}, {} numbers of factors of {:?}",
        c.len(),
        factors.iter().map(|[a, b]| [a.len(), b.len()]).collect::<Vec<_>>()
    );
    counted(factors.len() as u64 * sizes.flops());
    // Several a thread, since of a triangle the last rows have most of the work.
    let threads = parallel::threads();
    let parts = if threads == 1 || n * n * d < CUT_FROM { 1 } else { 4 * threads };
    let (rows, width) = ((n / UNIT).div_ceil(parts).max(1) * UNIT, wanted[0] / n.max(1));
    let parts = c.chunks_mut((rows * width).max(1)).enumerate();
    parallel::for_each(parts, |(i, c)| T::small(SmallProduct { c, from: i * rows, factors, sizes, square }));
}

/// What is written for each scalar by its own names.
pub trait Small: Sized {
    /// Computes the product.
    fn small(product: SmallProduct<'_, Self>);
}

/// Where a block of the result is, and what it is summed over.
struct Block {
    /// Its first row, of so many numbers in the first factor.
    row: usize,
    width: usize,
    /// Its first vector, of so many in a row of the second factor and of the result.
    vector: usize,
    vectors: usize,
    inner: Range<usize>,
}

macro_rules! small {
    ($t:ident, $vector:ident, $split:ident, $split_mut:ident, $splat:ident, $times_plus:ident) => {
        impl Small for $t {
            fn small(product: SmallProduct<'_, $t>) {
                Arch::new().dispatch(product);
            }
        }

        impl WithSimd for SmallProduct<'_, $t> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                // Sums in half of the registers: the others hold what they are of.
                if S::REGISTER_COUNT < 32 { self.blocks::<S, 4>(simd) } else { self.blocks::<S, 8>(simd) }
            }
        }

        impl SmallProduct<'_, $t> {
            /// By blocks of `R` rows.
            #[inline(always)]
            fn blocks<S: Simd, const R: usize>(self, simd: S) {
                let SmallProduct { c, from, factors, sizes, square } = self;
                let SmallSizes { n, d, .. } = sizes;
                let m = if square == Square::Result { n } else { d };
                let rows = c.len() / m;
                let (c, _) = S::$split_mut(c);
                let vectors = c.len() / rows;
                let lanes = m / vectors;
                for (c, row) in c.chunks_exact_mut(R * vectors).zip((from..from + rows).step_by(R)) {
                    let within = sizes.within(row);
                    let above = if sizes.lower { row / UNIT * UNIT } else { 0 };
                    let (width, inner, end) = match square {
                        Square::Result => (d, 0..d, within / lanes),
                        Square::First => (n, 0..within, vectors),
                        Square::Turned => (n, above..n, vectors),
                    };
                    let mut block = Block { row, width, vector: 0, vectors, inner };
                    while block.vector + WIDE <= end {
                        Self::block::<S, R, WIDE>(simd, c, factors, &block, square);
                        block.vector += WIDE;
                    }
                    while block.vector < end {
                        Self::block::<S, R, 1>(simd, c, factors, &block, square);
                        block.vector += 1;
                    }
                }
            }

            /// A block of `R` rows of `V` vectors, into the rows `c`.
            #[inline(always)]
            fn block<S: Simd, const R: usize, const V: usize>(
                simd: S,
                c: &mut [S::$vector],
                factors: &[[&[$t]; 2]],
                block: &Block,
                square: Square,
            ) {
                let Block { row, width, vector, vectors, ref inner } = *block;
                let mut sums = [[simd.$splat(0.0); V]; R];
                for [a, b] in factors {
                    let (b, _) = S::$split(b);
                    let b = b[inner.start * vectors..inner.end * vectors].chunks_exact(vectors);
                    if square == Square::Turned {
                        for (k, b) in inner.clone().zip(b) {
                            let (a, b) = (&a[k * width + row..][..R], &b[vector..][..V]);
                            for r in 0..R {
                                for v in 0..V {
                                    sums[r][v] = simd.$times_plus(simd.$splat(a[r]), b[v], sums[r][v]);
                                }
                            }
                        }
                    } else {
                        let mut rows = [*a; R];
                        for r in 0..R {
                            rows[r] = &a[(row + r) * width..][inner.clone()];
                        }
                        for (k, b) in (0..inner.len()).zip(b) {
                            let b = &b[vector..][..V];
                            for r in 0..R {
                                for v in 0..V {
                                    sums[r][v] = simd.$times_plus(simd.$splat(rows[r][k]), b[v], sums[r][v]);
                                }
                            }
                        }
                    }
                }
                for r in 0..R {
                    c[r * vectors + vector..][..V].copy_from_slice(&sums[r]);
                }
            }
        }
    };
}
small!(f32, f32s, as_simd_f32s, as_mut_simd_f32s, splat_f32s, mul_add_e_f32s);
small!(f64, f64s, as_simd_f64s, as_mut_simd_f64s, splat_f64s, mul_add_e_f64s);

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, whose products and sums are exact.
    fn numbers<T: Real>(len: usize, seed: usize) -> Vec<T> {
        (0..len).map(|i| T::from_f64(((i * 7 + seed * 5 + i / 3) % 13) as f64 - 6.0)).collect()
    }

    #[test]
    fn products_are_those_of_the_definition() {
        // The last is cut into parts.
        for (n, d) in [(16, 16), (32, 48), (48, 16), (64, 32), (80, 32), (256, 16)] {
            for lower in [false, true] {
                for square in [Square::Result, Square::First, Square::Turned] {
                    check::<f32>(square, SmallSizes { n, d, lower });
                    check::<f64>(square, SmallSizes { n, d, lower });
                }
            }
        }
    }

    /// The sum of two products number by number. What lies beyond the blocks of a triangular factor is not a number.
    fn check<T: Real>(square: Square, sizes: SmallSizes) {
        let SmallSizes { n, d, .. } = sizes;
        let beyond = |i: usize, j: usize| j >= sizes.within(i);
        let (inner, m) = if square == Square::Result { (d, n) } else { (n, d) };
        let first = |seed| -> Vec<T> {
            let mut a = numbers::<T>(n * inner, seed);
            if square != Square::Result {
                (0..n * n).filter(|at| beyond(at / n, at % n)).for_each(|at| a[at] = T::from_f64(f64::NAN));
            }
            a
        };
        let (a, b) = ([first(1), first(2)], [numbers::<T>(inner * m, 3), numbers(inner * m, 4)]);
        let factors: [[&[T]; 2]; 2] = [[&a[0], &b[0]], [&a[1], &b[1]]];
        let mut c = vec![T::from_f64(f64::NAN); n * m];
        small_into(&mut c, square, sizes, &factors);
        let term = |f: usize, i: usize, k: usize, j: usize| {
            let at = if square == Square::Turned { k * n + i } else { i * inner + k };
            let is_zero = square != Square::Result && beyond(at / n, at % n);
            if is_zero { 0.0 } else { a[f][at].to_f64() * b[f][k * m + j].to_f64() }
        };
        for (at, found) in c.iter().enumerate() {
            let (i, j) = (at / m, at % m);
            if square == Square::Result && beyond(i, j) {
                continue;
            }
            let want: f64 = (0..inner).map(|k| term(0, i, k, j) + term(1, i, k, j)).sum();
            assert_eq!(found.to_f64(), want, "{square:?}, {sizes:?}, ({i}, {j})");
        }
    }

    /// Vectors of one number, as where the processor has none that are known.
    #[test]
    fn vectors_of_any_length_give_the_same() {
        let sizes = SmallSizes { n: 32, d: 16, lower: true };
        let (a, b) = (numbers::<f64>(32 * 32, 1), numbers::<f64>(32 * 16, 2));
        let (mut c, mut by_numbers) = (vec![0.0; 32 * 16], vec![0.0; 32 * 16]);
        for square in [Square::First, Square::Turned] {
            small_into(&mut c, square, sizes, &[[&a, &b]]);
            let product = SmallProduct { c: &mut by_numbers, from: 0, factors: &[[&a, &b]], sizes, square };
            product.with_simd(pulp::Scalar::new());
            assert_eq!(c, by_numbers);
        }
    }

    #[test]
    #[should_panic(expected = "256 numbers of factors of [[256, 512]]")]
    fn a_factor_of_another_length_is_refused() {
        let sizes = SmallSizes { n: 16, d: 16, lower: false };
        small_into(&mut [0.0; 256], Square::First, sizes, &[[&[0.0; 256], &[0.0; 512]]]);
    }

    #[test]
    fn work_on_and_below_the_diagonal_is_counted_in_blocks() {
        let flops = |n, lower| SmallSizes { n, d: 32, lower }.flops();
        assert_eq!(flops(64, false), 2 * 64 * 64 * 32);
        assert_eq!(flops(64, true), 2 * 10 * 16 * 16 * 32);
        assert_eq!(flops(16, true), flops(16, false));
    }

    #[test]
    #[should_panic(expected = "small product")]
    fn other_sizes_are_refused() {
        let sizes = SmallSizes { n: 3, d: 4, lower: false };
        small_into(&mut [0.0; 9], Square::Result, sizes, &[[&[0.0; 12], &[0.0; 12]]]);
    }
}
