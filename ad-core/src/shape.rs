//! Shapes, axes and NumPy broadcasting.

use smallvec::SmallVec;

/// Sizes of the axes of an array, outermost first. Rank 0 (no axes) is a scalar.
pub type Shape = SmallVec<[usize; 4]>;

/// Number of elements of an array of this shape: the product of the sizes, 1 for rank 0.
pub fn count(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// Row-major strides, in elements: the last axis has stride 1.
pub fn strides(shape: &[usize]) -> Shape {
    let mut s: Shape = SmallVec::from_elem(1, shape.len());
    for i in (1..shape.len()).rev() {
        s[i - 1] = s[i] * shape[i];
    }
    s
}

/// The common shape of two operands by NumPy's rules: align the last axes; sizes must agree or be 1.
///
/// Returns `None` where they cannot be broadcast together.
///
/// ```
/// use ad_core::shape::broadcast;
/// assert_eq!(broadcast(&[8, 1, 3], &[4, 1]).unwrap().as_slice(), &[8, 4, 3]);
/// assert!(broadcast(&[2], &[3]).is_none());
/// ```
pub fn broadcast(a: &[usize], b: &[usize]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

/// Strides that walk an array of shape `from` as if it had the broadcast shape `to` (0 along repeated axes).
pub(crate) fn broadcast_strides(from: &[usize], to: &[usize]) -> Shape {
    let own = strides(from);
    let lead = to.len() - from.len();
    (0..to.len()).map(|i| if i < lead || from[i - lead] == 1 { 0 } else { own[i - lead] }).collect()
}

/// A set of axes as a bit mask: bit `i` is axis `i`. Rank is limited to 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Axes(u32);

impl Axes {
    /// The axes listed, each counted from the front or, when negative, from the back, of an array of this rank.
    ///
    /// # Panics
    /// If an axis is out of range or listed twice.
    #[track_caller]
    pub fn new(axes: &[isize], rank: usize) -> Self {
        let mut mask = 0;
        for &a in axes {
            let bit = 1 << axis(a, rank);
            assert!(mask & bit == 0, "axis {a} is listed twice in {axes:?}");
            mask |= bit;
        }
        Axes(mask)
    }

    /// Every axis of an array of this rank.
    pub fn all(rank: usize) -> Self {
        Axes(if rank == 0 { 0 } else { u32::MAX >> (32 - rank) })
    }

    /// Whether axis `i` is in the set.
    pub fn contains(self, i: usize) -> bool {
        self.0 >> i & 1 == 1
    }

    /// The shape left by a reduction over these axes; reduced axes keep size 1 if `keep`.
    pub fn reduced(self, shape: &[usize], keep: bool) -> Shape {
        let mut out = Shape::new();
        for (i, &n) in shape.iter().enumerate() {
            match (self.contains(i), keep) {
                (false, _) => out.push(n),
                (true, true) => out.push(1),
                (true, false) => {}
            }
        }
        out
    }

    /// How many elements of `shape` one element of the reduction combines.
    pub fn count(self, shape: &[usize]) -> usize {
        shape.iter().enumerate().filter(|(i, _)| self.contains(*i)).map(|(_, n)| n).product()
    }
}

/// An axis counted from the front or, when negative, from the back, as an index.
///
/// # Panics
/// If it is out of range for the rank.
#[track_caller]
pub fn axis(axis: isize, rank: usize) -> usize {
    let i = if axis < 0 { axis + rank as isize } else { axis };
    assert!(0 <= i && i < rank as isize, "axis {axis} is out of range for rank {rank}");
    i as usize
}

/// The row-major position of every element of `shape`, as an offset under other strides.
pub(crate) struct Offsets<'a> {
    shape: &'a [usize],
    strides: &'a [usize],
    index: Shape,
    offset: usize,
    left: usize,
}

impl<'a> Offsets<'a> {
    pub(crate) fn new(shape: &'a [usize], strides: &'a [usize]) -> Self {
        Offsets { shape, strides, index: SmallVec::from_elem(0, shape.len()), offset: 0, left: count(shape) }
    }
}

impl Iterator for Offsets<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let now = self.offset;
        for i in (0..self.shape.len()).rev() {
            self.index[i] += 1;
            self.offset += self.strides[i];
            if self.index[i] < self.shape[i] {
                break;
            }
            self.offset -= self.strides[i] * self.shape[i];
            self.index[i] = 0;
        }
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn broadcasting_follows_numpy(a in proptest::collection::vec(1usize..4, 0..4), b in proptest::collection::vec(1usize..4, 0..4)) {
            let ab = broadcast(&a, &b);
            prop_assert_eq!(ab.clone(), broadcast(&b, &a));
            if let Some(s) = ab {
                prop_assert_eq!(s.len(), a.len().max(b.len()));
                for (i, &n) in a.iter().rev().enumerate() {
                    let m = s[s.len() - 1 - i];
                    prop_assert!(n == m || n == 1);
                }
                prop_assert_eq!(Offsets::new(&s, &strides(&s)).collect::<Vec<_>>(), (0..count(&s)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn axes_count_from_both_ends() {
        let axes = Axes::new(&[0, -1], 3);
        assert_eq!(axes.reduced(&[2, 3, 4], false).as_slice(), &[3]);
        assert_eq!(axes.reduced(&[2, 3, 4], true).as_slice(), &[1, 3, 1]);
        assert_eq!(axes.count(&[2, 3, 4]), 8);
        assert_eq!(Axes::all(3), Axes::new(&[0, 1, 2], 3));
    }

    #[test]
    #[should_panic(expected = "axis 3 is out of range for rank 3")]
    fn an_axis_out_of_range_is_refused() {
        Axes::new(&[3], 3);
    }
}
