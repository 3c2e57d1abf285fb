//! The parts of the curvature: Gauss–Newton, residual, and what reads the parameters directly.

use ad_core::{Array, HessianOperator, Ops, Params, Tensor, Var, hessian, jacobian};
use approx::assert_relative_eq;

/// A small network with tanh and softmax cross-entropy, its output marked or not, with a penalty on the weight.
fn loss<A: Array>(p: &Params<A>, x: &A, marked: bool, penalty: f64) -> A {
    let z = output(p, x);
    let z = if marked { z.output() } else { z };
    tail(&z) + p.get("w").powi(4).sum_all().scale(penalty)
}

fn output<A: Array>(p: &Params<A>, x: &A) -> A {
    x.linear(p.get("w"), Some(p.get("b"))).tanh().matmul(p.get("u"))
}

fn tail<A: Array>(z: &A) -> A {
    z.cross_entropy(&[0, 2, 1, 1])
}

fn setup() -> (Params<Tensor<f64>>, Tensor<f64>, Params<Tensor<f64>>) {
    let wave = |shape: &[usize], phase: f64| Tensor::from_fn(shape, |i| (1.3 * i as f64 + phase).sin());
    let theta = Params::new([("w", wave(&[3, 2], 0.1)), ("b", wave(&[3], 0.5)), ("u", wave(&[3, 3], 0.9))]);
    let v = theta.map(|t| wave(t.shape(), 2.0));
    (theta, wave(&[4, 2], 1.7), v)
}

fn fixed(x: &Tensor<f64>) -> Var<Tensor<f64>> {
    Var::fixed(x.clone())
}

fn inner(a: &Params<Tensor<f64>>, b: &Params<Tensor<f64>>) -> f64 {
    a.zip(b, |a, b| a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum::<f64>()).arrays().iter().sum()
}

#[test]
fn the_gauss_newton_part_is_jt_l_j() {
    let (theta, x, v) = setup();
    let h = HessianOperator::new(|p| loss(p, &fixed(&x), true, 0.3), &theta);
    let c = h.curvature(&v);
    let ggn = h.ggn_vp(&v);

    // Explicitly: J by rows, L″ dense.
    let j = jacobian(|p| output(p, &fixed(&x)), &theta);
    let z = output(&theta, &x);
    let l = hessian(tail, &z);
    let flat: Vec<f64> = v.arrays().iter().flat_map(|t| t.data().to_vec()).collect();
    let zdot = j.matmul(&Tensor::from_vec(&[flat.len(), 1], flat));
    let lz = l.matmul(&zdot);
    let explicit: f64 = zdot.data().iter().zip(lz.data()).map(|(a, b)| a * b).sum();
    let product = j.matmul_transposed(true, &lz, false);

    assert_relative_eq!(c.gauss_newton.unwrap(), explicit, max_relative = 1e-12);
    assert_relative_eq!(inner(&v, &ggn), explicit, max_relative = 1e-12);
    let found: Vec<f64> = ggn.arrays().iter().flat_map(|t| t.data().to_vec()).collect();
    for (a, b) in found.iter().zip(product.data()) {
        assert_relative_eq!(a, b, max_relative = 1e-11, epsilon = 1e-14);
    }
    assert!(explicit > 0.0, "cross-entropy is convex in the output");
}

#[test]
fn parts_add_up_and_penalties_stand_apart() {
    let (theta, x, v) = setup();
    let h = HessianOperator::new(|p| loss(p, &fixed(&x), true, 0.3), &theta);
    let c = h.curvature(&v);
    assert_relative_eq!(c.total, inner(&v, &h.hvp(&v)), max_relative = 1e-12);
    assert_relative_eq!(c.total, c.terms.iter().sum::<f64>(), max_relative = 1e-13);
    assert_relative_eq!(c.slope, inner(&v, &h.gradient()), max_relative = 1e-12);
    // d² of 0.3 Σ w⁴ along v.
    let penalty: f64 =
        theta.get("w").data().iter().zip(v.get("w").data()).map(|(w, v)| 0.3 * 12.0 * w * w * v * v).sum();
    assert_relative_eq!(c.direct, penalty, max_relative = 1e-12);
    let plain = HessianOperator::new(|p| loss(p, &fixed(&x), true, 0.0), &theta).curvature(&v);
    assert_eq!(plain.gauss_newton, c.gauss_newton);
    assert_relative_eq!(plain.total + penalty, c.total, max_relative = 1e-12);
}

#[test]
fn without_a_mark_there_is_no_gauss_newton_part() {
    let (theta, x, v) = setup();
    let h = HessianOperator::new(|p| loss(p, &fixed(&x), false, 0.3), &theta);
    let c = h.curvature(&v);
    assert_eq!(c.gauss_newton, None);
    assert_eq!(c.direct, c.total);
    assert!(h.ggn_vp(&v).arrays().iter().all(|t| t.data().iter().all(|x| *x == 0.0)));
}
