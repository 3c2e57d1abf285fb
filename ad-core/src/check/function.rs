//! Checking a scalar function of a tree.

use super::compare::{Comparison, Mismatch, Report};
use super::difference::derivative;
use super::{Check, direction, filled, flat, inner};
use crate::array::{Array, Base, Ground};
use crate::operator::HessianOperator;
use crate::recording::{NodeId, Recording};
use crate::tape::Var;
use crate::transform::record_leaves;
use crate::tree::Tree;

/// Beyond this many elements the gradient is compared along a few directions instead of element by element.
const ELEMENT_BY_ELEMENT: usize = 256;

impl Check {
    /// Checks a scalar function at a point:
    ///
    /// - the gradient (reverse sweep) against differences of the value, for every element or, of a large tree, along
    ///   directions;
    /// - the tangent sweep against the gradient;
    /// - Hv by `adjoint_tangents` against a difference of the gradient;
    /// - vᵀHv by `curvature` against the product;
    /// - the Hessian's symmetry, u·Hv = v·Hu.
    ///
    /// # Errors
    /// The first disagreement, at its worst entry.
    ///
    /// # Panics
    /// If the value is not a scalar.
    pub fn function<X>(&self, f: impl Fn(&X::With<Var<X::Leaf>>) -> Var<X::Leaf>, x: &X) -> Result<Report, Mismatch>
    where
        X: Tree + ?Sized,
        X::Leaf: Ground<Scalar = f64>,
    {
        let leaves: Vec<X::Leaf> = x.leaves().into_iter().cloned().collect();
        let names: Vec<(String, usize)> =
            leaves.iter().enumerate().map(|(i, l)| (x.name(i), crate::shape::count(l.shape()))).collect();
        let mut compare = Comparison { tolerance: self.tolerance, leaves: &names, report: Report::default() };
        let point = Point { f: &f, x, leaves: &leaves, at: flat(&leaves) };
        let n = point.at.len();
        let gradient = point.gradient(&point.at);
        let (u, v) = (direction(n, 0.0), direction(n, 1.0));

        point.compare_values(self.step, &gradient, &mut compare)?;

        let operator = HessianOperator::new(&f, x);
        let product = |v: &[f64]| {
            let hv = operator.hvp(&x.rebuild(filled(&leaves, v)));
            flat(&hv.leaves().into_iter().cloned().collect::<Vec<_>>())
        };
        let along_v = filled(&leaves, &v);
        let slope = tangent(operator.recording(), point.output(), &along_v);
        compare.agree("the tangent sweep", &[slope], "gradient · direction", &[inner(&gradient, &v)])?;

        let hv = product(&v);
        let difference = derivative(self.step, |h| point.gradient(&moved(&point.at, h, &v)));
        compare.agree("Hv by adjoint_tangents", &hv, "a difference of the gradient", &difference)?;
        let c = operator.curvature(&x.rebuild(along_v));
        compare.agree("vᵀHv by curvature", &[c.total], "v · Hv", &[inner(&v, &hv)])?;
        compare.agree("u · Hv", &[inner(&u, &hv)], "v · Hu", &[inner(&v, &product(&u))])?;
        Ok(compare.report)
    }
}

/// x + h v.
pub(super) fn moved(x: &[f64], h: f64, v: &[f64]) -> Vec<f64> {
    x.iter().zip(v).map(|(x, v)| x + h * v).collect()
}

/// A function with the tree that it is checked at.
struct Point<'a, X: Tree + ?Sized, F> {
    f: &'a F,
    x: &'a X,
    leaves: &'a [X::Leaf],
    at: Vec<f64>,
}

impl<X, F> Point<'_, X, F>
where
    X: Tree + ?Sized,
    X::Leaf: Ground<Scalar = f64>,
    F: Fn(&X::With<Var<X::Leaf>>) -> Var<X::Leaf>,
{
    fn record(&self, at: &[f64]) -> (X::Leaf, Option<NodeId>, Recording<X::Leaf>) {
        record_leaves(self.f, self.x, filled(self.leaves, at))
    }

    fn value(&self, at: &[f64]) -> f64 {
        self.record(at).0.to_tensor().item()
    }

    fn output(&self) -> Option<NodeId> {
        self.record(&self.at).1
    }

    fn gradient(&self, at: &[f64]) -> Vec<f64> {
        let (value, node, recording) = self.record(at);
        match node {
            Some(node) => flat(&recording.adjoints(node, X::Leaf::full(value.shape(), 1.0)).leaves(&recording)),
            None => vec![0.0; at.len()],
        }
    }

    /// The gradient against differences of the value.
    fn compare_values(&self, step: f64, gradient: &[f64], compare: &mut Comparison<'_>) -> Result<(), Mismatch> {
        let n = gradient.len();
        let along = |v: &[f64]| derivative(step, |h| vec![self.value(&moved(&self.at, h, v))])[0];
        if n <= ELEMENT_BY_ELEMENT {
            let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>();
            let differences: Vec<f64> = (0..n).map(|i| along(&unit(i))).collect();
            return compare.agree("the gradient", gradient, "differences of the value", &differences);
        }
        for phase in [2.0, 3.0, 4.0] {
            // Of length 1, so that the step of the difference does not grow with the number of elements.
            let long = direction(n, phase);
            let length = inner(&long, &long).sqrt();
            let v: Vec<f64> = long.iter().map(|v| v / length).collect();
            compare.agree("gradient · direction", &[inner(gradient, &v)], "a difference of the value", &[along(&v)])?;
        }
        Ok(())
    }
}

/// The output's tangent along a direction of the leaves.
fn tangent<A: Ground<Scalar = f64>>(recording: &Recording<A>, output: Option<NodeId>, v: &[A]) -> f64 {
    let direction: Vec<Option<&A>> = v.iter().map(Some).collect();
    let tangents = recording.tangents(&direction);
    output.and_then(|node| tangents.of(node)).map_or(0.0, |t| t.to_tensor().item())
}
