//! The reverse sweep.

use std::ops::Index;

use crate::array::Array;
use crate::primitive::Cotangents;
use crate::recording::{NodeId, Recording};

/// Adjoints x̄ = ∂f/∂x of the nodes of a recording, each of its node's shape.
#[must_use]
#[derive(Clone, Debug)]
pub struct Adjoints<A>(Vec<Option<A>>);

impl<A: Array> Adjoints<A> {
    pub(crate) fn new(slots: Vec<Option<A>>) -> Self {
        Adjoints(slots)
    }

    /// The adjoint of a node, or `None` where the output does not depend on it (the adjoint is zero).
    pub fn of(&self, node: NodeId) -> Option<&A> {
        self.0[node.index()].as_ref()
    }

    /// The adjoints of the leaves, in their order, zeros written out.
    pub fn leaves(&self, recording: &Recording<A>) -> Vec<A> {
        let zeros = |&leaf: &NodeId| A::full(recording.value(leaf).shape(), 0.0);
        recording.leaves().iter().map(|leaf| self.of(*leaf).cloned().unwrap_or_else(|| zeros(leaf))).collect()
    }
}

impl<A> Index<NodeId> for Adjoints<A> {
    type Output = Option<A>;

    fn index(&self, node: NodeId) -> &Option<A> {
        &self.0[node.index()]
    }
}

impl<A: Array> Recording<A> {
    /// Adjoints of all nodes, given that of one: the reverse sweep, ȳ ↦ ȳ·∂y/∂x.
    ///
    /// With the seed 1 at a scalar output f, the adjoints of the leaves are ∇f.
    ///
    /// # Panics
    /// If the seed has not the shape of the node.
    #[track_caller]
    pub fn adjoints(&self, output: NodeId, seed: A) -> Adjoints<A> {
        let (of_node, of_seed) = (self.value(output).shape(), seed.shape());
        assert!(of_node == of_seed, "adjoints: the output has shape {of_node:?} but its seed {of_seed:?}");
        let mut slots: Vec<Option<A>> = vec![None; self.len()];
        slots[output.index()] = Some(seed);
        for node in self.nodes().take(output.index() + 1).rev() {
            let Some(rules) = self.op(node).rules() else { continue };
            // Inputs precede their node, so their slots can be written while the node's own is read.
            let (before, rest) = slots.split_at_mut(node.index());
            let Some(ybar) = &rest[0] else { continue };
            let mut out = Cotangents::new(before, self.input_slots(node), self.active());
            rules.vjp(&self.input_values(node), self.value(node), ybar, &mut out);
        }
        Adjoints(slots)
    }
}
