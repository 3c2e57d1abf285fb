//! GeN's family on networks: groups against the dense Hessian, third derivatives against differences, and every rule on every model.

use ad_core::{HessianOperator, Params, Tensor};
use approx::assert_relative_eq;
use gen_sched::{GroupedGen, Grouping, Objective, Point, Reason, Stepper, Supervised};
use nn::data::{Batch, Targets};
use nn::{Activation, Architecture, Linear, Loss, Mlp, Net, Optimizer, Sgd, random::Key};
use parabola_tests::rules;

type T = Tensor<f64>;

fn wave(shape: &[usize]) -> T {
    Tensor::from_fn(shape, |i| (1.3 * i as f64 + 0.4).sin())
}

fn small() -> (Mlp, Params<T>, Batch<f64>) {
    let net = Mlp::new(&[3, 5, 4, 2], Activation::Tanh);
    let theta = net.init(Key::new(3));
    (net, theta, Batch { inputs: wave(&[7, 3]), targets: Targets::Values(wave(&[7, 2])) })
}

#[test]
fn the_curvature_between_groups_is_that_of_the_dense_hessian() {
    let (net, theta, batch) = small();
    let objective = Supervised::new(&net, &Loss::Mse, &batch);
    let point = Point::new(&objective, &theta);
    let (gradient, omega) = (point.gradient(), theta.map(|w| wave(w.shape())));
    let hessian = HessianOperator::new(|p| objective.record(p), &theta).dense();
    let n = hessian.shape()[0];
    for grouping in [Grouping::ByLayer, Grouping::ByKind, Grouping::ByPattern(vec!["layers.1.*".to_owned()])] {
        let (groups, names) = grouping.of(theta.names().iter().map(|name| &**name));
        let mut line = point.line(&gradient, &omega);
        let (num, den) = line.blocks(&groups);
        let (diagonal_num, diagonal_den) = line.diagonal_blocks(&groups);
        assert_eq!((den.len(), line.cost().hvps as usize), (names.len(), names.len()));
        // ω with zeros outside a group, flat.
        let part = |k: usize| -> Vec<f64> {
            let of = |(o, g): (&T, &usize)| o.data().iter().map(|x| if *g == k { *x } else { 0.0 }).collect::<Vec<_>>();
            omega.arrays().iter().zip(&groups).flat_map(of).collect()
        };
        let scale = den.iter().flatten().fold(0.0f64, |most, x| most.max(x.abs()));
        for i in 0..names.len() {
            let slope: f64 = gradient.arrays().iter().flat_map(|g| g.data()).zip(part(i)).map(|(g, w)| g * w).sum();
            assert_relative_eq!(num[i], slope, max_relative = 1e-9);
            assert_relative_eq!(diagonal_num[i], slope, max_relative = 1e-9);
            for (j, found) in den[i].iter().enumerate() {
                let (a, b) = (part(i), part(j));
                let row = |r: usize| (0..n).map(|c| hessian.data()[r * n + c] * b[c]).sum::<f64>();
                let want: f64 = (0..n).map(|r| a[r] * row(r)).sum();
                assert!((found - want).abs() <= 1e-9 * scale, "{grouping:?} {i} {j}: {found} and {want}");
                if i == j {
                    assert!((diagonal_den[i] - want).abs() <= 1e-9 * scale, "{grouping:?} {i}");
                }
            }
        }
        // All blocks together are den.
        let all: f64 = den.iter().flatten().sum();
        assert_relative_eq!(all, line.curvature().den, max_relative = 1e-9);
    }
}

#[test]
fn a_rate_for_each_group_reaches_the_minimum_of_a_block_quadratic_in_one_step() {
    // One input row and column each: the loss is a quadratic in weight and bias, and along the gradient's two parts a plane of it that
    // holds the minimum over all parameters that these parts reach.
    let net = Linear::new(1, 1);
    let theta =
        Params::new([("weight", Tensor::from_vec(&[1, 1], vec![3.0])), ("bias", Tensor::from_vec(&[1], vec![-2.0]))]);
    let (x, y) = (Tensor::from_vec(&[3, 1], vec![1.0, 2.0, -1.5]), Tensor::from_vec(&[3, 1], vec![0.3, -0.7, 1.1]));
    let step = |rule: GroupedGen| {
        let mut stepper =
            Stepper::new(Box::new(net.clone()), theta.clone(), Loss::Mse, Box::new(Sgd::new()), Box::new(rule))
                .measuring_decrease();
        let report = stepper.step(&x, &Targets::Values(y.clone()));
        let after = stepper.step(&x, &Targets::Values(y.clone()));
        (report, after, stepper.last_lrs().len())
    };
    let (report, after, rates) = step(GroupedGen::new(Grouping::ByKind));
    assert_eq!((report.reason, rates), (Reason::Parabola, 2));
    assert_relative_eq!(report.predicted.unwrap(), report.actual.unwrap(), max_relative = 1e-12);
    // Least squares: slope and intercept of the line through three points.
    let (mean_x, mean_y) = (0.5, 0.7 / 3.0);
    let slope = (0.5 * (0.3 - mean_y) + 1.5 * (-0.7 - mean_y) - 2.0 * (1.1 - mean_y)) / (0.25 + 2.25 + 4.0);
    let left: f64 = [(1.0, 0.3), (2.0, -0.7), (-1.5, 1.1)]
        .map(|(x, y): (f64, f64)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .iter()
        .sum::<f64>()
        / 3.0;
    assert_relative_eq!(after.loss, left, max_relative = 1e-12);
    // One by one, they get in each other's way.
    let (_, alone, _) = step(GroupedGen::new(Grouping::ByKind).diagonal());
    assert!(alone.loss > 1.01 * left, "{} and {left}", alone.loss);
}

#[test]
fn third_derivatives_are_those_of_the_second() {
    let (net, theta, batch) = small();
    let objective = Supervised::new(&net, &Loss::Mse, &batch);
    let omega = theta.map(|w| wave(w.shape()));
    let den = |alpha: f64| {
        let theta = nn::moved(&theta, alpha, &omega);
        let point = Point::new(&objective, &theta);
        point.curvature(&omega, &[]).den
    };
    let h = 1e-4;
    let difference = (8.0 * (den(h) - den(-h)) - (den(2.0 * h) - den(-2.0 * h))) / (12.0 * h);
    let point = Point::new(&objective, &theta);
    let mut line = point.line(&point.gradient(), &omega);
    assert_relative_eq!(line.third().unwrap(), difference, max_relative = 1e-8);
    assert_eq!(line.cost().thirds, 1);
}

#[test]
fn probing_before_a_step_changes_nothing() {
    let run = |name: &str, probe: bool| {
        let (net, theta, batch) = small();
        let mut stepper = rules::stepper(name, Box::new(net), theta, Loss::Mse, Optimizer::Adam.direction(1e-3));
        for _ in 0..6 {
            if probe {
                let groups: Vec<usize> = (0..6).map(|i| i % 2).collect();
                stepper.with_line(&batch, |line| {
                    (line.at(0.1), line.curvature(), line.third(), line.blocks(&groups), line.diagonal_blocks(&groups))
                });
            }
            stepper.step(&batch.inputs, &batch.targets);
        }
        stepper.theta().arrays().iter().flat_map(|t| t.data().iter().map(|x| x.to_bits())).collect::<Vec<_>>()
    };
    for name in rules::names() {
        assert!(run(name, false) == run(name, true), "{name}");
    }
}

#[test]
fn every_rule_goes_on_from_its_state_bit_for_bit() {
    for name in rules::names() {
        let (_, theta, batch) = small();
        let start = || {
            let direction = Optimizer::Momentum.direction(0.0);
            rules::stepper::<f64>(name, Box::new(small().0), theta.clone(), Loss::Mse, direction)
        };
        let mut whole = start();
        for _ in 0..5 {
            whole.step(&batch.inputs, &batch.targets);
        }
        let mut resumed = start();
        resumed.restore(whole.state()).unwrap_or_else(|e| panic!("{name}: {e}"));
        for _ in 0..5 {
            assert_eq!(
                whole.step(&batch.inputs, &batch.targets),
                resumed.step(&batch.inputs, &batch.targets),
                "{name}"
            );
        }
    }
}

/// A network, and eight rows of a batch for it.
type Case = (&'static str, Box<dyn Net<f64>>, Batch<f64>);

/// A small network of every kind in the zoo.
fn zoo() -> Vec<Case> {
    let settings: [(&str, &str, &[usize]); 5] = [
        ("mlp", "kind = \"mlp\"\nhidden = [5]\n", &[6]),
        ("cnn", "kind = \"cnn\"\nchannels = [2, 3]\nkernel = 3\nhidden = [4]\n", &[1, 10, 10]),
        ("resnet", "kind = \"resnet\"\nwidths = [3, 4]\n", &[1, 6, 6]),
        ("gpt", "kind = \"gpt\"\nwidth = 6\nheads = 2\nblocks = 1\n", &[5]),
        (
            "layers",
            "kind = \"layers\"\nlayers = [{ kind = \"batch_norm\" }, { kind = \"linear\", outputs = 4 }, { kind = \"dropout\", p = 0.2 }]\n",
            &[6],
        ),
    ];
    let build = |(name, text, item): (&'static str, &str, &[usize])| {
        let text = format!("[model]\n{text}");
        let config = bench::config::Config::parse(std::path::Path::new(name), &text).unwrap_or_else(|e| panic!("{e}"));
        let is_text = name == "gpt";
        let ends = bench::config::Ends { item, outputs: 4, is_text };
        let net = config.model.build::<f64>(&ends).unwrap_or_else(|e| panic!("{name}: {e}"));
        let x = wave(&[&[8], item].concat());
        let labels = |n: u32| (0..n).map(|r| r * r % 4).collect();
        let batch = if is_text {
            let inputs = Tensor::from_fn(x.shape(), |i| (i % 4) as f64);
            let targets = Targets::Sequences { labels: labels(8 * 5), length: 5, classes: 4 };
            Batch { inputs, targets }
        } else {
            Batch { inputs: x, targets: Targets::Classes { labels: labels(8), classes: 4 } }
        };
        (name, net, batch)
    };
    settings.into_iter().map(build).collect()
}

#[test]
fn every_rule_runs_on_every_model() {
    for name in rules::names() {
        for (model, net, batch) in zoo() {
            let theta = nn::init_parameters::<f64>(&*net, Key::new(2));
            let mut stepper =
                rules::stepper(name, net, theta, Loss::cross_entropy(), Optimizer::Momentum.direction(0.0));
            for _ in 0..3 {
                let report = stepper.step(&batch.inputs, &batch.targets);
                assert!(report.reason != Reason::NonFinite && report.loss.is_finite(), "{name} on {model}: {report:?}");
            }
        }
    }
}
