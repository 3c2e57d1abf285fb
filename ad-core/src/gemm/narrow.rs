//! Products with few columns, as inner products of rows: z = x Wᵀ of a layer with few outputs, and half of the Gram matrix of some rows.
//!
//! Both operands are read along their rows, as they are stored, and neither is packed: packing x for a general product takes nearly as long
//! as the product where each of its numbers is used ten times.

use std::ops::{Range, RangeInclusive};

use pulp::{Arch, Simd, WithSimd};

use super::{Matrix, Onto};
use crate::kernel::{fuses, lanes};
use crate::real::Real;

/// Columns that are computed at once.
const COLS: usize = 5;
/// Columns of the products that are computed so.
const FEW_COLS: RangeInclusive<usize> = 3..=16;

/// Lanes of a vector, at most.
const MOST_LANES: usize = 16;

/// Rows at most whose inner products with one another are.
const MOST_ROWS: usize = 192;

/// Whether an n × k by k × m product is computed here, if the first operand is stored by rows and the second by columns. By the sizes and the
/// processor alone; measured by the bench `products`.
pub(super) fn suits<T: Real>([n, k, m]: [usize; 3]) -> bool {
    n >= 4 && FEW_COLS.contains(&m) && k >= 4 * lanes::<T>() && fuses()
}

/// Rows of c = onto + a b from the `top`-th on, of a matrix stored by rows and one stored by columns, on this thread; c is row-major. Each
/// number is summed in the same order however many rows there are.
pub(super) fn narrow_into<T: Real>(c: &mut [T], top: usize, onto: Onto<'_, T>, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    let (k, rows) = (a.cols(), c.len() / b.cols());
    let a = &a.data()[top * k..(top + rows) * k];
    T::narrow_rows(Rows { c, onto, a, b: b.data(), k, apart: k, half: None });
}

/// Whether one half of the inner products of n rows of k numbers is computed here: of so few rows, of which a general product would compute
/// much of the other half, too.
pub(super) fn suits_half<T: Real>(a: Matrix<'_, T>) -> bool {
    !a.transposed && (4..=MOST_ROWS).contains(&a.rows()) && a.cols() >= 4 * lanes::<T>() && fuses()
}

/// Rows of the half on and below the diagonal of the inner products of some numbers of each row, from the `top`-th on, on this thread; what
/// is above the diagonal is unspecified.
pub(super) fn half_into<T: Real>(c: &mut [T], top: usize, a: Matrix<'_, T>, part: Range<usize>) {
    let (apart, k) = (a.cols(), part.len());
    let of = |row: usize| &a.data()[row * apart + part.start..];
    T::narrow_rows(Rows { c, onto: Onto::Nothing, a: of(top), b: of(0), k, apart, half: Some(top) });
}

/// Some rows of the result, of the first operand, and all columns of the second with `k` numbers each.
pub struct Rows<'a, T> {
    c: &'a mut [T],
    onto: Onto<'a, T>,
    a: &'a [T],
    b: &'a [T],
    k: usize,
    /// From the beginning of a row of the operands to that of the next.
    apart: usize,
    /// Where the rows begin in a result of which those on and below the diagonal suffice.
    half: Option<usize>,
}

/// What is written for each scalar by its own names.
pub trait Narrow: Sized {
    /// Computes these rows.
    fn narrow_rows(rows: Rows<'_, Self>);
}

macro_rules! narrow {
    ($t:ident, $vector:ident, $split:ident, $split_mut:ident, $splat:ident, $times_plus:ident, $add:ident, $select:ident, $rotate:ident,
     $lanes:ident, $mask:ident, $whole:ident, $numbered:ident, $whole_splat:ident, $and:ident, $equal:ident) => {
        impl Narrow for $t {
            fn narrow_rows(rows: Rows<'_, $t>) {
                Arch::new().dispatch(rows);
            }
        }

        impl WithSimd for Rows<'_, $t> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                // As many sums as there are registers for, beside what they are of; batches are often of a multiple of four rows.
                match (S::REGISTER_COUNT < 32, self.half) {
                    (true, _) => self.tiles::<S, 2>(simd),
                    (false, None) => self.tiles::<S, 4>(simd),
                    (false, Some(_)) => self.tiles::<S, 5>(simd),
                }
            }
        }

        impl Rows<'_, $t> {
            /// By tiles of `R` rows.
            #[inline(always)]
            fn tiles<S: Simd, const R: usize>(self, simd: S) {
                let Rows { c, onto, a, b, k, apart, half } = self;
                let width = b.len().div_ceil(apart);
                for (tile, (c, a)) in c.chunks_mut(R * width).zip(a.chunks(R * apart)).enumerate() {
                    let rows = c.len() / width;
                    let m = half.map_or(width, |top| width.min(top + (tile + 1) * R));
                    // Rows and columns beyond the last are computed like it, and not written.
                    let mut left = [a; R];
                    for r in 0..R {
                        left[r] = &a[r.min(rows - 1) * apart..][..k];
                    }
                    for from in (0..m).step_by(COLS) {
                        let mut right = [b; COLS];
                        for j in 0..COLS {
                            right[j] = &b[(from + j).min(m - 1) * apart..][..k];
                        }
                        let products = Self::inner_products(simd, left, right);
                        for (c, products) in c.chunks_exact_mut(width).zip(&products) {
                            for (j, (c, product)) in (from..m).zip(c[from..].iter_mut().zip(products)) {
                                *c = match onto {
                                    Onto::Nothing => *product,
                                    Onto::Row(row) => row[j] + *product,
                                    Onto::Present => *c + *product,
                                };
                            }
                        }
                    }
                }
            }

            /// The inner products of each row on the left with each on the right.
            #[inline(always)]
            fn inner_products<S: Simd, const R: usize>(
                simd: S,
                left: [&[$t]; R],
                right: [&[$t]; COLS],
            ) -> [[$t; COLS]; R] {
                // In loops, which are unrolled for any number of rows: what is known of the lengths is lost in `map` beyond four.
                let n = S::$split(left[0]).0.len();
                let (mut a, mut b) = ([S::$split(left[0]).0; R], [S::$split(right[0]).0; COLS]);
                for r in 0..R {
                    a[r] = &S::$split(left[r]).0[..n];
                }
                for j in 0..COLS {
                    b[j] = &S::$split(right[j]).0[..n];
                }
                let mut sums = [[simd.$splat(0.0); COLS]; R];
                for i in 0..n {
                    for r in 0..R {
                        for j in 0..COLS {
                            sums[r][j] = simd.$times_plus(a[r][i], b[j][i], sums[r][j]);
                        }
                    }
                }
                let mut products = Self::sums_of_lanes(simd, sums);
                // Apart from the vectors, which would not stay in registers if loops of any length stood between them.
                for (products, a) in products.iter_mut().zip(left) {
                    for (product, b) in products.iter_mut().zip(right) {
                        for (a, b) in S::$split(a).1.iter().zip(S::$split(b).1) {
                            *product = a.times_plus(*b, *product);
                        }
                    }
                }
                products
            }

            /// The sum of the lanes of each vector, of as many at once as a vector has lanes.
            ///
            /// Lanes of two vectors A and B are added in one: its lane l is Aₗ + Aₗ₊₁ if l is even and Bₗ + Bₗ₊₁ if it is odd. Of two such vectors
            /// the lanes l and l + 2 are added in the same way, by the next bit of l, and so on: in the end lane l is the sum of the l-th vector.
            /// That takes half of the steps of one vector after another.
            #[inline(always)]
            fn sums_of_lanes<S: Simd, const R: usize>(simd: S, vectors: [[S::$vector; COLS]; R]) -> [[$t; COLS]; R] {
                let numbers: [$whole; MOST_LANES] = std::array::from_fn(|l| l as $whole);
                let number = S::$numbered(&numbers).0[0];
                let mut sums = [[0.0; COLS]; R];
                for first in (0..R * COLS).step_by(S::$lanes) {
                    let mut merged = [simd.$splat(0.0); MOST_LANES];
                    for l in 0..S::$lanes.min(R * COLS - first) {
                        merged[l] = vectors[(first + l) / COLS][(first + l) % COLS];
                    }
                    let (mut n, mut bit) = (S::$lanes, 1);
                    while n > 1 {
                        n /= 2;
                        let is_clear: S::$mask =
                            simd.$equal(simd.$and(number, simd.$whole_splat(bit)), simd.$whole_splat(0));
                        for i in 0..n {
                            let (a, b) = (merged[2 * i], merged[2 * i + 1]);
                            let next = simd.$rotate(simd.$select(is_clear, b, a), bit as usize);
                            merged[i] = simd.$add(simd.$select(is_clear, a, b), next);
                        }
                        bit *= 2;
                    }
                    let found: [$t; MOST_LANES] = {
                        let mut found = [0.0; MOST_LANES];
                        S::$split_mut(&mut found).0[0] = merged[0];
                        found
                    };
                    for l in 0..S::$lanes.min(R * COLS - first) {
                        sums[(first + l) / COLS][(first + l) % COLS] = found[l];
                    }
                }
                sums
            }
        }
    };
}
narrow!(
    f32,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    select_f32s,
    rotate_left_f32s,
    F32_LANES,
    m32s,
    u32,
    as_simd_u32s,
    splat_u32s,
    and_u32s,
    equal_u32s
);
narrow!(
    f64,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    select_f64s,
    rotate_left_f64s,
    F64_LANES,
    m64s,
    u64,
    as_simd_u64s,
    splat_u64s,
    and_u64s,
    equal_u64s
);
