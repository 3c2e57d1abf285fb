//! The contracted forward sweep: vᵀHv without a second reverse pass.

use smallvec::SmallVec;

use crate::array::{At, Ground};
use crate::primitive::{Cotangents, CurvedRules, Kind};
use crate::recording::{NodeId, Recording};
use crate::registry::Op;
use crate::sweep::Adjoints;

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
        let mut tangents = self.leaf_tangents(direction);
        let mut terms = vec![0.0; self.len()];
        for node in self.nodes() {
            let Some(rules) = self.op(node).curved_rules() else { continue };
            let dx = self.input_tangents(node, &tangents);
            if dx.iter().all(Option::is_none) {
                continue;
            }
            let (x, y) = (self.input_values(node), self.value(node));
            let dy = rules.jvp(&x, y, &dx);
            if let Some(ybar) = adjoints.of(node) {
                terms[node.index()] = contracted(rules, &At { x: &x, y, dy: dy.as_ref(), ybar }, &dx);
            }
            drop(dx);
            tangents[node.index()] = dy;
        }
        let slope = match (&tangents[output.index()], adjoints.of(output)) {
            (Some(dy), Some(seed)) => dy.inner(seed),
            _ => 0.0,
        };
        self.attributed(terms, slope)
    }

    /// Splits the terms into parts by where they stand relative to the marked output.
    fn attributed(&self, terms: Vec<f64>, slope: f64) -> Curvature {
        let is_output = |op: &Op<A>| matches!(op, Op::Output(_));
        let (down, up) = (self.downstream_of(is_output), self.upstream_of(is_output));
        let sum = |keep: &dyn Fn(usize) -> bool| (0..terms.len()).filter(|&i| keep(i)).map(|i| terms[i]).sum::<f64>();
        let marked = self.nodes().any(|node| is_output(self.op(node)));
        Curvature {
            total: terms.iter().sum(),
            gauss_newton: marked.then(|| sum(&|i| down[i])),
            direct: sum(&|i| !down[i] && !up[i]),
            slope,
            terms,
        }
    }
}

/// ȳ·φ″[ẋ, ẋ] of one node: by its kind, by its own formula, or as ⟨∂ₓ[vjp(x, ȳ)]·ẋ, ẋ⟩.
fn contracted<A: Ground>(rules: &dyn CurvedRules<A>, at: &At<'_, A>, dx: &[Option<&A>]) -> f64 {
    match rules.kind() {
        Kind::Constant | Kind::Linear | Kind::PiecewiseLinear => 0.0,
        Kind::Bilinear => match (dx[0], dx[1]) {
            (Some(a), Some(b)) => 2.0 * rules.apply(&[a, b]).inner(at.ybar),
            _ => 0.0,
        },
        Kind::General => rules.contracted(at, dx).unwrap_or_else(|| by_vjp(rules, at, dx)),
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
