//! The contracted forward sweep: vᵀHv without a second reverse pass.

use smallvec::SmallVec;

use crate::array::{At, Ground};
use crate::ops::Forms;
use crate::primitive::{Advance, Cotangents, CurvedRules, Kind, Multiple};
use crate::recording::{NodeId, Recording};
use crate::registry::Op;
use crate::sweep::Adjoints;
use crate::sweep::linked::{Advanced, Linked};

/// The second derivative of f along a direction, d²f(v, v) = vᵀHv, and where it comes from.
///
/// With the network's output z marked by [`Output`](crate::ops::Output) and the loss L a function of z,
///
/// ```text
///   vᵀHv = żᵀL″ż  +  L′·d²z(v, v)  +  what reads θ without passing z
///          Gauss–Newton   residual        direct (penalties)
/// ```
///
/// Parts are told apart by operation: one downstream of the mark counts as Gauss–Newton with all that it reads. So L should
/// read θ through z alone, and a penalty be added after the loss, not multiplied with it.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Curvature {
    /// vᵀHv.
    pub total: f64,
    /// The Gauss–Newton part żᵀL″ż, never negative for a convex loss; `None` where no output is marked.
    pub gauss_newton: Option<f64>,
    /// The part of operations neither up- nor downstream of the mark, such as a penalty on θ; all of it without a mark.
    pub direct: f64,
    /// The first derivative df·v at the output, found on the way.
    pub slope: f64,
    /// What each node contributed, ȳ·φ″[ẋ, ẋ], by position; they add up to the total.
    pub terms: Vec<f64>,
}

/// A direction of the leaves, with what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Along<'a, A> {
    /// The tangent of each leaf; `None` is zero.
    pub tangents: &'a [Option<&'a A>],
    /// For each leaf, its tangent as a multiple of its adjoint and value where it is known to be one; empty if for none.
    pub multiples: &'a [Option<Multiple>],
    /// The forms allowed for products.
    pub forms: Forms,
}

impl<A: Ground> Recording<A> {
    /// Second derivative along a direction of the leaves (`None` is zero), given the adjoints of the output.
    ///
    /// Leaves move in straight lines, so for a graph of primitives y = φ(x)
    ///
    /// ```text
    ///   d²f(v, v) = Σ over nodes  ȳ · φ″[ẋ, ẋ]
    /// ```
    ///
    /// one forward sweep that contracts each node's curvature with its adjoint as it goes.
    ///
    /// # Panics
    /// If the number or a shape of the tangents differs from the leaves'.
    #[track_caller]
    pub fn curvature(&self, output: NodeId, adjoints: &Adjoints<A>, direction: &[Option<&A>]) -> Curvature {
        self.curvature_along(output, adjoints, &Along { tangents: direction, multiples: &[], forms: Forms::Cheapest })
    }

    /// As [`curvature`](Recording::curvature), where more is known of the direction: along the gradient, products cost less.
    ///
    /// A tangent that is stored in the place of its leaf's adjoint is known to be the gradient without being told.
    ///
    /// # Panics
    /// If the number or a shape of the tangents differs from the leaves', or multiples are given, but not for each leaf.
    #[track_caller]
    pub fn curvature_along(&self, output: NodeId, adjoints: &Adjoints<A>, along: &Along<'_, A>) -> Curvature {
        let mut tangents = self.leaf_tangents(along.tangents);
        let uses = self.uses();
        let multiples = self.multiples(adjoints, along, &uses);
        let links =
            Linked { recording: self, adjoints, output, uses: &uses, multiples: &multiples, forms: along.forms };
        let mut terms = vec![0.0; self.len()];
        // A node that began while the tangent of its first input was found.
        let mut begun = None;
        for node in self.nodes() {
            if tangents[node.index()].is_some() {
                // A leaf, or found with what it reads.
                continue;
            }
            let Some(rules) = self.op(node).curved_rules() else { continue };
            let read = links.read(node, &tangents);
            if read.dx.iter().all(Option::is_none) {
                continue;
            }
            let Advanced { last, dy, term } = links.advanced(node, rules, &tangents, &read, &mut begun);
            drop(read);
            terms[node.index()] = term;
            for &input in self.input_slots(node) {
                if uses[input as usize].last == node.0 && input != output.0 {
                    tangents[input as usize] = None;
                }
            }
            tangents[last.index()] = dy;
        }
        let slope = match (&tangents[output.index()], adjoints.of(output)) {
            (Some(dy), Some(seed)) => dy.inner(seed),
            _ => 0.0,
        };
        self.attributed(terms, slope)
    }

    /// How often each node is read, and by which last.
    pub(crate) fn uses(&self) -> Vec<Uses> {
        let mut uses: Vec<Uses> = self.nodes().map(|node| Uses { times: 0, last: node.0 }).collect();
        for node in self.nodes() {
            for &input in self.input_slots(node) {
                let times = uses[input as usize].times + 1;
                uses[input as usize] = Uses { times, last: node.0 };
            }
        }
        uses
    }

    /// Which leaves that one node alone reads move along a multiple of their adjoint and value: those that are told, and those
    /// whose tangent is the adjoint itself.
    #[track_caller]
    fn multiples(&self, adjoints: &Adjoints<A>, along: &Along<'_, A>, uses: &[Uses]) -> Multiples {
        let leaves = self.leaves();
        assert!(
            along.multiples.is_empty() || along.multiples.len() == leaves.len(),
            "curvature: {} multiples for {} leaves",
            along.multiples.len(),
            leaves.len()
        );
        let is_adjoint = |i: usize| match (along.tangents[i], adjoints.of(leaves[i])) {
            (Some(tangent), Some(adjoint)) if tangent.is(adjoint) => Some(Multiple { adjoint: 1.0, value: 0.0 }),
            _ => None,
        };
        let known = |i: usize| along.multiples.get(i).copied().flatten().or_else(|| is_adjoint(i));
        self.known_multiples((0..leaves.len()).map(known), uses)
    }

    /// Those of the leaves' multiples, one for each leaf or none at all, that one node alone reads.
    pub(crate) fn known_multiples(
        &self,
        multiples: impl IntoIterator<Item = Option<Multiple>>,
        uses: &[Uses],
    ) -> Multiples {
        let known = self.leaves().iter().zip(multiples).filter_map(|(leaf, multiple)| Some((leaf.0, multiple?)));
        Multiples(known.filter(|(leaf, _)| uses[*leaf as usize].times == 1).collect())
    }

    /// Splits the terms into parts by where they stand relative to the marked output.
    fn attributed(&self, terms: Vec<f64>, slope: f64) -> Curvature {
        let is_output = |op: &Op<A>| matches!(op, Op::Output(_));
        let down = self.downstream_of(is_output);
        let sum = |keep: &dyn Fn(usize) -> bool| (0..terms.len()).filter(|&i| keep(i)).map(|i| terms[i]).sum::<f64>();
        let marked = down.contains(&true);
        let elsewhere = (0..terms.len()).any(|i| !down[i] && terms[i] != 0.0);
        let direct = if elsewhere {
            let up = self.upstream_of(is_output);
            sum(&|i| !down[i] && !up[i])
        } else {
            0.0
        };
        Curvature { total: terms.iter().sum(), gauss_newton: marked.then(|| sum(&|i| down[i])), direct, slope, terms }
    }
}

/// How a node is read.
#[derive(Clone, Copy)]
pub(crate) struct Uses {
    /// How often.
    pub(super) times: u32,
    /// The last node that does; the node itself where none does.
    pub(super) last: u32,
}

/// Leaves whose tangents are multiples of their adjoints, in order.
pub(crate) struct Multiples(Vec<(u32, Multiple)>);

impl Multiples {
    pub(crate) fn of(&self, node: u32) -> Option<Multiple> {
        self.0.binary_search_by_key(&node, |(leaf, _)| *leaf).ok().map(|i| self.0[i].1)
    }
}

/// The tangent of a node, and its curvature term.
pub(super) fn advanced<A: Ground>(rules: &dyn CurvedRules<A>, node: &Advance<'_, A>) -> (Option<A>, f64) {
    if let Some(together) = rules.advance(node) {
        return together;
    }
    let Advance { x, y, dx, .. } = *node;
    let dy = rules.jvp(x, y, dx);
    let term = match node.ybar {
        Some(ybar) => contracted(rules, &At { x, y, dy: dy.as_ref(), ybar }, dx),
        None => 0.0,
    };
    (dy, term)
}

/// ȳ·φ″[ẋ, ẋ] of one node that has no formula of its own: by its kind, or as ⟨∂ₓ[vjp(x, ȳ)]·ẋ, ẋ⟩.
fn contracted<A: Ground>(rules: &dyn CurvedRules<A>, at: &At<'_, A>, dx: &[Option<&A>]) -> f64 {
    match rules.kind() {
        Kind::Constant | Kind::Linear | Kind::PiecewiseLinear => 0.0,
        Kind::Bilinear => match (dx[0], dx[1]) {
            (Some(a), Some(b)) => 2.0 * rules.apply(&[a, b]).inner(at.ybar),
            _ => 0.0,
        },
        Kind::General => by_vjp(rules, at, dx),
    }
}

fn by_vjp<A: Ground>(rules: &dyn CurvedRules<A>, at: &At<'_, A>, dx: &[Option<&A>]) -> f64 {
    let n = dx.len();
    let mut slots: SmallVec<[Option<A>; 3]> = (0..n).map(|_| None).collect();
    let index: SmallVec<[u32; 3]> = (0..n as u32).collect();
    let moving: SmallVec<[bool; 3]> = dx.iter().map(Option::is_some).collect();
    rules.vjp_curved(at, dx, &mut Cotangents::new(&mut slots, &index, &moving));
    slots.iter().zip(dx).filter_map(|(s, d)| Some(s.as_ref()?.inner((*d)?))).sum()
}
