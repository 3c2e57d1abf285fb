//! Products with the Hessian along several directions in one call are those along each by itself.

use ad_core::{HessianOperator, Ops, Params, Tensor, Var};
use nn::random::Key;
use nn::{Activation, Architecture, Mlp, Module, Scope};

fn wave(shape: &[usize], phase: f64) -> Tensor<f64> {
    Tensor::from_fn(shape, |i| (1.7 * i as f64 + phase).sin())
}

#[test]
fn several_directions_give_what_each_gives() {
    let net = Mlp::new(&[5, 7, 6, 3], Activation::Tanh);
    let theta = net.init::<f64>(Key::new(2));
    let x = Var::fixed(wave(&[4, 5], 0.1));
    let f = |p: &Params<Var<Tensor<f64>>>| net.forward(&Scope::new(p), &x).output().cross_entropy(&[0, 1, 2, 1]);
    let h = HessianOperator::new(f, &theta);
    let mut vectors: Vec<_> = (0..3).map(|k| theta.map(|w| wave(w.shape(), k as f64))).collect();
    vectors.push(theta.map(|w| Tensor::full(w.shape(), 0.0)));
    for n in 0..=vectors.len() {
        let together = h.hvps(&vectors[..n]);
        assert_eq!(together.len(), n);
        for (v, found) in vectors.iter().zip(&together) {
            found.zip(&h.hvp(v), |found, want| {
                for (a, b) in found.data().iter().zip(want.data()) {
                    assert!((a - b).abs() <= 1e-13 * b.abs().max(1e-3), "{n} directions: {a} for {b}");
                }
            });
        }
    }
}

#[test]
fn directions_in_which_some_leaves_rest_are_swept_together() {
    let p = [wave(&[4, 5], 0.0), wave(&[6, 5], 1.0), wave(&[6], 2.0)];
    let f = |p: &Vec<Var<Tensor<f64>>>| p[0].linear(&p[1], Some(&p[2])).powi(3).sum_all();
    let (_, _, recording) = ad_core::transform::record(f, &p[..]);
    let v: Vec<Tensor<f64>> = p.iter().map(|w| wave(w.shape(), 3.0)).collect();
    let directions: Vec<Vec<Option<&Tensor<f64>>>> =
        (0..8u32).map(|mask| v.iter().enumerate().map(|(i, d)| (mask >> i & 1 == 1).then_some(d)).collect()).collect();
    for (direction, found) in directions.iter().zip(recording.tangents_along(&directions)) {
        let want = recording.tangents(direction);
        for node in recording.nodes() {
            match (found.of(node), want.of(node)) {
                (None, None) => {}
                (Some(a), Some(b)) => {
                    let error = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    assert!(error < 1e-12, "{direction:?}: {a:?} for {b:?}");
                }
                other => panic!("{direction:?}: {other:?}"),
            }
        }
    }
}
