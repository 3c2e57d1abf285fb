//! The second reverse sweep: Hessian-vector products.

use crate::array::{Array, At};
use crate::primitive::Cotangents;
use crate::recording::{NodeId, Recording};
use crate::registry::Op;
use crate::sweep::{Adjoints, Tangents};

/// Which Hessian a product is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hessian {
    /// The full one, H.
    Full,
    /// The Gauss–Newton matrix JᵀL″J, where J is the derivative of the node marked [`Output`](crate::ops::Output) and L
    /// the loss as a function of it. What reads the leaves without passing the mark is left out.
    GaussNewton,
}

impl<A: Array> Recording<A> {
    /// The tangents of the adjoints along the direction of `tangents`: at the leaves, the Hessian-vector product Hv.
    ///
    /// For y = φ(x) with x̄ = vjp(x, ȳ), the chain rule gives x̄̇ = vjp(x, ȳ̇) + ∂ₓ[vjp(x, ȳ)]·ẋ: the primitive's own VJP
    /// carries ȳ̇ back, and its curvature adds the second term (Pearlmutter 1994).
    pub fn adjoint_tangents(&self, adjoints: &Adjoints<A>, tangents: &Tangents<A>, of: Hessian) -> Adjoints<A> {
        self.adjoint_tangents_along(adjoints, std::slice::from_ref(tangents), of).swap_remove(0)
    }

    /// As [`adjoint_tangents`](Recording::adjoint_tangents), along several directions in one sweep: what a node needs is
    /// loaded for all of them at once.
    pub fn adjoint_tangents_along(
        &self,
        adjoints: &Adjoints<A>,
        tangents: &[Tangents<A>],
        of: Hessian,
    ) -> Vec<Adjoints<A>> {
        let curved = match of {
            Hessian::Full => vec![true; self.len()],
            Hessian::GaussNewton => self.downstream_of(|op| matches!(op, Op::Output(_))),
        };
        let mut swept: Vec<Vec<Option<A>>> = tangents.iter().map(|_| vec![None; self.len()]).collect();
        for node in self.nodes().rev() {
            for (slots, tangents) in swept.iter_mut().zip(tangents) {
                self.pull_tangent(node, adjoints, tangents, curved[node.index()], slots);
            }
        }
        swept.into_iter().map(Adjoints::new).collect()
    }

    /// Carries one node's adjoint tangent to its inputs; the curvature term is added if `curved`.
    fn pull_tangent(
        &self,
        node: NodeId,
        adjoints: &Adjoints<A>,
        tangents: &Tangents<A>,
        curved: bool,
        slots: &mut [Option<A>],
    ) {
        let (Some(rules), Some(ybar)) = (self.op(node).curved_rules(), adjoints.of(node)) else { return };
        let (before, rest) = slots.split_at_mut(node.index());
        let dybar = rest[0].as_ref();
        let (x, y) = (self.input_values(node), self.value(node));
        let mut out = Cotangents::new(before, self.input_slots(node), self.active());
        if curved {
            let dx = self.input_tangents(node, tangents.slots());
            rules.vjp_tangent(&At { x: &x, y, dy: tangents.of(node), ybar }, &dx, dybar, &mut out);
        } else if let Some(dybar) = dybar {
            rules.vjp(&x, y, dybar, &mut out);
        }
    }
}
