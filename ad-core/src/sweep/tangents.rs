//! The forward sweep.

use smallvec::SmallVec;

use crate::array::Array;
use crate::recording::{NodeId, Recording};

/// Tangents ẋ of the nodes of a recording along one direction of the leaves, each of its node's shape.
#[must_use]
#[derive(Clone, Debug)]
pub struct Tangents<A>(Vec<Option<A>>);

impl<A: Array> Tangents<A> {
    /// The tangent of a node; `None` is zero.
    pub fn of(&self, node: NodeId) -> Option<&A> {
        self.0[node.index()].as_ref()
    }
}

impl<A: Array> Recording<A> {
    /// Tangents of all nodes, given those of the leaves in their order (`None` is zero): the forward sweep, ẋ ↦ ∂y/∂x·ẋ.
    ///
    /// # Panics
    /// If their number or a shape differs from the leaves'.
    #[track_caller]
    pub fn tangents(&self, direction: &[Option<&A>]) -> Tangents<A> {
        let mut slots = self.leaf_tangents(direction);
        for node in self.nodes() {
            if let Some(dy) = self.tangent_of(node, &slots) {
                slots[node.index()] = Some(dy);
            }
        }
        Tangents(slots)
    }

    /// As [`tangents`](Recording::tangents), along several directions in one sweep: what they share is loaded and multiplied
    /// once.
    ///
    /// # Panics
    /// If the number or a shape of the tangents of a direction differs from the leaves'.
    #[track_caller]
    pub fn tangents_along(&self, directions: &[Vec<Option<&A>>]) -> Vec<Tangents<A>> {
        let mut swept: Vec<Vec<Option<A>>> = directions.iter().map(|d| self.leaf_tangents(d)).collect();
        for node in self.nodes() {
            let Some(rules) = self.op(node).rules() else { continue };
            let dx: Vec<_> = swept.iter().map(|slots| self.input_tangents(node, slots)).collect();
            let dy = rules.jvp_several(&self.input_values(node), self.value(node), &dx);
            drop(dx);
            for (slots, dy) in swept.iter_mut().zip(dy) {
                slots[node.index()] = dy;
            }
        }
        swept.into_iter().map(Tangents).collect()
    }

    /// A slot for each node, those of the leaves filled.
    #[track_caller]
    pub(crate) fn leaf_tangents(&self, direction: &[Option<&A>]) -> Vec<Option<A>> {
        let leaves = self.leaves();
        assert!(direction.len() == leaves.len(), "tangents: {} tangents for {} leaves", direction.len(), leaves.len());
        let mut slots = vec![None; self.len()];
        for (i, (&leaf, &d)) in leaves.iter().zip(direction).enumerate() {
            if let Some(d) = d {
                let (want, got) = (self.value(leaf).shape(), d.shape());
                assert!(want == got, "tangents: leaf {i} has shape {want:?} but its tangent {got:?}");
            }
            slots[leaf.index()] = d.cloned();
        }
        slots
    }

    /// The tangent of a computed node from those of its inputs; `None` where they are all zero, and for leaves.
    #[inline]
    pub(crate) fn tangent_of(&self, node: NodeId, slots: &[Option<A>]) -> Option<A> {
        let rules = self.op(node).rules()?;
        let dx = self.input_tangents(node, slots);
        if dx.iter().all(Option::is_none) {
            return None;
        }
        rules.jvp(&self.input_values(node), self.value(node), &dx)
    }

    /// Tangents of a node's inputs.
    #[inline]
    pub(crate) fn input_tangents<'a>(&self, node: NodeId, slots: &'a [Option<A>]) -> SmallVec<[Option<&'a A>; 3]> {
        self.input_slots(node).iter().map(|&i| slots[i as usize].as_ref()).collect()
    }
}

impl<A> Tangents<A> {
    pub(crate) fn slots(&self) -> &[Option<A>] {
        &self.0
    }
}
