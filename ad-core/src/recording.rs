//! A finished tape: plain data that sweeps run over, any number of times.

use std::fmt;

use smallvec::SmallVec;

use crate::array::Array;
use crate::registry::Op;

/// A node of a [`Recording`]: one value, and the operation that computed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) u32);

impl NodeId {
    /// Position of the node, in the order of recording.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The operations and values of one evaluation, in order; inputs precede what they feed.
///
/// Plain data: it can be sent to another thread, and read by several at once, if its values can.
#[must_use = "a recording is only of use for the sweeps that run over it"]
#[derive(Clone)]
pub struct Recording<A: Array> {
    ops: Vec<Op<A>>,
    values: Vec<A>,
    /// Input nodes of all operations, one after another.
    inputs: Vec<u32>,
    /// Where each node's inputs end in `inputs`.
    ends: Vec<u32>,
    /// Whether a node depends on a leaf: constants do not.
    active: Vec<bool>,
    leaves: Vec<NodeId>,
}

impl<A: Array> Recording<A> {
    /// Without nodes, with room for those of a small network, so that recording it does not move them again and again.
    pub(crate) fn new() -> Self {
        const NODES: usize = 64;
        Recording {
            ops: Vec::with_capacity(NODES),
            values: Vec::with_capacity(NODES),
            inputs: Vec::with_capacity(2 * NODES),
            ends: Vec::with_capacity(NODES),
            active: Vec::with_capacity(NODES),
            leaves: Vec::with_capacity(NODES / 2),
        }
    }

    /// Appends a node and returns its position.
    #[track_caller]
    pub(crate) fn push(&mut self, op: Op<A>, inputs: &[u32], value: A) -> u32 {
        let node = u32::try_from(self.ops.len()).expect("a tape holds at most 2³² nodes");
        if matches!(op, Op::Leaf) {
            self.leaves.push(NodeId(node));
        }
        self.active.push(!matches!(op, Op::Constant));
        self.ops.push(op);
        self.values.push(value);
        self.inputs.extend_from_slice(inputs);
        self.ends.push(u32::try_from(self.inputs.len()).expect("a tape holds at most 2³² inputs"));
        node
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// Every node, in order.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeId> + ExactSizeIterator + use<A> {
        (0..self.ops.len() as u32).map(NodeId)
    }

    /// The variables, in the order in which they were made.
    pub fn leaves(&self) -> &[NodeId] {
        &self.leaves
    }

    /// The operation that computed a node.
    pub fn op(&self, node: NodeId) -> &Op<A> {
        &self.ops[node.index()]
    }

    /// The value of a node.
    pub fn value(&self, node: NodeId) -> &A {
        &self.values[node.index()]
    }

    /// The nodes that a node was computed from.
    pub fn inputs(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        self.input_slots(node).iter().map(|&i| NodeId(i))
    }

    /// The same, as positions.
    #[inline]
    pub(crate) fn input_slots(&self, node: NodeId) -> &[u32] {
        let start = node.index().checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.inputs[start as usize..self.ends[node.index()] as usize]
    }

    /// Values of a node's inputs.
    #[inline]
    pub(crate) fn input_values(&self, node: NodeId) -> SmallVec<[&A; 3]> {
        self.input_slots(node).iter().map(|&i| &self.values[i as usize]).collect()
    }

    /// Which nodes depend on a leaf.
    pub(crate) fn active(&self) -> &[bool] {
        &self.active
    }

    /// Whether each node depends on a node for which `start` holds.
    pub(crate) fn downstream_of(&self, start: impl Fn(&Op<A>) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        for node in self.nodes() {
            reached[node.index()] = start(self.op(node)) || self.inputs(node).any(|i| reached[i.index()]);
        }
        reached
    }

    /// Whether each node feeds, directly or not, a node for which `end` holds.
    pub(crate) fn upstream_of(&self, end: impl Fn(&Op<A>) -> bool) -> Vec<bool> {
        let mut reached = vec![false; self.len()];
        for node in self.nodes().rev() {
            if end(self.op(node)) || reached[node.index()] {
                for i in self.inputs(node) {
                    reached[i.index()] = true;
                }
            }
        }
        reached
    }
}

impl<A: Array> fmt::Debug for Recording<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recording({} nodes, {} leaves)", self.len(), self.leaves.len())
    }
}
