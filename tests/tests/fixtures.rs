//! The reference models against values that PyTorch computed in double precision.

use ad_core::{HessianOperator, Params, Real, Tensor, Var};
use bench::measure::measure;
use gen_sched::{Objective, Supervised};
use nn::Mlp;
use parabola_tests::fixtures::{Check, Fixture, fixture};

const SMALL: [&str; 3] = ["single-layer", "mlp-digits", "mlp-concave"];
const LARGE: [&str; 3] = ["mlp-mnist", "mlp-wide", "mlp-wide-256"];

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs();
    assert!(error <= tolerance, "{what}: found {found}, expected {expected} (relative error {error:.1e})");
}

/// Loss, num, den and gn on both sets, as `parabola cost` computes them.
fn checks<T: Real>(f: &Fixture, tolerance: f64) {
    let measured = measure::<T>(&f.spec, &f.case, 1);
    for (set, found, Check { loss, num, den, gn }) in
        [("A", measured.check, f.expected.check), ("B", measured.check_b, f.expected.check_b)]
    {
        let what = |of: &str| format!("{}, {}, set {set}, {of}", f.name, T::NAME);
        assert_close(&what("loss"), found.loss, loss, tolerance);
        assert_close(&what("num"), found.num, num, tolerance);
        assert_close(&what("den"), found.den, den, tolerance);
        assert_close(&what("gn"), found.gn, gn, tolerance);
    }
}

fn inner(a: &Params<Tensor<f64>>, b: &Params<Tensor<f64>>) -> f64 {
    let terms = |a: &Tensor<f64>, b: &Tensor<f64>| -> f64 { a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum() };
    a.zip(b, terms).arrays().iter().sum()
}

/// The values along the probe direction, and the whole gradient and Hv where they are given, in double precision.
fn directions(f: &Fixture) {
    let net = Mlp::new(&f.spec.sizes, f.spec.act).act_out(f.spec.act_out);
    let objective = Supervised { net: &net, loss: &f.spec.loss, batch: &f.case.batch };
    let h = HessianOperator::new(|p: &Params<Var<Tensor<f64>>>| objective.record(p), &f.case.theta);
    let v = f.case.probe_direction();
    let (gradient, hv, gv, c) = (h.gradient(), h.hvp(&v), h.ggn_vp(&v), h.curvature(&v));
    let want = f.expected.direction;
    let what = |of: &str| format!("{}, {of}", f.name);
    assert_close(&what("v·g"), inner(&v, &gradient), want.vg, 1e-9);
    assert_close(&what("v·g by curvature"), c.slope, want.vg, 1e-9);
    assert_close(&what("v·Hv by adjoint_tangents"), inner(&v, &hv), want.vHv, 1e-9);
    assert_close(&what("v·Hv by curvature"), c.total, want.vHv, 1e-9);
    assert_close(&what("v·Gv by ggn_vp"), inner(&v, &gv), want.vGv, 1e-9);
    assert_close(&what("v·Gv by curvature"), c.gauss_newton.expect("the output is marked"), want.vGv, 1e-9);
    assert_close(&what("‖Hv‖²"), inner(&hv, &hv), want.HvHv, 1e-9);
    if let Some([whole_gradient, whole_hv]) = &f.second_order {
        for (of, found, expected) in [("gradient", &gradient, whole_gradient), ("Hv", &hv, whole_hv)] {
            for ((name, found), expected) in found.iter().zip(expected.arrays()) {
                for (i, (a, b)) in found.data().iter().zip(expected.data()).enumerate() {
                    assert!((a - b).abs() <= 1e-9 * b.abs(), "{}: {of}, {name}[{i}]: {a}, expected {b}", f.name);
                }
            }
        }
    }
}

#[test]
fn small_models_agree() {
    for name in SMALL {
        let f = fixture(name).expect("the small fixtures stand in the repository");
        checks::<f64>(&f, 1e-10);
        checks::<f32>(&f, 2e-5);
        assert!(f.second_order.is_some());
        directions(&f);
    }
}

#[test]
fn large_models_agree_where_their_files_are_at_hand() {
    for f in LARGE.iter().filter_map(|name| fixture(name)) {
        checks::<f64>(&f, 1e-10);
        checks::<f32>(&f, 2e-5);
        directions(&f);
    }
}

#[test]
fn the_concave_model_is_concave() {
    let f = fixture("mlp-concave").expect("it stands in the repository");
    assert!(measure::<f64>(&f.spec, &f.case, 1).check.den < 0.0);
}
