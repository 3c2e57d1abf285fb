//! Small blocks of results that stay in registers while products are added to them.
//!
//! To be called from kernels alone: all is inlined into them, so that it is compiled for the processor's vectors.

use crate::real::Real;

/// Rows of vectors of `L` numbers each, as many as fit the registers.
pub(super) type Tile<T, const L: usize, const R: usize, const V: usize> = [[[T; L]; V]; R];

/// tile[r][v] += Σₖ left[k][r] · right[v][offsets[k]..], the vectors read where they are, in `H` pieces each.
#[inline(always)]
pub(super) fn along<T: Real, const L: usize, const R: usize, const V: usize, const H: usize>(
    mut tile: Tile<T, L, R, V>,
    left: &[[T; R]],
    offsets: &[usize],
    right: [[&[T]; H]; V],
) -> Tile<T, L, R, V> {
    for (left, &offset) in left.iter().zip(offsets) {
        let mut vectors = [[T::default(); L]; V];
        for v in 0..V {
            for h in 0..H {
                let piece = &right[v][h][offset..][..L / H];
                vectors[v][h * (L / H)..][..L / H].copy_from_slice(piece);
            }
        }
        for r in 0..R {
            times_plus(&mut tile[r], left[r], &vectors);
        }
    }
    tile
}

/// tiles[j][b][r][v] += Σₖ left[b][offsets[k] + r] · right[j][k][v]: of each array on the left, neighbours are read together.
#[inline(always)]
pub(super) fn outer<T: Real, const L: usize, const R: usize, const V: usize, const B: usize, const J: usize>(
    mut tiles: [[Tile<T, L, R, V>; B]; J],
    left: [&[T]; B],
    offsets: &[usize],
    right: [&[[[T; L]; V]]; J],
) -> [[Tile<T, L, R, V>; B]; J] {
    let right = right.map(|right| &right[..offsets.len()]);
    for (k, &offset) in offsets.iter().enumerate() {
        for b in 0..B {
            let numbers: &[T; R] = left[b][offset..].first_chunk().expect("neighbours within reach");
            for r in 0..R {
                for j in 0..J {
                    times_plus(&mut tiles[j][b][r], numbers[r], &right[j][k]);
                }
            }
        }
    }
    tiles
}

/// Adds vectors times a number.
#[inline(always)]
fn times_plus<T: Real, const L: usize, const V: usize>(to: &mut [[T; L]; V], number: T, vectors: &[[T; L]; V]) {
    for v in 0..V {
        for l in 0..L {
            to[v][l] = number.times_plus(vectors[v][l], to[v][l]);
        }
    }
}

/// Adds to numbers that lie row after row.
#[inline(always)]
pub(super) fn add<T: Real, const L: usize, const R: usize, const V: usize>(
    to: &mut [[[T; L]; V]],
    tile: &Tile<T, L, R, V>,
) {
    for r in 0..R {
        let to = &mut to[r];
        for v in 0..V {
            for l in 0..L {
                to[v][l] = to[v][l] + tile[r][v][l];
            }
        }
    }
}

/// Numbers as vectors, so many side by side.
#[inline(always)]
pub(super) fn vectors<T, const L: usize, const V: usize>(numbers: &[T]) -> &[[[T; L]; V]] {
    numbers.as_chunks::<L>().0.as_chunks::<V>().0
}

/// Numbers as vectors, so many side by side.
#[inline(always)]
pub(super) fn vectors_mut<T, const L: usize, const V: usize>(numbers: &mut [T]) -> &mut [[[T; L]; V]] {
    numbers.as_chunks_mut::<L>().0.as_chunks_mut::<V>().0
}
