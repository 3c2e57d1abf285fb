//! What every rival keeps to.

use ad_core::Tensor;
use nn::data::Targets;
use nn::random::Key;
use nn::{Activation, Architecture, Loss, Mlp};

use crate::rivals::{
    AdGd, AliG, Armijo, Ascent, BarzilaiBorwein, Cdat, DAdaptedAdam, DAdaptedSgd, Dog, HessianAware, Hypergradient, L4,
    Momo, Pal, Polyak, Prodigy, QlabGrad, Salsa, Scaling, Secant,
};
use crate::rule::testing::{Descent, Seen, along_gradient, choose, quadratic};
use crate::rule::{Joint, Mover};
use crate::{Reason, Stepper};

type Maker = fn() -> Mover<f64>;

/// Every rival by its name and how to make it.
fn all() -> Vec<(&'static str, Maker)> {
    vec![
        ("ad_gd", || along_gradient(AdGd::default())),
        ("ali_g", || along_gradient(AliG::default())),
        ("armijo", || along_gradient(Armijo::default())),
        ("barzilai_borwein", || along_gradient(BarzilaiBorwein::default())),
        ("barzilai_borwein, short", || along_gradient(BarzilaiBorwein::new(Secant::Short))),
        ("cdat", || along_gradient(Cdat::new(1.5))),
        ("d_adapted_adam", || owning(DAdaptedAdam::default())),
        ("d_adapted_sgd", || owning(DAdaptedSgd::default())),
        ("d_adapted_sgd", || owning(DAdaptedSgd::default().with_momentum(0.9))),
        ("dog", || along_gradient(Dog::default())),
        ("dog, weighted", || along_gradient(Dog::default().weighted())),
        ("hessian_aware, cg", || along_gradient(HessianAware::new(Scaling::ConjugateGradient))),
        ("hessian_aware, gm", || along_gradient(HessianAware::new(Scaling::GeometricMean))),
        ("hessian_aware", || along_gradient(HessianAware::default())),
        ("hypergradient", || along_gradient(Hypergradient::default())),
        ("hypergradient", || along_gradient(Hypergradient::new(Ascent::Multiplicative(0.02)))),
        ("l4", || along_gradient(L4::default())),
        ("momo", || owning(Momo::default())),
        ("pal", || along_gradient(Pal::default())),
        ("sps_max", || along_gradient(Polyak::default())),
        ("prodigy", || owning(Prodigy::default())),
        ("qlabgrad", || along_gradient(QlabGrad::default())),
        ("salsa", || along_gradient(Salsa::default())),
    ]
}

fn owning(rule: impl Joint<f64> + 'static) -> Mover<f64> {
    Mover::Joint(Box::new(rule))
}

const CURVATURES: &[f64] = &[0.5, 3.0, 50.0];
const START: &[f64] = &[2.0, -1.0, 0.5];

/// What a run did, bit for bit.
fn bits(seen: &[Seen]) -> Vec<Vec<u64>> {
    let numbers = |s: &Seen| [s.x.as_slice(), &[s.value, s.choice.alpha]].concat();
    seen.iter().map(|s| numbers(s).into_iter().map(f64::to_bits).collect()).collect()
}

#[test]
fn every_rival_is_named_as_here() {
    for (name, make) in all() {
        assert_eq!(Some(make().rule().name()), name.split(',').next());
    }
}

#[test]
fn every_rival_descends_an_ill_conditioned_quadratic() {
    for (name, make) in all() {
        let seen = Descent::new(make(), START).steps(&quadratic(CURVATURES), 60);
        let (first, last) = (seen[0].value, seen[59].value);
        assert!(last.is_finite() && last < first, "{name}: {first} to {last}");
    }
}

#[test]
fn asking_twice_changes_nothing() {
    for (name, make) in all() {
        let once = Descent::new(make(), START).steps(&quadratic(CURVATURES), 30);
        let twice = Descent::new(make(), START).asking_twice().steps(&quadratic(CURVATURES), 30);
        assert_eq!(bits(&once), bits(&twice), "{name}");
    }
}

#[test]
fn every_rival_goes_on_from_its_state() {
    for (name, make) in all() {
        for steps in [0, 1, 7] {
            let mut left = Descent::new(make(), START);
            left.steps(&quadratic(CURVATURES), steps);
            let mut resumed = left.resumed(make());
            let [left, resumed] = [&mut left, &mut resumed].map(|d| bits(&d.steps(&quadratic(CURVATURES), 20)));
            assert_eq!(left, resumed, "{name} after {steps} steps");
        }
    }
}

#[test]
fn a_state_of_another_rule_is_refused() {
    let theta = ad_core::Params::new([("x", ad_core::Tensor::full(&[1], 1.0))]);
    let alien = nn::State::default().with_number("of another rule", 1);
    for (name, make) in all() {
        assert!(make().rule_mut().restore(alien.clone(), &theta).is_err(), "{name}");
    }
}

#[test]
fn a_step_that_is_not_taken_leaves_nothing() {
    for (name, make) in all() {
        let mut descent = Descent::new(make(), START);
        descent.steps(&quadratic(CURVATURES), 5);
        let rule = descent.rule_mut();
        let before = rule.state();
        choose(rule, quadratic(CURVATURES), START, 0.0);
        rule.forget();
        // It goes on as before, or starts afresh.
        let after = rule.state();
        assert!(after == before || after == make().rule().state(), "{name}: {after:?}");
    }
}

#[test]
fn every_rival_trains_a_network_and_goes_on_from_its_state() {
    let (x, y) = samples();
    let start = |mover| {
        let net = Mlp::new(&[2, 6, 1], Activation::Tanh);
        let theta = net.init::<f64>(Key::new(1));
        match mover {
            Mover::Apart(direction, rule) => Stepper::new(Box::new(net), theta, Loss::Mse, direction, rule),
            Mover::Joint(joint) => Stepper::joint(Box::new(net), theta, Loss::Mse, joint),
        }
    };
    for (name, make) in all() {
        let mut training = start(make());
        let reports: Vec<_> = (0..40).map(|_| training.step(&x, &y)).collect();
        assert!(reports.iter().all(|r| r.reason != Reason::NonFinite), "{name}");
        assert!(reports[39].loss < reports[0].loss, "{name}: {} to {}", reports[0].loss, reports[39].loss);
        let mut again = start(make());
        again.restore(training.state()).unwrap();
        for _ in 0..5 {
            assert_eq!(training.step(&x, &y), again.step(&x, &y), "{name}");
        }
    }
}

/// Points of a saddle.
fn samples() -> (Tensor<f64>, Targets<f64>) {
    let points: Vec<_> = (0..12).map(|i| [f64::from(i % 4) / 2.0 - 0.75, f64::from(i / 4) / 2.0 - 0.5]).collect();
    let heights = points.iter().map(|[a, b]| 1.0 + a * b).collect();
    (Tensor::from_vec(&[12, 2], points.concat()), Targets::Values(Tensor::from_vec(&[12, 1], heights)))
}
