//! Checking a primitive of several inputs with some of them at rest: absent tangents, and cotangents that nobody wants.

use super::compare::{Comparison, Mismatch};
use super::primitive::{T, readout};
use super::{direction, filled, flat, inner};
use crate::operator::HessianOperator;
use crate::primitive::Primitive;
use crate::recording::{NodeId, Recording};
use crate::sweep::{Adjoints, Hessian};
use crate::tape::Var;
use crate::tensor::Tensor;
use crate::transform::record;

/// Compares, for subsets of the inputs: inputs at rest, whose tangents are absent, with tangents that are zeros; and
/// inputs that are constants, whose cotangents are not wanted, with the same rows of the whole derivatives.
pub(super) fn inputs_at_rest<P: Primitive>(
    p: &P,
    inputs: &[T],
    gradient: &[f64],
    compare: &mut Comparison<'_>,
) -> Result<(), Mismatch> {
    let (_, output, recording) = record(|x| readout(p, x), inputs);
    let Some(output) = output else { return Ok(()) };
    let swept = Swept { output, adjoints: recording.adjoints(output, Tensor::scalar(1.0)), recording };
    let v = filled(inputs, &direction(gradient.len(), 1.0));
    for moving in subsets(inputs.len()) {
        let zeros: Vec<T> = v.iter().zip(&moving).map(|(v, &m)| if m { v.clone() } else { v.map(|_| 0.0) }).collect();
        let written = swept.along(&zeros.iter().map(Some).collect::<Vec<_>>());
        let absent = swept.along(&v.iter().zip(&moving).map(|(v, &m)| m.then_some(v)).collect::<Vec<_>>());
        compare.agree("Hv with absent tangents", &absent.hv, "with zeros", &written.hv)?;
        compare.agree("df·v with absent tangents", &[absent.slope], "with zeros", &[written.slope])?;
        compare.agree("vᵀHv with absent tangents", &[absent.curvature], "with zeros", &[written.curvature])?;
        compare.agree(
            "vᵀHv with absent tangents",
            &[absent.curvature],
            "v · Hv",
            &[inner(&flat(&zeros), &written.hv)],
        )?;

        let partial = with_constants(p, inputs, &moving, &v);
        let mask = |of: &[f64]| mask(inputs, &moving, of);
        compare.agree("the gradient with constant inputs", &partial.gradient, "the gradient", &mask(gradient))?;
        compare.agree("Hv with constant inputs", &partial.hv, "with zeros", &mask(&written.hv))?;
        compare.agree("vᵀHv with constant inputs", &[partial.curvature], "with zeros", &[written.curvature])?;
    }
    Ok(())
}

/// Which inputs move: every choice but none and all, or of many inputs, each alone and all others.
fn subsets(n: usize) -> Vec<Vec<bool>> {
    match n {
        0 | 1 => Vec::new(),
        2..=4 => (1..(1 << n) - 1).map(|bits: usize| (0..n).map(|i| bits >> i & 1 == 1).collect()).collect(),
        _ => (0..n).flat_map(|k| [true, false].map(|alone| (0..n).map(|i| (i == k) == alone).collect())).collect(),
    }
}

/// The readout recorded with every input a leaf.
struct Swept {
    output: NodeId,
    adjoints: Adjoints<T>,
    recording: Recording<T>,
}

/// Second-order results along one direction.
struct Along {
    hv: Vec<f64>,
    slope: f64,
    curvature: f64,
}

impl Swept {
    fn along(&self, direction: &[Option<&T>]) -> Along {
        let tangents = self.recording.tangents(direction);
        let hv = self.recording.adjoint_tangents(&self.adjoints, &tangents, Hessian::Full);
        let curvature = self.recording.curvature(self.output, &self.adjoints, direction);
        Along { hv: flat(&hv.leaves(&self.recording)), slope: curvature.slope, curvature: curvature.total }
    }
}

/// The derivatives with respect to the moving inputs.
struct Partial {
    gradient: Vec<f64>,
    hv: Vec<f64>,
    curvature: f64,
}

/// Differentiates with the inputs that do not move as constants; zeros stand for these.
fn with_constants<P: Primitive>(p: &P, inputs: &[T], moving: &[bool], v: &[T]) -> Partial {
    let part = |of: &[T]| -> Vec<T> { of.iter().zip(moving).filter(|(_, m)| **m).map(|(t, _)| t.clone()).collect() };
    let leaves = part(inputs);
    let f = |x: &Vec<Var<T>>| {
        let mut x = x.iter().cloned();
        let all = inputs
            .iter()
            .zip(moving)
            .map(|(t, &m)| if m { x.next() } else { None }.unwrap_or_else(|| Var::fixed(t.clone())));
        readout(p, &all.collect::<Vec<_>>())
    };
    let operator = HessianOperator::new(f, &leaves);
    let whole = |of: Vec<T>| {
        let mut of = of.into_iter();
        let all =
            inputs.iter().zip(moving).map(|(t, &m)| if m { of.next() } else { None }.unwrap_or_else(|| t.map(|_| 0.0)));
        flat(&all.collect::<Vec<_>>())
    };
    let v = part(v);
    Partial {
        gradient: whole(operator.gradient()),
        hv: whole(operator.hvp(&v)),
        curvature: operator.curvature(&v).total,
    }
}

/// These elements where their input moves, else 0.
fn mask(inputs: &[T], moving: &[bool], of: &[f64]) -> Vec<f64> {
    let kept = filled(inputs, of).into_iter().zip(moving).map(|(t, &m)| if m { t } else { t.map(|_| 0.0) });
    flat(&kept.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_moves_in_one_choice_and_rests_in_another() {
        assert!(subsets(1).is_empty());
        assert_eq!(subsets(3).len(), 6);
        for n in 2..8 {
            let choices = subsets(n);
            for i in 0..n {
                assert!(choices.iter().any(|c| c[i]) && choices.iter().any(|c| !c[i]), "input {i} of {n}");
            }
            assert!(choices.iter().all(|c| c.contains(&true) && c.contains(&false)));
        }
    }
}
