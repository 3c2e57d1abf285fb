//! The forms in which a matrix product advances in the curvature sweep are one another's test: the direct form is the
//! definition.

use ad_core::ops::{Form, Forms};
use ad_core::transform::record;
use ad_core::{Along, Array, Multiple, Ops, Real, Tensor, Var, hvp};

const FORMS: [Forms; 5] = [
    Forms::Only(Form::Direct),
    Forms::Only(Form::TwoProduct),
    Forms::Only(Form::Mixed),
    Forms::Only(Form::Factored),
    Forms::Cheapest,
];

fn wave<T: Real>(shape: &[usize], phase: f64) -> Tensor<T> {
    Tensor::from_fn(shape, |i| T::from_f64((1.7 * i as f64 + phase).sin()))
}

/// Two layers, the first by the linear primitive and the second by a matrix product, with a curved loss.
fn network<A: Array>(x: &A, p: &[A]) -> A {
    let hidden = x.linear(&p[0], Some(&p[1])).tanh();
    hidden.linear(&p[2], Some(&p[3])).tanh().matmul(&p[4]).powi(3).mean_all()
}

/// Parameters of the network for batches of any size, 9 inputs, 7 and 6 hidden units, 5 outputs.
fn parameters<T: Real>() -> Vec<Tensor<T>> {
    let shapes: [&[usize]; 5] = [&[7, 9], &[7], &[6, 7], &[6], &[6, 5]];
    shapes.iter().enumerate().map(|(i, shape)| wave(shape, i as f64)).collect()
}

/// The curvature along c·g + λθ by each form, and whether the sweep is told of it.
fn curvatures<T: Real>(rows: usize, c: f64, lambda: f64) -> [f64; 5] {
    let (x, p) = (Var::fixed(wave::<T>(&[rows, 9], 0.3)), parameters::<T>());
    let (_, node, recording) = record(|p| network(&x, p), &p[..]);
    let node = node.unwrap();
    let adjoints = recording.adjoints(node, Tensor::scalar(T::from_f64(1.0)));
    let omega: Vec<Tensor<T>> =
        adjoints.leaves(&recording).iter().zip(&p).map(|(g, w)| g.scaled(c).plus_scaled(lambda, w)).collect();
    let tangents: Vec<_> = omega.iter().map(Some).collect();
    let multiples = vec![Some(Multiple { adjoint: c, value: lambda }); p.len()];
    FORMS.map(|forms| {
        let along = Along { tangents: &tangents, multiples: &multiples, forms };
        let found = recording.curvature_along(node, &adjoints, &along);
        let sum: f64 = found.terms.iter().sum();
        assert!((sum - found.total).abs() <= 1e-12 * found.total.abs(), "terms add up to the total");
        let dot: f64 = adjoints.leaves(&recording).iter().zip(&omega).map(|(g, w)| ad_core::Ground::inner(g, w)).sum();
        assert!(
            (found.slope - dot).abs() <= 1e3 * T::EPSILON * dot.abs(),
            "{forms:?}: slope {} for {dot}",
            found.slope
        );
        found.total
    })
}

#[test]
fn all_forms_give_one_curvature() {
    // Batches below, at and above the sizes at which forms change places.
    for rows in [1, 2, 5, 40] {
        for (c, lambda) in [(1.0, 0.0), (-0.7, 0.0), (1.0, 0.3), (2.5, -1.1)] {
            let [direct, others @ ..] = curvatures::<f64>(rows, c, lambda);
            for (forms, found) in FORMS[1..].iter().zip(others) {
                let error = (found - direct).abs() / direct.abs();
                assert!(error < 1e-11, "{rows} rows, {c} g + {lambda} θ, {forms:?}: {found} for {direct}");
            }
            let [direct, others @ ..] = curvatures::<f32>(rows, c, lambda);
            for (forms, found) in FORMS[1..].iter().zip(others) {
                let error = (found - direct).abs() / direct.abs();
                assert!(error < 2e-5, "f32: {rows} rows, {c} g + {lambda} θ, {forms:?}: {found} for {direct}");
            }
        }
    }
}

#[test]
fn the_direct_form_is_the_product_with_the_hessian() {
    let (x, p) = (wave::<f64>(&[4, 9], 0.3), parameters::<f64>());
    let v: Vec<Tensor<f64>> = p.iter().map(|w| wave(w.shape(), 2.2)).collect();
    let (_, _, hv) = hvp(|p| network(&Var::fixed(x.clone()), p), &p[..], &v);
    let want: f64 = v.iter().zip(&hv).map(|(v, hv)| ad_core::Ground::inner(v, hv)).sum();
    for forms in FORMS {
        let x = Var::fixed(x.clone());
        let (_, node, recording) = record(|p| network(&x, p), &p[..]);
        let adjoints = recording.adjoints(node.unwrap(), Tensor::scalar(1.0));
        let tangents: Vec<_> = v.iter().map(Some).collect();
        let found =
            recording.curvature_along(node.unwrap(), &adjoints, &Along { tangents: &tangents, multiples: &[], forms });
        assert!((found.total - want).abs() < 1e-12 * want.abs(), "{forms:?}: {} for {want}", found.total);
    }
}

#[test]
fn a_weight_that_is_used_twice_is_no_multiple_of_one_products_gradient() {
    let w = wave::<f64>(&[6, 6], 0.0);
    let x = Var::fixed(wave::<f64>(&[3, 6], 1.0));
    let twice = |w: &Var<Tensor<f64>>| x.linear(w, None).tanh().linear(w, None).powi(2).sum_all();
    let (_, node, recording) = record(twice, &w);
    let adjoints = recording.adjoints(node.unwrap(), Tensor::scalar(1.0));
    let g = adjoints.leaves(&recording);
    let [direct, others @ ..] = FORMS.map(|forms| {
        let along = Along { tangents: &[Some(&g[0])], multiples: &[], forms };
        recording.curvature_along(node.unwrap(), &adjoints, &along).total
    });
    for found in others {
        assert!((found - direct).abs() < 1e-12 * direct.abs(), "{found} for {direct}");
    }
}

#[test]
fn a_product_that_vanishes_has_no_scale_and_needs_none() {
    // X = 0, so the two-product form's s is 0.
    let (x, w) = (Tensor::full(&[3, 4], 0.0), wave::<f64>(&[5, 4], 0.0));
    let (_, node, recording) = record(|p| p[0].linear(&p[1], None).powi(2).sum_all(), &[x, w][..]);
    let adjoints = recording.adjoints(node.unwrap(), Tensor::scalar(1.0));
    let v = [wave::<f64>(&[3, 4], 1.0), wave::<f64>(&[5, 4], 2.0)];
    let [direct, two, ..] = FORMS.map(|forms| {
        let along = Along { tangents: &[Some(&v[0]), Some(&v[1])], multiples: &[], forms };
        recording.curvature_along(node.unwrap(), &adjoints, &along).total
    });
    assert!(direct > 0.0 && (two - direct).abs() < 1e-12 * direct, "{two} for {direct}");
}

/// Rows in pairs whose gradients all but cancel, so that X and Z̄ are far larger than what they come to in W̄. The factored form knows Ẇ by
/// these alone, to their rounding, and is not asked.
#[test]
fn rows_that_cancel_do_not_spoil_a_form() {
    let pairs = |a: &Tensor<f32>, b: &Tensor<f32>| Tensor::from_vec(&[40, a.shape()[1]], [a.data(), b.data()].concat());
    let (rows, r) = (wave::<f32>(&[20, 30], 0.3), wave::<f32>(&[20, 25], 1.1));
    let x = pairs(&rows, &rows.plus_scaled(1e-5, &wave(&[20, 30], 2.0)));
    let r = Var::fixed(pairs(&r, &r.scaled(-1.0)));
    let (_, node, recording) =
        record(|p| (p[0].linear(&p[1], None) * &r).sum_all(), &[x, wave::<f32>(&[25, 30], 0.7)][..]);
    let adjoints = recording.adjoints(node.unwrap(), Tensor::scalar(1.0));
    let (dx, dw) = (wave::<f32>(&[40, 30], 1.9), adjoints.leaves(&recording)[1].scaled(-1.0));
    let multiples = [None, Some(Multiple { adjoint: -1.0, value: 0.0 })];
    let [direct, others @ ..] = [Form::Direct, Form::TwoProduct, Form::Mixed].map(|form| {
        let along = Along { tangents: &[Some(&dx), Some(&dw)], multiples: &multiples, forms: Forms::Only(form) };
        recording.curvature_along(node.unwrap(), &adjoints, &along).total
    });
    for found in others {
        assert!((found - direct).abs() < 1e-4 * direct.abs(), "{found} for {direct}");
    }
}

#[test]
fn a_weight_that_is_told_to_stand_still_does() {
    let (x, w) = (wave::<f64>(&[3, 4], 0.5), wave::<f64>(&[5, 4], 0.0));
    let (_, node, recording) = record(|p| p[0].linear(&p[1], None).powi(2).sum_all(), &[x, w][..]);
    let adjoints = recording.adjoints(node.unwrap(), Tensor::scalar(1.0));
    let (dx, still) = (wave::<f64>(&[3, 4], 1.0), Tensor::full(&[5, 4], 0.0));
    let [direct, others @ ..] = FORMS.map(|forms| {
        let multiples = [None, Some(Multiple { adjoint: 0.0, value: 0.0 })];
        let along = Along { tangents: &[Some(&dx), Some(&still)], multiples: &multiples, forms };
        recording.curvature_along(node.unwrap(), &adjoints, &along).total
    });
    assert!(direct > 0.0 && others.iter().all(|found| (found - direct).abs() < 1e-12 * direct), "{others:?}");
}

/// Layers whose tangents go on to functions without curvature in their place and from there to layers, wide and narrow; one that is read twice, and
/// one whose function is curved.
fn kinked<A: Array>(x: &A, p: &[A]) -> A {
    let hidden = x.linear(&p[0], Some(&p[1])).relu().linear(&p[2], Some(&p[3])).leaky_relu(0.1);
    let twice = hidden.linear(&p[4], None);
    (twice.relu() + twice).linear(&p[5], None).abs().linear(&p[6], None).tanh().powi(3).mean_all()
}

/// The curvature of the layers above along c·g + λθ by each form, and vᵀHv by the product with the Hessian.
fn kinked_curvatures(rows: usize, threads: usize, [c, lambda]: [f64; 2]) -> ([f64; 5], f64) {
    let shapes: [&[usize]; 7] = [&[96, 64], &[96], &[72, 96], &[72], &[72, 72], &[48, 72], &[5, 48]];
    let p: Vec<Tensor<f64>> = shapes.iter().enumerate().map(|(i, shape)| wave(shape, i as f64).scale(0.3)).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let x = Var::fixed(wave::<f64>(&[rows, 64], 0.3));
        let (_, node, recording) = record(|p| kinked(&x, p), &p[..]);
        let node = node.unwrap();
        let adjoints = recording.adjoints(node, Tensor::scalar(1.0));
        let omega: Vec<Tensor<f64>> =
            adjoints.leaves(&recording).iter().zip(&p).map(|(g, w)| g.scaled(c).plus_scaled(lambda, w)).collect();
        let tangents: Vec<_> = omega.iter().map(Some).collect();
        let multiples = vec![Some(Multiple { adjoint: c, value: lambda }); p.len()];
        let found = FORMS.map(|forms| {
            let along = Along { tangents: &tangents, multiples: &multiples, forms };
            recording.curvature_along(node, &adjoints, &along).total
        });
        let inputs = wave::<f64>(&[rows, 64], 0.3);
        let (_, _, hv) = hvp(|p| kinked(&Array::lift(inputs.clone()), p), &p[..], &omega);
        (found, hv.iter().zip(&omega).map(|(h, v)| ad_core::Ground::inner(h, v)).sum())
    })
}

#[test]
fn functions_without_curvature_and_layers_go_with_what_they_read() {
    // Batches whose products are cut into blocks, by rows and by columns, and one that is not.
    for (rows, along) in [(130, [-1.0, 0.0]), (130, [1.0, 0.3]), (33, [0.8, 0.0]), (4, [1.0, -0.2])] {
        let (found, want) = kinked_curvatures(rows, 2, along);
        for (forms, found) in FORMS.iter().zip(found) {
            assert!((found - want).abs() < 1e-11 * want.abs(), "{rows} rows, {forms:?}: {found} for {want}");
        }
        for threads in [1, 3] {
            assert_eq!(kinked_curvatures(rows, threads, along).0, found, "{rows} rows on {threads} threads");
        }
    }
}
