//! The reference models against values that PyTorch computed in double precision.

use ad_core::{HessianOperator, Params, Real, Tensor, Var};
use bench::measure::{Problem, measure};
use bench::reference::Case;
use gen_sched::{Objective, Point, Supervised};
use nn::{Context, Optimizer};
use parabola_tests::fixtures::{Check, Fixture, fixture};

const SMALL: [&str; 6] = ["single-layer", "mlp-digits", "mlp-concave", "cnn-small", "cnn-pools", "gpt-small"];
const LARGE: [&str; 5] = ["mlp-mnist", "mlp-wide", "mlp-wide-256", "cnn", "gpt"];

#[track_caller]
fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let error = (found - expected).abs() / expected.abs();
    assert!(error <= tolerance, "{what}: found {found}, expected {expected} (relative error {error:.1e})");
}

/// What the engine finds on one set in precision `T`: the parameters, computed in double precision, are rounded to it.
fn found<T: Real>(f: &Fixture, set: &Case) -> Check {
    let net = f.spec.net::<T>();
    let batch = set.batch.cast::<T>();
    let theta = set.theta.map(Tensor::cast::<T>);
    let objective = Supervised::new(&*net, &f.spec.loss, &batch);
    let point = Point::new(&objective, &theta);
    let gradient = point.gradient();
    let mut line = point.line(&gradient, &gradient);
    let curvature = line.curvature();
    let gn = curvature.gauss_newton.expect("the output is marked");
    Check { loss: line.value(), num: line.num(), den: curvature.den, gn }
}

fn assert_check(what: &str, found: Check, expected: Check, tolerance: f64) {
    assert_close(&format!("{what}, loss"), found.loss, expected.loss, tolerance);
    assert_close(&format!("{what}, num"), found.num, expected.num, tolerance);
    assert_close(&format!("{what}, den"), found.den, expected.den, tolerance);
    assert_close(&format!("{what}, gn"), found.gn, expected.gn, tolerance);
}

/// Loss, num, den and gn on both sets.
fn checks<T: Real>(f: &Fixture, tolerance: f64) {
    let of = |set: &str| format!("{}, {}, set {set}", f.name, T::NAME);
    assert_check(&of("A"), found::<T>(f, &f.case), f.expected.check, tolerance);
    assert_check(&of("B"), found::<T>(f, &f.case.set_b()), f.expected.check_b, tolerance);
}

/// The same from the functions that `parabola cost` times.
fn timed_checks<T: Real>(f: &Fixture, tolerance: f64) {
    let measured = {
        let net = f.spec.net::<T>();
        let problem =
            Problem { net: &*net, loss: &f.spec.loss, case: &f.case, context: Context::default(), spec: Some(&f.spec) };
        measure(&problem, Optimizer::Sgd, 1)
    };
    for (set, found, expected) in [("A", measured.check, f.expected.check), ("B", measured.check_b, f.expected.check_b)]
    {
        let bench::measure::Checked { loss, num, den, gn } = found;
        let what = format!("{}, {}, timed, set {set}", f.name, T::NAME);
        assert_check(&what, Check { loss, num, den, gn }, expected, tolerance);
    }
}

fn inner(a: &Params<Tensor<f64>>, b: &Params<Tensor<f64>>) -> f64 {
    let terms = |a: &Tensor<f64>, b: &Tensor<f64>| -> f64 { a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum() };
    a.zip(b, terms).arrays().iter().sum()
}

/// The values along the probe direction, and the whole gradient and Hv where they are given, in double precision.
fn directions(f: &Fixture) {
    let net = f.spec.net::<f64>();
    let objective = Supervised::new(&*net, &f.spec.loss, &f.case.batch);
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
                // The bias of attention's keys changes nothing, so its entries are rounding errors in both.
                let nothing = 1e-15 * expected.data().iter().fold(0.0f64, |most, b| most.max(b.abs()));
                for (i, (a, b)) in found.data().iter().zip(expected.data()).enumerate() {
                    let close = (a - b).abs() <= 1e-9 * b.abs() || a.abs().max(b.abs()) <= 10.0 * nothing;
                    assert!(close, "{}: {of}, {name}[{i}]: {a}, expected {b}", f.name);
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
        timed_checks::<f64>(&f, 1e-10);
        timed_checks::<f32>(&f, 2e-5);
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
    assert!(found::<f64>(&f, &f.case).den < 0.0);
}
