//! What holds for every direction.

use ad_core::{Multiple, Params, Tensor};
use proptest::prelude::*;

use super::*;

type Tree = Params<Tensor<f64>>;

/// A parameter of these elements.
pub(super) fn one(w: &[f64]) -> Tree {
    Params::new([("w", Tensor::from_vec(&[w.len()], w.to_vec()))])
}

/// The directions along gradients of one parameter, each committed once it has been proposed.
pub(super) fn omegas<const N: usize>(mut of: impl Direction<f64>, gradients: [[f64; N]; 3]) -> [[f64; N]; 3] {
    let theta = one(&[7.0; N]);
    gradients.map(|g| {
        let omega = of.propose(&theta, &one(&g));
        of.commit(&theta, &one(&g));
        std::array::from_fn(|i| omega.get("w").data()[i])
    })
}

/// Asserts that numbers are equal but for rounding.
#[track_caller]
pub(super) fn assert_near<const N: usize>(found: [[f64; N]; 3], expected: [[f64; N]; 3]) {
    for (found, expected) in found.as_flattened().iter().zip(expected.as_flattened()) {
        assert!((found - expected).abs() <= 4e-15 * expected.abs(), "{found} for {expected}");
    }
}

const NAMES: [&str; 3] = ["layers.0.weight", "layers.0.bias", "scale"];

/// Numbers without a pattern, other ones at each time.
fn tree(time: usize) -> Tree {
    let at = |i: usize| (1.3 * i as f64 + 0.7 * time as f64).sin() * if i.is_multiple_of(3) { 5.0 } else { 0.2 };
    let shapes: [&[usize]; 3] = [&[2, 3], &[2], &[]];
    Params::new(
        NAMES
            .iter()
            .zip(shapes)
            .enumerate()
            .map(|(k, (name, shape))| (*name, Tensor::from_fn(shape, |i| at(i + 10 * k)))),
    )
}

fn bits(tree: &Tree) -> Vec<u64> {
    tree.arrays().iter().flat_map(|t| t.data().iter().map(|x| x.to_bits())).collect()
}

/// Each optimizer, bare, and in wrappers.
fn directions(optimizer: Optimizer) -> [Box<dyn Direction<f64>>; 2] {
    let wrapped = Grouped::new(Clipped::by_norm(optimizer.direction(0.1), 1.5), GroupSettings::default().scale(0.5))
        .group("*.bias", GroupSettings::default().coupled_decay(0.2).decoupled_decay(0.3))
        .group("scale", GroupSettings::default().scale(0.0));
    [optimizer.direction(0.0), Box::new(Clipped::by_value(wrapped, 0.8))]
}

/// Σ βⁿ xₙ over the past, the last x first.
fn decaying(beta: f64, past: impl DoubleEndedIterator<Item = f64>) -> f64 {
    past.rev().enumerate().map(|(n, x)| beta.powf(n as f64) * x).sum()
}

/// ω without weight decay, from all gradients so far, by sums in the place of recursions.
fn by_sums(optimizer: Optimizer, past: &[f64]) -> f64 {
    let (g, t) = (past[past.len() - 1], past.len() as f64);
    let mean = |beta: f64, past: &[f64]| (1.0 - beta) * decaying(beta, past.iter().copied());
    let square = |beta: f64, past: &[f64]| (1.0 - beta) * decaying(beta, past.iter().map(|g| g * g));
    let heavy_ball = decaying(0.9, past.iter().copied());
    let adam = |v: f64| {
        let (m, v) = (mean(0.9, past) / (1.0 - 0.9f64.powf(t)), v / (1.0 - 0.999f64.powf(t)));
        m / (v.sqrt() + 1e-8)
    };
    match optimizer {
        Optimizer::Sgd => g,
        Optimizer::Momentum => heavy_ball,
        Optimizer::Nesterov => g + 0.9 * heavy_ball,
        Optimizer::RmsProp => g / (square(0.99, past).sqrt() + 1e-8),
        Optimizer::RmsPropCentered => g / ((square(0.99, past) - mean(0.99, past).powf(2.0)).sqrt() + 1e-8),
        Optimizer::Adagrad => g / (past.iter().map(|g| g * g).sum::<f64>().sqrt() + 1e-10),
        Optimizer::Adam | Optimizer::AdamW => adam(square(0.999, past)),
        Optimizer::AmsGrad => adam((1..=past.len()).map(|n| square(0.999, &past[..n])).fold(0.0, f64::max)),
        Optimizer::Lion => {
            let before = 0.01 * decaying(0.99, past[..past.len() - 1].iter().copied());
            (0.9 * before + 0.1 * g).signum()
        }
    }
}

#[test]
fn steps_are_those_of_sums_over_all_gradients() {
    let (alpha, gradients) = (0.3, [2.0, -1.0, 0.5, 0.0, 3.0, -4.0, 0.1, 0.1]);
    for &optimizer in Optimizer::ALL {
        for lambda in [0.0, 0.25] {
            let mut direction = optimizer.direction(lambda);
            let (mut theta, mut expected, mut past) = (one(&[1.5]), 1.5, Vec::new());
            for (t, g) in gradients.into_iter().enumerate() {
                let decoupled = matches!(optimizer, Optimizer::AdamW | Optimizer::Lion);
                past.push(if decoupled { g } else { g + lambda * expected });
                // Decoupled decay shrinks θ before the step, as PyTorch does.
                let shrunk = if decoupled { (1.0 - alpha * lambda) * expected } else { expected };
                expected = shrunk - alpha * by_sums(optimizer, &past);

                let omega = direction.propose(&theta, &one(&[g]));
                direction.commit(&theta, &one(&[g]));
                theta = moved(&theta, alpha, &omega);
                let found = theta.get("w").data()[0];
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{optimizer}, λ = {lambda}, step {t}: {found} for {expected}"
                );
            }
        }
    }
}

#[test]
fn proposing_changes_nothing_and_can_be_repeated() {
    for mut direction in Optimizer::ALL.iter().flat_map(|o| directions(*o)) {
        for time in 0..4 {
            let (theta, g) = (tree(100 + time), tree(time));
            let (omega, state) = (direction.propose(&theta, &g), direction.state());
            direction.propose(&tree(50), &tree(60));
            assert_eq!(bits(&direction.propose(&theta, &g)), bits(&omega), "{direction:?}");
            assert_eq!(direction.state(), state);
            direction.commit(&theta, &g);
        }
    }
}

#[test]
fn every_direction_but_the_gradient_remembers() {
    for &optimizer in Optimizer::ALL {
        let mut direction = optimizer.direction::<f64>(0.0);
        let before = direction.propose(&tree(0), &tree(1));
        // So much that Lion's sign turns.
        direction.commit(&tree(0), &tree(1).map(|g| g.scaled(-20.0)));
        let after = direction.propose(&tree(0), &tree(1));
        assert_eq!(bits(&before) == bits(&after), optimizer == Optimizer::Sgd, "{optimizer}");
    }
}

#[test]
fn momentum_is_told_through_wrappers() {
    use Optimizer::{Adagrad, RmsProp, RmsPropCentered, Sgd};
    for &optimizer in Optimizer::ALL {
        let expected = if matches!(optimizer, Sgd | RmsProp | RmsPropCentered | Adagrad) { 0.0 } else { 0.9 };
        assert_eq!(directions(optimizer).map(|d| d.momentum()), [expected; 2], "{optimizer}");
    }
}

#[test]
fn what_is_promised_as_a_multiple_is_one() {
    let sgd = || Optimizer::Sgd.direction::<f64>(0.1);
    let grouped = Grouped::new(sgd(), GroupSettings::default().scale(0.5).decoupled_decay(0.4))
        .group("*.bias", GroupSettings::default().scale(0.0))
        .group("scale", GroupSettings::default().scale(2.0).coupled_decay(0.2));
    let nested = Grouped::new(grouped, GroupSettings::default().scale(3.0).coupled_decay(0.7).decoupled_decay(0.1));
    let (theta, g) = (tree(3), tree(4));
    let omega = nested.propose(&theta, &g);
    for (name, omega) in omega.iter() {
        let Multiple { adjoint, value } = Direction::<f64>::multiple(&nested, name).expect("a multiple");
        let want = g.get(name).scaled(adjoint).plus_scaled(value, theta.get(name));
        for (found, want) in omega.data().iter().zip(want.data()) {
            assert!((found - want).abs() <= 1e-14 * want.abs(), "{name}: {found} for {want}");
        }
    }
    let frozen =
        Grouped::new(Adam::<f64>::default(), GroupSettings::default()).group("a*", GroupSettings::default().scale(0.0));
    assert_eq!(frozen.multiple("ab"), Some(Multiple { adjoint: 0.0, value: 0.0 }));
    assert_eq!(frozen.multiple("b"), None);
}

#[test]
fn a_clipped_direction_promises_no_multiple_but_where_the_gradient_has_no_part() {
    let inner = || Grouped::new(Sgd::new(), GroupSettings::default()).group("a", GroupSettings::default().scale(0.0));
    for clipped in [Clipped::by_norm(inner(), 1.0), Clipped::by_value(inner(), 1.0)] {
        assert_eq!(Direction::<f64>::multiple(&clipped, "b"), None);
        assert_eq!(Direction::<f64>::multiple(&clipped, "a"), Some(Multiple { adjoint: 0.0, value: 0.0 }));
        assert_eq!(Direction::<f64>::scales(&clipped), [1.0, 0.0]);
    }
}

#[test]
fn a_frozen_parameter_rests_whatever_its_gradient_was() {
    let settings = GroupSettings::default().scale(0.0).coupled_decay(0.5).decoupled_decay(0.5);
    for &optimizer in Optimizer::ALL {
        let mut direction = Grouped::new(optimizer.direction(0.1), GroupSettings::default()).group("scale", settings);
        for time in 0..3 {
            let omega = direction.propose(&tree(9), &tree(time));
            assert_eq!(omega.get("scale").item().to_bits(), 0, "{optimizer}");
            assert!(omega.get("layers.0.bias").data().iter().all(|x| *x != 0.0), "{optimizer}");
            direction.commit(&tree(9), &tree(time));
        }
    }
}

#[test]
fn clipping_by_norm_spares_what_is_within() {
    let g = one(&[3.0, -4.0]);
    let seen = |limit: f64| Clipped::by_norm(Sgd::new(), limit).propose(&g, &g).get("w").data().to_vec();
    assert_eq!(seen(5.0), [3.0, -4.0]);
    assert_eq!(seen(2.5), [1.5, -2.0]);
    let nan = one(&[f64::NAN, 1.0]);
    for clipped in [Clipped::by_norm(Sgd::new(), 0.1), Clipped::by_value(Sgd::new(), 0.1)] {
        assert!(clipped.propose(&nan, &nan).get("w").data()[0].is_nan());
    }
}

#[test]
#[should_panic(expected = "a limit of gradients must be positive and finite, not 0")]
fn a_limit_of_zero_is_refused() {
    Clipped::by_norm(Sgd::new(), 0.0);
}

#[test]
#[should_panic(expected = "scale must be finite and ≥ 0, not -1")]
fn a_negative_scale_is_refused() {
    let _ = Grouped::new(Sgd::new(), GroupSettings::default()).group("*", GroupSettings::default().scale(-1.0));
}

#[test]
fn a_state_of_another_direction_or_network_is_refused_and_changes_nothing() {
    let trained = |optimizer: Optimizer| {
        let mut direction = optimizer.direction::<f64>(0.0);
        direction.commit(&tree(0), &tree(1));
        direction
    };
    let missing = |entry: &str| StateError::Missing { entry: entry.to_string() };
    let unexpected = |entry: &str| StateError::Unexpected { entry: entry.to_string() };
    for (from, to, error) in [
        (Optimizer::Adam, Optimizer::Sgd, unexpected("m.layers.0.bias")),
        (Optimizer::Adam, Optimizer::Momentum, unexpected("v.layers.0.bias")),
        (Optimizer::Lion, Optimizer::Adam, missing("steps")),
        (Optimizer::Adam, Optimizer::AmsGrad, missing("v_max.layers.0.weight")),
        (Optimizer::AmsGrad, Optimizer::Adam, unexpected("v_max.layers.0.bias")),
        (Optimizer::RmsProp, Optimizer::RmsPropCentered, missing("mean.layers.0.weight")),
        (Optimizer::RmsPropCentered, Optimizer::RmsProp, unexpected("mean.layers.0.bias")),
        (Optimizer::Momentum, Optimizer::Adagrad, unexpected("m.layers.0.bias")),
    ] {
        let mut direction = trained(to);
        let before = direction.state();
        assert_eq!(direction.restore(trained(from).state(), &tree(0)), Err(error), "{from} to {to}");
        assert_eq!(direction.state(), before, "{from} to {to}");
    }
    let other = tree(0).with(vec![Tensor::full(&[2, 3], 0.0), Tensor::full(&[3], 0.0), Tensor::scalar(0.0)]);
    let shape = StateError::Shape { entry: "m.layers.0.bias".to_string(), found: vec![2], expected: vec![3] };
    assert_eq!(trained(Optimizer::Adam).restore(trained(Optimizer::Adam).state(), &other), Err(shape));
    let mut cut = trained(Optimizer::Adam).state();
    cut.tensors.clear();
    assert_eq!(trained(Optimizer::Adam).restore(cut, &tree(0)), Err(missing("m.layers.0.weight")));
}

proptest! {
    #[test]
    fn restored_directions_go_on_bit_for_bit(
        optimizer in prop::sample::select(Optimizer::ALL),
        which in 0..2usize,
        before in 0..6usize,
        elsewhere in 0..3usize,
        after in 1..4usize,
    ) {
        let pick = || directions(optimizer).into_iter().nth(which).expect("two of them");
        let (mut direction, mut again) = (pick(), pick());
        for time in 0..before {
            direction.commit(&tree(200 + time), &tree(time));
        }
        for time in 0..elsewhere {
            again.commit(&tree(300 + time), &tree(400 + time));
        }
        let state = direction.state();
        again.restore(state.clone(), &tree(0)).unwrap();
        prop_assert_eq!(again.state(), state);
        for time in before..before + after {
            let (theta, g) = (tree(200 + time), tree(time));
            prop_assert_eq!(bits(&direction.propose(&theta, &g)), bits(&again.propose(&theta, &g)));
            direction.commit(&theta, &g);
            again.commit(&theta, &g);
        }
        prop_assert_eq!(direction.state(), again.state());
    }
}
