//! Every primitive of the registry in single precision: value and rules against double precision.

use ad_core::ops::Forms;
use ad_core::registry::{Visitor, visit};
use ad_core::{Advance, Array, At, Cotangents, Primitive, Real, Tensor};

/// Rounding of a few operations on numbers near 1, in `f32`.
const TOLERANCE: f64 = 1e-6;

#[derive(Default)]
struct CompareAll {
    failures: Vec<String>,
    compared: usize,
}

/// What a primitive gives at one precision, each part flattened to doubles.
fn parts<T: Real, P: Primitive>(p: &P, inputs: &[Tensor<f64>]) -> Vec<(&'static str, Vec<f64>)> {
    let cast: Vec<Tensor<T>> = inputs.iter().map(Tensor::cast).collect();
    let x: Vec<&Tensor<T>> = cast.iter().collect();
    let wave = |shape: &[usize], phase: f64| Tensor::from_fn(shape, |i| T::from_f64((2.3 * i as f64 + phase).sin()));
    let y = Tensor::apply(p.clone(), &x);
    let v: Vec<Tensor<T>> = inputs.iter().enumerate().map(|(k, t)| wave(t.shape(), 0.4 + k as f64)).collect();
    let dx: Vec<Option<&Tensor<T>>> = v.iter().map(Some).collect();
    let ybar = wave(y.shape(), 0.9);

    let flat = |t: &Tensor<T>| t.data().iter().map(|v| v.to_f64()).collect::<Vec<_>>();
    let dy = Tensor::jvp(p, &x, &y, &dx);
    let at = At { x: &x, y: &y, dy: dy.as_ref(), ybar: &ybar };
    let (multiples, forms) = (vec![None; x.len()], Forms::Cheapest);
    let node = Advance { x: &x, y: &y, ybar: Some(&ybar), dx: &dx, multiples: &multiples, forms };
    let cotangents = |rule: &dyn Fn(&mut Cotangents<'_, Tensor<T>>)| {
        let mut slots = vec![None; x.len()];
        let index: Vec<u32> = (0..x.len() as u32).collect();
        rule(&mut Cotangents::new(&mut slots, &index, &vec![true; x.len()]));
        slots.iter().flatten().flat_map(flat).collect::<Vec<_>>()
    };
    vec![
        ("value", flat(&y)),
        ("JVP", dy.as_ref().map(flat).unwrap_or_default()),
        ("VJP", cotangents(&|out| Tensor::vjp(p, &x, &y, &ybar, out))),
        ("curved VJP", cotangents(&|out| Tensor::vjp_curved(p, &at, &dx, out))),
        ("contraction", Tensor::advance(p, &node).map(|(_, term)| term).into_iter().collect()),
    ]
}

impl Visitor for CompareAll {
    fn visit<P: Primitive>(&mut self, p: P, inputs: Vec<Tensor<f64>>) {
        for ((part, single), (_, double)) in parts::<f32, P>(&p, &inputs).iter().zip(&parts::<f64, P>(&p, &inputs)) {
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()).max(1.0);
            if single.len() != double.len() || !single.iter().zip(double).all(close) {
                self.failures.push(format!("{p:?}: {part} is {single:?}, in double precision {double:?}"));
            }
            self.compared += single.len();
        }
    }
}

#[test]
fn every_rule_holds_in_single_precision() {
    let mut all = CompareAll::default();
    visit(&mut all);
    assert!(all.failures.is_empty(), "{}", all.failures.join("\n"));
    assert!(all.compared > 1000, "only {} numbers were compared", all.compared);
}
