//! Nodes of the curvature sweep that advance together, so that rows of a tangent are passed on while they are near.
//!
//! ```text
//!   layer ──► functions in place ──► first steps of the next layer
//!     Ẏ           f′(y) Ẏ               what needs these rows alone
//!   found       where they are        by the thread that has them
//! ```

use smallvec::SmallVec;

use super::curvature::{Multiples, Uses, advanced};
use crate::array::{Ground, Scalar};
use crate::ops::{Begun, Forms};
use crate::primitive::{Advance, CurvedRules, Find, InPlace, Links, Multiple, Next};
use crate::recording::{NodeId, Recording};
use crate::sweep::Adjoints;

/// What the nodes of a curvature sweep have in common.
pub(super) struct Linked<'a, A: Ground> {
    pub(super) recording: &'a Recording<A>,
    pub(super) adjoints: &'a Adjoints<A>,
    pub(super) output: NodeId,
    pub(super) uses: &'a [Uses],
    pub(super) multiples: &'a Multiples,
    pub(super) forms: Forms,
}

/// What a node reads.
pub(super) struct Read<'a, A> {
    x: SmallVec<[&'a A; 3]>,
    pub(super) dx: SmallVec<[Option<&'a A>; 3]>,
    multiples: SmallVec<[Option<Multiple>; 3]>,
}

/// A node's curvature term, and the tangent of the last node that was found with its own.
pub(super) struct Advanced<A> {
    pub(super) last: NodeId,
    pub(super) dy: Option<A>,
    pub(super) term: f64,
}

/// A node that has begun, and what with.
type Started<A> = (NodeId, Begun<Scalar<A>>);

/// A node that is a function of each element with f″ = 0.
struct Flat<'a, A: Ground> {
    node: NodeId,
    rules: &'a dyn CurvedRules<A>,
    x: &'a A,
    y: &'a A,
}

impl<'a, A: Ground> Linked<'a, A> {
    /// What a node reads, given the tangents found so far.
    #[inline]
    pub(super) fn read<'b>(&'b self, node: NodeId, tangents: &'b [Option<A>]) -> Read<'b, A> {
        let recording = self.recording;
        let multiples = recording.input_slots(node).iter().map(|&i| self.multiples.of(i)).collect();
        Read { x: recording.input_values(node), dx: recording.input_tangents(node, tangents), multiples }
    }

    /// A node before its tangent is known.
    fn advance<'b>(&'b self, node: NodeId, read: &'b Read<'_, A>) -> Advance<'b, A> {
        let (y, ybar) = (self.recording.value(node), self.adjoints.of(node));
        Advance { x: &read.x, y, ybar, dx: &read.dx, multiples: &read.multiples, forms: self.forms }
    }

    /// A node's tangent and term, with all that can be found with it. What has been begun is left in `begun`, and taken from there where it is this
    /// node.
    pub(super) fn advanced(
        &self,
        node: NodeId,
        rules: &dyn CurvedRules<A>,
        tangents: &[Option<A>],
        read: &Read<'_, A>,
        begun: &mut Option<Started<A>>,
    ) -> Advanced<A> {
        let advance = self.advance(node, read);
        let alone = || {
            let (dy, term) = advanced(rules, &advance);
            Advanced { last: node, dy, term }
        };
        if !rules.is_linkable() {
            return alone();
        }
        let mut before = begun.take_if(|(of, _)| *of == node).map(|(_, begun)| begun);
        self.with_functions(node, |last, then| {
            let is_linked = before.is_some() || then.is_some();
            let mut found = None;
            if begun.is_none()
                && let Some(reader) = self.next_reader(last, node)
            {
                let find = &mut |next: &mut Next<'_, Scalar<A>>| {
                    found = rules.advance_linked(&advance, Links { begun: before.take(), then, next: Some(next) });
                };
                *begun = self.begin(reader, tangents, find);
            }
            if found.is_none() && is_linked {
                found = rules.advance_linked(&advance, Links { begun: before.take(), then, next: None });
            }
            match found {
                Some((dy, term)) => Advanced { last, dy: Some(dy), term },
                None => alone(),
            }
        })
    }

    /// Begins this node, whose first input's tangent `find` finds.
    fn begin(&self, node: NodeId, tangents: &[Option<A>], find: &mut Find<'_, Scalar<A>>) -> Option<Started<A>> {
        let rules = self.recording.op(node).curved_rules()?;
        let read = self.read(node, tangents);
        let begun = self.with_functions(node, |_, then| rules.begin(&self.advance(node, &read), then, find))?;
        Some((node, begun))
    }

    /// What `f` makes of the functions in place that follow a node: of the last of them, or the node itself where there are none, and of what a
    /// tangent becomes by them.
    fn with_functions<R>(&self, node: NodeId, f: impl FnOnce(NodeId, Option<&InPlace<'_, Scalar<A>>>) -> R) -> R {
        let functions = self.flat_readers(node);
        let Some(last) = functions.last() else { return f(node, None) };
        let in_place = |from: usize, dx: &mut [Scalar<A>]| {
            for Flat { rules, x, y, .. } in &functions {
                rules.jvp_in_place(x, y, from, dx);
            }
        };
        f(last.node, Some(&in_place))
    }

    /// The node that alone reads this one, as its first input, and beside it only what was visited before `node`, if it may begin early. None
    /// reads the output alone, whose tangent the slope is found from.
    fn next_reader(&self, read: NodeId, node: NodeId) -> Option<NodeId> {
        let Uses { times, last } = self.uses[read.index()];
        let (reader, recording) = (NodeId(last), self.recording);
        let is_known = |&input: &u32| input < node.0 || recording.op(NodeId(input)).rules().is_none();
        let [first, others @ ..] = recording.input_slots(reader) else { return None };
        let is_linkable = || recording.op(reader).curved_rules().is_some_and(CurvedRules::is_linkable);
        (times == 1 && read != self.output && *first == read.0 && is_linkable() && others.iter().all(is_known))
            .then_some(reader)
    }

    /// The node that alone reads this one, and reads no other.
    fn sole_reader(&self, node: NodeId) -> Option<NodeId> {
        let Uses { times, last } = self.uses[node.index()];
        (times == 1 && self.recording.input_slots(NodeId(last)).len() == 1).then_some(NodeId(last))
    }

    /// The nodes that follow this one, up to the output at most, each of which alone reads the one before, and is a function of each element with
    /// f″ = 0; with their input and output.
    fn flat_readers(&self, node: NodeId) -> SmallVec<[Flat<'a, A>; 2]> {
        let (mut readers, mut last) = (SmallVec::new(), node);
        let recording = self.recording;
        while last != self.output
            && let Some(node) = self.sole_reader(last)
            && let Some(rules) = recording.op(node).curved_rules()
            && rules.jvp_in_place(recording.value(last), recording.value(node), 0, &mut [])
        {
            readers.push(Flat { node, rules, x: recording.value(last), y: recording.value(node) });
            last = node;
        }
        readers
    }
}
