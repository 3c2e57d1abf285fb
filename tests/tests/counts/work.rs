//! Operations predicted from a recording equal those counted as products are computed.

use ad_core::ops::Forms;
use ad_core::transform::record;
use ad_core::work::Moving;
use ad_core::{Along, Hessian, Ops, Tensor, Var, work};
use gen_sched::{Parted, Parting, Point};
use nn::data::{Batch, Targets};
use nn::random::Key;
use nn::{Activation, Architecture, Direction, Loss, Mlp, Sgd};

fn counted<R>(f: impl FnOnce() -> R) -> (u64, R) {
    let before = work::flops();
    let result = f();
    (work::flops() - before, result)
}

fn wave(shape: &[usize]) -> Tensor<f64> {
    Tensor::from_fn(shape, |i| (1.3 * i as f64 + 0.4).sin())
}

#[test]
fn what_is_predicted_is_what_is_counted() {
    let _alone = crate::alone();
    networks();
    products_with_leading_axes();
    partial_motion();
}

/// Networks of several shapes, whole and in shards, with the gradient as direction and with any other.
fn networks() {
    for (sizes, rows) in [(&[20, 30, 10][..], 64), (&[200, 40, 40, 10], 16), (&[17, 5], 9), (&[70, 130, 130, 10], 64)] {
        for parting in [Parting::Whole, Parting::Shards(3), Parting::Automatic] {
            let net = Mlp::new(sizes, Activation::Tanh);
            let theta = net.init::<f32>(Key::new(1));
            let labels = (0..rows).map(|r| r as u32 % 5).collect();
            let classes = sizes[sizes.len() - 1];
            let inputs = wave(&[rows, sizes[0]]).cast();
            let batch = Batch { inputs, targets: Targets::Classes { labels, classes } };
            let loss = Loss::cross_entropy();
            let objective = Parted::new(&net, &loss, &batch, parting, &theta);
            let (gradient, point) = counted(|| Point::new(&objective, &theta));
            let multiples: Vec<_> =
                theta.names().iter().map(|name| Direction::<f32>::multiple(&Sgd::new(), name)).collect();
            let (along_gradient, anywhere) = (point.work(&multiples), point.work(&[]));
            let g = point.gradient();
            let other = g.map(|g| g.map_copy());
            let found = [
                counted(|| gen_sched::Objective::value(&objective, &theta)).0,
                gradient,
                counted(|| point.hvp(&g)).0,
                counted(|| point.curvature(&g, &multiples)).0,
                counted(|| point.curvature(&other, &[])).0,
            ];
            let want = [
                along_gradient.value.flops,
                along_gradient.gradient.flops,
                along_gradient.hvp.flops,
                along_gradient.curvature.flops,
                anywhere.curvature.flops,
            ];
            assert_eq!(
                found, want,
                "{sizes:?}, {rows} rows, {parting:?}: value, gradient, Hv, curvature along g, along ω"
            );
            assert!(found.iter().all(|n| *n > 0) && found[4] >= found[3]);
        }
    }
}

/// A copy that does not share its numbers, so that it is not known to be the gradient.
trait MapCopy {
    fn map_copy(&self) -> Self;
}

impl MapCopy for Tensor<f32> {
    fn map_copy(&self) -> Self {
        Tensor::from_vec(self.shape(), self.data().to_vec())
    }
}

/// Batched products, products with a transposed operand, a weight that is used twice, and a penalty.
fn products_with_leading_axes() {
    let p = [wave(&[2, 4, 3]), wave(&[3, 3]), wave(&[5, 3])];
    let f = |p: &Vec<Var<Tensor<f64>>>| {
        let y = p[0].matmul(&p[1]).tanh().matmul(&p[1]);
        let z = y.matmul_transposed(false, &p[2], true);
        z.output().powi(2).sum_all() + p[2].matmul_transposed(true, &p[2], false).sum_all()
    };
    let (flops, (_, node, recording)) = counted(|| record(f, &p[..]));
    let node = node.unwrap();
    assert_eq!(recording.value_work().flops, flops);
    let (flops, adjoints) = counted(|| recording.adjoints(node, Tensor::scalar(1.0)));
    assert_eq!(recording.adjoints_work(node).flops, flops);
    let v: Vec<_> = p.iter().map(Some).collect();
    let all = [true; 3];
    let (flops, tangents) = counted(|| recording.tangents(&v));
    assert_eq!(recording.tangents_work(&all).flops, flops);
    for of in [Hessian::Full, Hessian::GaussNewton] {
        let (flops, _) = counted(|| recording.adjoint_tangents(&adjoints, &tangents, of));
        assert_eq!(recording.adjoint_tangents_work(node, &all, of).flops, flops, "{of:?}");
    }
    let (flops, _) = counted(|| recording.curvature(node, &adjoints, &v));
    let moving = Moving { leaves: &all, multiples: &[], forms: Forms::Cheapest };
    assert_eq!(recording.curvature_work(node, &moving).flops, flops);
    assert!(recording.value_work().bytes > 0 && recording.curvature_work(node, &moving).bytes > 0);
}

/// Directions in which some leaves rest.
fn partial_motion() {
    let p = [wave(&[6, 4]), wave(&[5, 4]), wave(&[5]), wave(&[3, 5])];
    let f = |p: &Vec<Var<Tensor<f64>>>| p[0].linear(&p[1], Some(&p[2])).tanh().linear(&p[3], None).powi(2).sum_all();
    let (_, node, recording) = record(f, &p[..]);
    let node = node.unwrap();
    let adjoints = recording.adjoints(node, Tensor::scalar(1.0));
    for mask in 1..16u32 {
        let leaves: Vec<bool> = (0..4).map(|i| mask >> i & 1 == 1).collect();
        let v: Vec<_> = p.iter().zip(&leaves).map(|(w, moves)| moves.then_some(w)).collect();
        let (flops, tangents) = counted(|| recording.tangents(&v));
        assert_eq!(recording.tangents_work(&leaves).flops, flops, "tangents, {leaves:?}");
        let (flops, _) = counted(|| recording.adjoint_tangents(&adjoints, &tangents, Hessian::Full));
        let want = recording.adjoint_tangents_work(node, &leaves, Hessian::Full).flops;
        assert_eq!(want, flops, "adjoint tangents, {leaves:?}");
        let along = Along { tangents: &v, multiples: &[], forms: Forms::Cheapest };
        let (flops, _) = counted(|| recording.curvature_along(node, &adjoints, &along));
        let moving = Moving { leaves: &leaves, multiples: &[], forms: Forms::Cheapest };
        assert_eq!(recording.curvature_work(node, &moving).flops, flops, "curvature, {leaves:?}");
    }
}
