//! Cases whose answers are known in closed form.

use ad_core::{Array, Dual, Ops, Params, Tensor, Var, curvature};
use approx::assert_relative_eq;
use gen_sched::closed_form::{Alpha, NumDen, PiecewiseLinear, SingleLayer, Sizes};
use gen_sched::{
    DEFAULT_RATE, ExactGen, Point, Reason, Stepper, Supervised, first_order_coefficients, second_order_coefficients,
};
use nn::data::{Batch, Targets};
use nn::{Activation, Architecture, Loss, Mlp, Module, Scope, Sgd, moved, random::Key};

type T = Tensor<f64>;

fn wave(shape: &[usize], phase: f64) -> T {
    Tensor::from_fn(shape, |i| (1.7 * i as f64 + phase).sin())
}

/// The single-layer network 5→3 with its parameters, and a batch of M rows.
fn single_layer(activation: Activation, m: usize) -> (Mlp, Params<T>, Batch<f64>) {
    let net = Mlp::new(&[5, 3], activation).act_out(true);
    let theta = net.init::<f64>(Key::new(m as u64)).map(|t| t.plus(&wave(t.shape(), 0.3).scale(0.2)));
    let batch = Batch { inputs: wave(&[m, 5], 0.9), targets: Targets::Values(wave(&[m, 3], 2.2)) };
    (net, theta, batch)
}

fn stepper(net: Mlp, theta: Params<T>) -> Stepper<f64> {
    Stepper::new(Box::new(net), theta, Loss::NormSquared, Box::new(Sgd::new()), Box::new(ExactGen::default()))
}

#[test]
fn one_sample_through_relu_gives_one_over_one_plus_the_input_s_norm() {
    let mut alive = 0;
    for seed in 0..20 {
        let (net, mut theta, batch) = single_layer(Activation::Relu, 1);
        theta = theta.map(|t| t.plus(&wave(t.shape(), seed as f64)));
        let norm: f64 = batch.inputs.data().iter().map(|x| x * x).sum();
        let mut stepper = stepper(net, theta);
        let report = stepper.step(&batch.inputs, &batch.targets);
        if report.reason == Reason::Stationary {
            continue;
        }
        alive += 1;
        assert_eq!(report.reason, Reason::Parabola);
        assert_relative_eq!(report.alpha, 1.0 / (1.0 + norm), max_relative = 1e-12);
        // The parabola is exact up to the first kink, and its minimum is a perfect fit of the live units.
        assert_relative_eq!(report.predicted.unwrap(), report.num * report.alpha / 2.0, max_relative = 1e-12);
    }
    assert!(alive >= 10, "only {alive} of 20 starts had a live unit");
}

#[test]
fn a_linear_loss_has_the_coefficients_of_the_text_and_takes_its_named_fallback() {
    let (x, y) = (Tensor::from_vec(&[3], vec![1.0, 2.0, -2.0]), 5.0);
    let theta = Params::new([("w", Tensor::from_vec(&[3], vec![0.5, 1.0, 0.25]))]);
    let f = |p: &Params<Var<T>>| (Var::fixed(x.clone()) * p.get("w")).sum_all().offset(-y);
    assert_eq!(first_order_coefficients(&f, &theta, &Sgd::new()), (2.0 - y, -9.0));
    assert_eq!(second_order_coefficients(&f, &theta, &Sgd::new()), (2.0 - y, -9.0, 0.0));

    let point = Point::new(&f, &theta);
    let gradient = point.gradient();
    let line = point.line(&gradient, &gradient);
    let (mut rule, previous) = (ExactGen::default(), None);
    let mut step = gen_sched::Step {
        index: 0,
        theta: &theta,
        gradient: &gradient,
        omega: &gradient,
        momentum: 0.0,
        previous,
        line,
    };
    let choice = gen_sched::Rule::choose(&mut rule, &mut step);
    assert_eq!((choice.alpha, choice.reason), (DEFAULT_RATE, Reason::Linear));
}

#[test]
fn dead_units_are_zero_over_zero_by_name() {
    let (net, theta, batch) = single_layer(Activation::Relu, 6);
    let dead = theta.map(|t| if t.rank() == 1 { Tensor::full(t.shape(), -100.0) } else { t.clone() });
    let mut stepper = stepper(net, dead.clone());
    let report = stepper.step(&batch.inputs, &batch.targets);
    assert_eq!((report.num, report.curvature.unwrap().den), (0.0, 0.0));
    assert_eq!((report.reason, report.alpha), (Reason::Stationary, DEFAULT_RATE));
    let Targets::Values(y) = &batch.targets else { unreachable!("the targets are values") };
    let [w, b] = dead.arrays() else { unreachable!("one layer") };
    let sizes = Sizes { samples: 6, inputs: 5, outputs: 3 };
    let relu = PiecewiseLinear::relu();
    let layer = SingleLayer::new(sizes, w.data(), b.data(), batch.inputs.data(), y.data(), relu).unwrap();
    for way in [layer.sums(), layer.gram(), layer.direct()] {
        assert_eq!(way.alpha(), Alpha::ZeroOverZero);
    }
    assert_eq!(stepper.theta().arrays(), dead.arrays());
}

#[test]
fn the_closed_form_agrees_with_the_engine_at_every_batch_size() {
    let kinds = [
        (Activation::Relu, PiecewiseLinear::relu()),
        (Activation::LeakyRelu { slope: 0.1 }, PiecewiseLinear::leaky_relu(0.1)),
    ];
    for (activation, sigma) in kinds {
        for m in 1..=64 {
            let (net, theta, batch) = single_layer(activation, m);
            let Targets::Values(y) = &batch.targets else { unreachable!("the targets are values") };
            let [w, b] = theta.arrays() else { unreachable!("one layer") };
            let sizes = Sizes { samples: m, inputs: 5, outputs: 3 };
            let layer =
                SingleLayer::new(sizes, w.data(), b.data(), batch.inputs.data(), y.data(), sigma.clone()).unwrap();

            let objective = Supervised::new(&net, &Loss::NormSquared, &batch);
            let point = Point::new(&objective, &theta);
            let gradient = point.gradient();
            let mut line = point.line(&gradient, &gradient);
            let (num, c) = (line.num(), line.curvature());
            for (way, NumDen { num: n, den: d }) in
                [("sums", layer.sums()), ("gram", layer.gram()), ("direct", layer.direct())]
            {
                assert!((n - num).abs() <= 1e-10 * num.abs(), "{activation}, M = {m}, {way}: num {n}, engine {num}");
                assert!(
                    (d - c.den).abs() <= 1e-10 * c.den.abs(),
                    "{activation}, M = {m}, {way}: den {d}, engine {}",
                    c.den
                );
            }
            // The network is linear between kinks: all curvature is the loss's own.
            assert_relative_eq!(c.gauss_newton.unwrap(), c.den, max_relative = 1e-13);
            assert_eq!(layer.direct().alpha(), Alpha::Rate(layer.direct().num / layer.direct().den));
        }
    }
}

/// g(α) = f(θ − αω) at any array type.
fn along<A: Array<Base = T>>(net: &Mlp, theta: &Params<T>, omega: &Params<T>, batch: &Batch<f64>, alpha: &A) -> A {
    let p = theta.zip(omega, |t, o| A::lift(t.clone()) - A::lift(o.clone()) * alpha);
    Loss::NormSquared.apply(&net.forward(&Scope::new(&p), &A::lift(batch.inputs.clone())), &batch.targets)
}

/// g″ and g‴ at α by three nested tangents; an absent one is zero.
fn second_and_third(net: &Mlp, theta: &Params<T>, omega: &Params<T>, batch: &Batch<f64>, alpha: f64) -> (f64, f64) {
    let one = Tensor::scalar(1.0);
    let once = Dual::new(Tensor::scalar(alpha), one.clone());
    let twice = Dual::new(once, Dual::fixed(one.clone()));
    let thrice = Dual::new(twice, Dual::fixed(Dual::fixed(one)));
    let second = along(net, theta, omega, batch, &thrice).tangent.and_then(|t| t.tangent);
    let second = second.expect("the loss is quadratic in the network's output");
    (second.primal.item(), second.tangent.map_or(0.0, |t| t.item()))
}

/// The network, parameters, batch and direction of a single layer, its gradient.
fn on_its_line(activation: Activation, m: usize) -> (Mlp, Params<T>, Batch<f64>, Params<T>) {
    let (net, theta, batch) = single_layer(activation, m);
    let objective = Supervised::new(&net, &Loss::NormSquared, &batch);
    let omega = Point::new(&objective, &theta).gradient();
    (net, theta, batch, omega)
}

#[test]
fn the_single_layer_s_third_derivative_is_zero() {
    for activation in [Activation::Relu, Activation::LeakyRelu { slope: 0.1 }] {
        for m in [1, 3, 16] {
            let (net, theta, batch, omega) = on_its_line(activation, m);
            let objective = Supervised::new(&net, &Loss::NormSquared, &batch);
            let point = Point::new(&objective, &theta);
            let (second, third) = second_and_third(&net, &theta, &omega, &batch, 0.0);
            assert_relative_eq!(second, point.line(&omega, &omega).curvature().den, max_relative = 1e-12);
            assert_eq!(third, 0.0, "{activation}, M = {m}");
        }
    }
}

#[test]
fn a_smooth_single_layer_s_third_derivative_is_not_zero() {
    // What is zero above is so because of the activation, and not because the tangents do not reach it.
    let (net, theta, batch, omega) = on_its_line(Activation::Tanh, 3);
    let at = |alpha: f64| second_and_third(&net, &theta, &omega, &batch, alpha);
    let h = 1e-4;
    let difference = (8.0 * (at(h).0 - at(-h).0) - (at(2.0 * h).0 - at(-2.0 * h).0)) / (12.0 * h);
    assert!(difference.abs() > 1e-3, "the third derivative is {difference}");
    assert_relative_eq!(at(0.0).1, difference, max_relative = 1e-8);
}

#[test]
fn the_parabola_holds_to_the_first_kink_and_not_beyond() {
    let kinds = [
        (Activation::Relu, PiecewiseLinear::relu()),
        (Activation::LeakyRelu { slope: 0.1 }, PiecewiseLinear::leaky_relu(0.1)),
    ];
    for (activation, sigma) in kinds {
        for m in [1, 3, 16] {
            let (net, theta, batch, omega) = on_its_line(activation, m);
            let objective = Supervised::new(&net, &Loss::NormSquared, &batch);
            let point = Point::new(&objective, &theta);
            let mut line = point.line(&omega, &omega);
            let Targets::Values(y) = &batch.targets else { unreachable!("the targets are values") };
            let [w, b] = theta.arrays() else { unreachable!("one layer") };
            let sizes = Sizes { samples: m, inputs: 5, outputs: 3 };
            let layer =
                SingleLayer::new(sizes, w.data(), b.data(), batch.inputs.data(), y.data(), sigma.clone()).unwrap();
            let (lowest, kink) = layer.parabola_interval();
            assert!(kink.is_finite(), "{activation}, M = {m}: some unit changes sign along the line");
            let (value, num, den) = (line.value(), line.num(), line.curvature().den);
            let parabola = |alpha: f64| value - alpha * num + 0.5 * alpha * alpha * den;
            for alpha in [0.25 * kink, 0.5 * kink, 0.999 * kink, 0.999 * lowest.max(-1.0)] {
                assert_relative_eq!(line.at(alpha), parabola(alpha), max_relative = 1e-12);
            }
            let beyond = 3.0 * kink;
            assert!(
                (line.at(beyond) - parabola(beyond)).abs() > 1e-6 * value,
                "{activation}, M = {m}: no departure after the kink"
            );
        }
    }
}

#[test]
fn a_quadratic_is_minimised_along_the_line_in_one_step() {
    // f(θ) = ½ θᵀAθ − bᵀθ with A = MᵀM + I.
    let n = 6;
    let m = wave(&[n, n], 0.4);
    let a =
        m.matmul_transposed(true, &m, false).plus(&Tensor::from_fn(&[n, n], |i| f64::from(u8::from(i % (n + 1) == 0))));
    let b = wave(&[n, 1], 1.5);
    let f = |p: &Params<Var<T>>| {
        let x = p.get("x");
        (x.transpose().matmul(&Var::fixed(a.clone())).matmul(x).scale(0.5) - Var::fixed(b.clone()) * x).sum_all()
    };
    let theta = Params::new([("x", wave(&[n, 1], 0.1))]);
    let point = Point::new(&f, &theta);
    let omega = point.gradient();
    let mut line = point.line(&omega, &omega);
    let alpha = line.num() / line.curvature().den;
    let after = moved(&theta, alpha, &omega);
    let there = Point::new(&f, &after);
    let slope = there.line(&there.gradient(), &omega).num();
    assert!(slope.abs() <= 1e-12 * line.num(), "the slope along the line is {slope} after the step");
    let predicted = alpha * line.num() / 2.0;
    assert_relative_eq!(line.value() - there.value(), predicted, max_relative = 1e-12);
    // From here every further step along the same line is stationary.
    let c = curvature(|p: &Params<Var<T>>| f(p), &after, &omega);
    assert_relative_eq!(c.total, line.curvature().den, max_relative = 1e-12);
}
