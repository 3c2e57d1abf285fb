//! Which tangents an array has when duals are nested: the bookkeeping behind the work of a third derivative.

use std::ops::BitOr;

/// The parts of an array of nested duals, d of them: a part for each set of levels that it is a tangent of, as a bit each; the empty
/// set is the value.
///
/// With three levels, all along one direction, a leaf moves in a straight line, so it has its value and three tangents of one level. A
/// product multiplies each pair of parts whose sets have no level in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels(u8);

/// The most levels.
const MOST: u8 = 3;

impl Levels {
    /// A value alone.
    pub const CONSTANT: Levels = Levels(1);
    /// A value and a tangent of each of the three levels by itself.
    pub const STRAIGHT: Levels = Levels(1 | 1 << 0b001 | 1 << 0b010 | 1 << 0b100);

    /// How many arrays the parts are.
    pub fn count(self) -> u64 {
        u64::from(self.0.count_ones())
    }

    /// The sets of levels of the parts.
    fn sets(self) -> impl Iterator<Item = u8> + Clone {
        (0..1 << MOST).filter(move |set| self.0 & (1 << set) != 0)
    }

    fn of(sets: impl Iterator<Item = u8>) -> Self {
        Levels(sets.fold(0, |mask, set| mask | 1 << set))
    }

    /// The parts of a product, and how many pairs are multiplied.
    pub fn product(self, other: Levels) -> (Levels, u64) {
        let pairs = self.sets().flat_map(|s| other.sets().map(move |t| (s, t))).filter(|(s, t)| s & t == 0);
        (Levels::of(pairs.clone().map(|(s, t)| s | t)), pairs.count() as u64)
    }

    /// The parts of a nonlinear function: all unions of sets without a level in common.
    pub fn function(self) -> Levels {
        // Two rounds reach unions of three levels.
        (0..2).fold(self, |found, _| found | found.product(found).0)
    }

    /// The value of the dual of this level, which is the outermost, and its tangent, if it has one.
    pub fn split(self, level: u8) -> (Levels, Option<Levels>) {
        let bit = 1 << level;
        let tangent = Levels::of(self.sets().filter(|s| s & bit != 0).map(|s| s & !bit));
        (Levels::of(self.sets().filter(|s| s & bit == 0)), (tangent.0 != 0).then_some(tangent))
    }
}

/// The parts of a sum.
impl BitOr for Levels {
    type Output = Levels;

    fn bitor(self, other: Levels) -> Levels {
        Levels(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_of_straight_lines_has_no_third_level() {
        // 1 + 3 + 3 pairs with the value, and 6 of two different levels.
        let (found, pairs) = Levels::STRAIGHT.product(Levels::STRAIGHT);
        assert_eq!((found.count(), pairs), (7, 13));
        assert_eq!(Levels::STRAIGHT.product(Levels::CONSTANT), (Levels::STRAIGHT, 4));
        assert_eq!(Levels::STRAIGHT.function().count(), 8);
    }

    #[test]
    fn a_dual_is_its_value_and_its_tangent() {
        let (value, tangent) = Levels::STRAIGHT.split(2);
        assert_eq!((value.count(), tangent.map(Levels::count)), (3, Some(1)));
        assert_eq!(Levels::CONSTANT.split(0), (Levels::CONSTANT, None));
    }
}
