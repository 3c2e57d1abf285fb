//! Checking a primitive, at every composition of types that gives second derivatives.

use super::compare::{Comparison, Mismatch, Report};
use super::difference::derivative;
use super::function::moved;
use super::partial::inputs_at_rest;
use super::{Check, direction, filled, flat, inner};
use crate::array::{Array, At};
use crate::dual::Dual;
use crate::operator::HessianOperator;
use crate::ops::{Forms, Ops};
use crate::primitive::{Advance, Cotangents, Links, Primitive, general_vjp_tangent};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::transform::grad;

/// The type that primitives are checked on.
pub(super) type T = Tensor<f64>;

/// A scalar function of a primitive's output, curved so that the adjoint of the output moves too: Σ c y + ½ Σ d y².
pub(super) fn readout<P: Primitive, A: Array>(p: &P, x: &[A]) -> A {
    let y = A::apply(p.clone(), &x.iter().collect::<Vec<_>>());
    let weights = |phase: f64| {
        let n = crate::shape::count(y.shape());
        A::constant(&Tensor::from_vec(y.shape(), direction(n, phase)))
    };
    let (c, d) = (weights(5.0), weights(6.0));
    let squares = (y.clone() * &y * d).sum_all().scale(0.5);
    (y * c).sum_all() + squares
}

impl Check {
    /// Checks a primitive on inputs, through a curved scalar function of its output: the gradient against differences of
    /// the value and against forward mode; then the Hessian–vector product in every way there is, against a difference of
    /// the gradient:
    ///
    /// - `Var<Dual<Tensor>>` (forward over reverse), `Dual<Var<Tensor>>` (reverse over forward), `Var<Var<Tensor>>`
    ///   (reverse over reverse) and `Dual<Dual<Tensor>>` (forward over forward);
    /// - the sweeps on a recorded tape, `adjoint_tangents` and `curvature`;
    ///
    /// and the Hessian's symmetry; inputs at rest or constant, one choice of them after another; the fused rules on tensors
    /// against the generic ones; and plain floats against rank-0 tensors. The shapes of tangents and cotangents come first.
    ///
    /// # Errors
    /// The first disagreement, at its worst entry.
    pub fn primitive<P: Primitive>(&self, p: &P, inputs: &[Tensor<f64>]) -> Result<Report, Mismatch> {
        let names: Vec<(String, usize)> =
            inputs.iter().enumerate().map(|(i, t)| (format!("input {i}"), t.len())).collect();
        let mut compare = Comparison { tolerance: self.tolerance, leaves: &names, report: Report::default() };
        shapes(p, inputs, &compare)?;
        let gradient = self.first_order(p, inputs, &mut compare)?;
        self.second_order(p, inputs, &gradient, &mut compare)?;
        inputs_at_rest(p, inputs, &gradient, &mut compare)?;
        fused_rules(p, inputs, &mut compare)?;
        if inputs.iter().all(|t| t.rank() == 0) {
            plain_floats(p, inputs, &gradient, &mut compare)?;
        }
        Ok(compare.report)
    }

    /// Compares first derivatives and returns the gradient.
    fn first_order<P: Primitive>(
        &self,
        p: &P,
        inputs: &[T],
        compare: &mut Comparison<'_>,
    ) -> Result<Vec<f64>, Mismatch> {
        let x = flat(inputs);
        let gradient = gradient_at(p, inputs, &x);
        let along =
            |v: &[f64]| derivative(self.step, |h| vec![readout(p, &filled(inputs, &moved(&x, h, v))).item()])[0];
        if self.differences {
            let differences: Vec<f64> = units(x.len()).map(|e| along(&e)).collect();
            compare.agree("the gradient by Var", &gradient, "differences of the value", &differences)?;
        }
        let forward: Vec<f64> = units(x.len()).map(|e| scalar(&readout(p, &duals(inputs, &e)).tangent)).collect();
        compare.agree("the gradient by Dual", &forward, "the gradient by Var", &gradient)?;
        Ok(gradient)
    }

    /// Compares Hessian–vector products.
    fn second_order<P: Primitive>(
        &self,
        p: &P,
        inputs: &[T],
        gradient: &[f64],
        compare: &mut Comparison<'_>,
    ) -> Result<(), Mismatch> {
        let x = flat(inputs);
        let (u, v) = (direction(x.len(), 0.0), direction(x.len(), 1.0));
        let operator = HessianOperator::new(|x| readout(p, x), inputs);
        let product = |v: &[f64]| flat(&operator.hvp(&filled(inputs, v)));
        let hv = product(&v);
        let (against, expected) = if self.differences {
            let difference = derivative(self.step, |h| gradient_at(p, inputs, &moved(&x, h, &v)));
            ("a difference of the gradient", difference)
        } else {
            ("Hv by adjoint_tangents", hv.clone())
        };
        compare.agree("Hv by adjoint_tangents", &hv, against, &expected)?;
        compare.agree("Hv by Var<Dual>", &forward_over_reverse(p, inputs, &v), against, &expected)?;
        compare.agree("Hv by Dual<Var>", &reverse_over_forward(p, inputs, &v), against, &expected)?;
        compare.agree("Hv by Var<Var>", &reverse_over_reverse(p, inputs, &v), against, &expected)?;
        compare.agree("Hv by Dual<Dual>", &forward_over_forward(p, inputs, &v), against, &expected)?;

        let c = operator.curvature(&filled(inputs, &v));
        compare.agree("vᵀHv by curvature", &[c.total], "v · Hv", &[inner(&v, &expected)])?;
        compare.agree("df·v by curvature", &[c.slope], "gradient · v", &[inner(gradient, &v)])?;
        compare.agree("u · Hv", &[inner(&u, &hv)], "v · Hu", &[inner(&v, &product(&u))])
    }
}

/// A tangent must have its output's shape, and a cotangent its input's: one that was not summed back after broadcasting
/// would be misread by every comparison of elements.
fn shapes<P: Primitive>(p: &P, inputs: &[T], compare: &Comparison<'_>) -> Result<(), Mismatch> {
    let x: Vec<&T> = inputs.iter().collect();
    let y = p.eval(&x);
    let ones: Vec<T> = inputs.iter().map(|t| t.map(|_| 1.0)).collect();
    if let Some(dy) = p.jvp(&x, &y, &ones.iter().map(Some).collect::<Vec<_>>()) {
        compare.same_shape("output", "the tangent's shape", dy.shape(), "the value's", y.shape())?;
    }
    let slots = cotangents(inputs.len(), |out| p.vjp(&x, &y, &y.map(|_| 1.0), out));
    for (i, (slot, input)) in slots.iter().zip(inputs).enumerate() {
        if let Some(cotangent) = slot {
            let of = format!("input {i}");
            compare.same_shape(&of, "the cotangent's shape", cotangent.shape(), "the input's", input.shape())?;
        }
    }
    Ok(())
}

/// The gradient of the readout at elements `x`.
fn gradient_at<P: Primitive>(p: &P, inputs: &[T], x: &[f64]) -> Vec<f64> {
    flat(&grad(|x| readout(p, x), &filled(inputs, x)))
}

fn units(n: usize) -> impl Iterator<Item = Vec<f64>> {
    (0..n).map(move |i| (0..n).map(|j| f64::from(u8::from(i == j))).collect())
}

/// The inputs moving along `v`.
fn duals(inputs: &[T], v: &[f64]) -> Vec<Dual<T>> {
    inputs.iter().zip(filled(inputs, v)).map(|(x, v)| Dual::new(x.clone(), v)).collect()
}

fn scalar(t: &Option<T>) -> f64 {
    t.as_ref().map_or(0.0, Tensor::item)
}

/// The gradient on dual numbers; its tangent.
fn forward_over_reverse<P: Primitive>(p: &P, inputs: &[T], v: &[f64]) -> Vec<f64> {
    let gradient = grad(|x| readout(p, x), &duals(inputs, v));
    flat(&gradient.iter().map(Dual::tangent_or_zero).collect::<Vec<_>>())
}

/// The gradient of the derivative along `v`.
fn reverse_over_forward<P: Primitive>(p: &P, inputs: &[T], v: &[f64]) -> Vec<f64> {
    let v = filled(inputs, v);
    let slope = |x: &Vec<Var<T>>| {
        let duals: Vec<_> = x.iter().zip(&v).map(|(x, v)| Dual::new(x.clone(), Var::fixed(v.clone()))).collect();
        readout(p, &duals).tangent_or_zero()
    };
    flat(&grad(slope, inputs))
}

/// The gradient of gradient · v.
fn reverse_over_reverse<P: Primitive>(p: &P, inputs: &[T], v: &[f64]) -> Vec<f64> {
    let v = filled(inputs, v);
    let slope = |x: &Vec<Var<T>>| {
        let gradient = grad(|y| readout(p, y), x);
        let terms = gradient.iter().zip(&v).map(|(g, v)| (Var::fixed(v.clone()) * g).sum_all());
        terms.reduce(|a, b| a + b).unwrap_or_else(|| Var::fixed(Tensor::scalar(0.0)))
    };
    flat(&grad(slope, inputs))
}

/// eᵢᵀHv for each element i, two tangents at once.
fn forward_over_forward<P: Primitive>(p: &P, inputs: &[T], v: &[f64]) -> Vec<f64> {
    let mixed = |e: Vec<f64>| {
        let outer = filled(inputs, &e).into_iter().map(Dual::fixed);
        let x: Vec<_> = duals(inputs, v).into_iter().zip(outer).map(|(x, e)| Dual::new(x, e)).collect();
        readout(p, &x).tangent.map_or(0.0, |t| scalar(&t.tangent))
    };
    units(flat(inputs).len()).map(mixed).collect()
}

/// The fused rules on tensors against the generic ones.
fn fused_rules<P: Primitive>(p: &P, inputs: &[T], compare: &mut Comparison<'_>) -> Result<(), Mismatch> {
    let x: Vec<&T> = inputs.iter().collect();
    let y = p.eval(&x);
    let n = flat(inputs).len();
    let moving = filled(inputs, &direction(n, 1.0));
    let ybar = Tensor::from_vec(y.shape(), direction(y.len(), 7.0));
    let dx: Vec<Option<&T>> = moving.iter().map(Some).collect();

    let dy = p.jvp(&x, &y, &dx);
    let elements = |t: &Option<T>| t.as_ref().map_or_else(|| vec![0.0; y.len()], |t| t.data().to_vec());
    compare.agree("the fused JVP", &elements(&p.jvp_fused(&x, &y, &dx)), "the JVP", &elements(&dy))?;

    let vjp = collected(inputs, |out| p.vjp(&x, &y, &ybar, out));
    compare.agree("the fused VJP", &collected(inputs, |out| p.vjp_fused(&x, &y, &ybar, out)), "the VJP", &vjp)?;

    let at = At { x: &x, y: &y, dy: dy.as_ref(), ybar: &ybar };
    let curved = collected(inputs, |out| general_vjp_tangent(p, &at, &dx, out));
    let fused = collected(inputs, |out| p.vjp_curved_fused(&at, &dx, out));
    compare.agree("the fused curved VJP", &fused, "the derivative of the VJP", &curved)?;
    let (multiples, forms) = (vec![None; x.len()], Forms::Cheapest);
    let node = Advance { x: &x, y: &y, ybar: Some(&ybar), dx: &dx, multiples: &multiples, forms };
    let expected = inner(&curved, &flat(&moving));
    if let Some((tangent, term)) = p.advance_fused(&node) {
        compare.agree("the fused tangent", &elements(&tangent), "the JVP", &elements(&dy))?;
        compare.agree("the fused contraction", &[term], "the derivative of the VJP, contracted", &[expected])?;
    }
    // Something that tells the elements apart.
    let weight = |i: usize| 1.0 + 0.5 * (i % 7) as f64;
    let weigh = |from: usize, dy: &mut [f64]| dy.iter_mut().zip(from..).for_each(|(dy, i)| *dy *= weight(i));
    let weighed: Vec<f64> = elements(&dy).iter().enumerate().map(|(i, dy)| weight(i) * dy).collect();
    let weighs = |begun| Links { begun, then: Some(&weigh), next: None };
    let mut agree = |(tangent, term): (T, f64)| {
        compare.agree("the fused tangent, weighed", tangent.data(), "the JVP, weighed", &weighed)?;
        compare.agree("the contraction beside it", &[term], "the derivative of the VJP, contracted", &[expected])
    };
    if let Some(found) = p.advance_linked_fused(&node, weighs(None)) {
        agree(found)?;
    }
    let before: Vec<Option<&T>> = std::iter::once(None).chain(dx.iter().skip(1).copied()).collect();
    let mut first = moving[0].clone();
    let begun = p.begin_fused(&Advance { dx: &before, ..node }, Some(&weigh), &mut |next| {
        next.follow(first.data_mut());
    });
    let after: Vec<Option<&T>> = std::iter::once(Some(&first)).chain(dx.iter().skip(1).copied()).collect();
    let node = Advance { dx: &after, ..node };
    if let Some(found) = begun.and_then(|begun| p.advance_linked_fused(&node, weighs(Some(begun)))) {
        agree(found)?;
    }
    in_place(p, &x, &y, &moving, &elements(&dy), compare)
}

/// The JVP of some elements in their place, where the primitive has it.
fn in_place<P: Primitive>(
    p: &P,
    x: &[&T],
    y: &T,
    moving: &[T],
    dy: &[f64],
    compare: &mut Comparison<'_>,
) -> Result<(), Mismatch> {
    if !p.jvp_in_place::<f64>(&[], &[], &mut []) {
        return Ok(());
    }
    let (half, mut found) = (y.len() / 2, moving[0].data().to_vec());
    for part in [0..half, half..y.len()] {
        p.jvp_in_place(&x[0].data()[part.clone()], &y.data()[part.clone()], &mut found[part]);
    }
    compare.agree("the JVP in place", &found, "the JVP", dy)
}

/// What a VJP adds to the cotangents of all inputs, zeros written out.
fn collected(inputs: &[T], vjp: impl FnOnce(&mut Cotangents<'_, T>)) -> Vec<f64> {
    let or_zeros = |(slot, x): (Option<T>, &T)| slot.unwrap_or_else(|| Tensor::full(x.shape(), 0.0));
    flat(&cotangents(inputs.len(), vjp).into_iter().zip(inputs).map(or_zeros).collect::<Vec<_>>())
}

/// What a VJP adds to the cotangents of `n` inputs.
fn cotangents(n: usize, vjp: impl FnOnce(&mut Cotangents<'_, T>)) -> Vec<Option<T>> {
    let mut slots: Vec<Option<T>> = vec![None; n];
    let index: Vec<u32> = (0..n as u32).collect();
    vjp(&mut Cotangents::new(&mut slots, &index, &vec![true; n]));
    slots
}

/// A primitive of scalars on plain floats: value, gradient and Hessian–vector product.
fn plain_floats<P: Primitive>(
    p: &P,
    inputs: &[T],
    gradient: &[f64],
    compare: &mut Comparison<'_>,
) -> Result<(), Mismatch> {
    let x: Vec<f64> = flat(inputs);
    let y = f64::apply(p.clone(), &x.iter().collect::<Vec<_>>());
    let on_tensors = T::apply(p.clone(), &inputs.iter().collect::<Vec<_>>());
    compare.agree("the value on f64", &[y], "on rank-0 tensors", &[on_tensors.item()])?;
    let operator = HessianOperator::new(|x| readout(p, x), &x);
    compare.agree("the gradient on f64", &operator.gradient(), "on rank-0 tensors", gradient)?;
    let v = direction(x.len(), 1.0);
    let on_tensors = HessianOperator::new(|x| readout(p, x), inputs).hvp(&filled(inputs, &v));
    compare.agree("Hv on f64", &operator.hvp(&v), "on rank-0 tensors", &flat(&on_tensors))
}
