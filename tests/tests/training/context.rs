//! What a step's context promises: one mask a step, however the batch is cut, and running statistics that move with the parameters.

use ad_core::{Ops, Params, Tensor};
use gen_sched::{
    ApproximateGen, Constant, ExactGen, Objective, Parted, Parting, Parts, Reason, Rule, Stepper, Supervised, evaluate,
};
use nn::data::{Batch, Targets};
use nn::models::Gpt;
use nn::random::Key;
use nn::{
    Activation, Architecture, BatchNorm1d, Context, Dropout, Layer, Linear, Loss, Module, Scope, Sequential, Sgd,
};

type T = Tensor<f64>;

fn normalising() -> Sequential {
    Sequential::new([
        Layer::from(Linear::new(6, 5)),
        Layer::from(BatchNorm1d::new(5)),
        Layer::from(Activation::Tanh),
        Layer::from(Linear::new(5, 4)),
    ])
}

fn dropping() -> Sequential {
    Sequential::new([
        Layer::from(Linear::new(6, 8)),
        Layer::from(Activation::Tanh),
        Layer::from(Dropout::new(0.3)),
        Layer::from(Linear::new(8, 4)),
        Layer::from(Dropout::new(0.1)),
    ])
}

fn inputs(rows: usize) -> T {
    Tensor::from_fn(&[rows, 6], |i| (1.3 * i as f64).sin())
}

fn values(rows: usize) -> Batch<f64> {
    Batch { inputs: inputs(rows), targets: Targets::Values(Tensor::from_fn(&[rows, 4], |i| (0.7 * i as f64).cos())) }
}

fn stepper(net: &Sequential, rule: impl Rule<f64> + 'static) -> Stepper<f64> {
    let theta = net.init(Key::new(3));
    Stepper::new(Box::new(net.clone()), theta, Loss::Mse, Box::new(Sgd::new()), Box::new(rule)).seeded(Key::new(4))
}

fn bits(arrays: &Params<T>) -> Vec<u64> {
    arrays.arrays().iter().flat_map(|t| t.data()).map(|x| x.to_bits()).collect()
}

#[track_caller]
fn assert_close(what: &str, found: f64, want: f64, tolerance: f64) {
    assert!((found - want).abs() <= tolerance * want.abs().max(1e-3), "{what}: {found} for {want}");
}

#[track_caller]
fn assert_all_close(what: &str, found: &Params<T>, want: &Params<T>) {
    found.zip(want, |a, b| a.data().iter().zip(b.data()).for_each(|(a, b)| assert_close(what, *a, *b, 1e-13)));
}

/// The buffers after the first layer's outputs on these rows have been seen.
fn moved(buffers: &Params<T>, theta: &Params<T>, rows: &T) -> Params<T> {
    let z = rows.linear(theta.get("0.weight"), Some(theta.get("0.bias")));
    let n = rows.shape()[0] as f64;
    let mean = z.mean(&[0]);
    let variance = z.minus(&mean).powi(2).sum(&[0]).scale(1.0 / (n - 1.0));
    let blend = |old: &T, new: &T| old.scale(0.9).plus(&new.scale(0.1));
    let [old_mean, old_variance] = buffers.arrays() else { unreachable!("one layer has buffers") };
    buffers.with(vec![blend(old_mean, &mean), blend(old_variance, &variance)])
}

#[test]
fn running_statistics_move_where_a_step_is_taken_and_by_nothing_else() {
    let (net, batch) = (normalising(), values(23));
    let mut one = stepper(&net, ExactGen::default());
    let start = one.buffers().clone();
    for _ in 0..2 {
        one.with_line(&batch, |line| (line.at(0.3), line.curvature(), line.hvp().names().len()));
        one.evaluate(&batch);
    }
    assert_eq!(bits(one.buffers()), bits(&start));
    let want = moved(&start, one.theta(), &batch.inputs);
    one.step(&batch.inputs, &batch.targets);
    assert_all_close("exact", one.buffers(), &want);

    // Other points that the step looks at, and other ways to look, change nothing.
    for exact in [true, false] {
        for parting in [Parting::Automatic, Parting::Whole, Parting::Shards(3)] {
            let theta = net.init(Key::new(3));
            let rule: Box<dyn Rule<f64>> =
                if exact { Box::new(ExactGen::default()) } else { Box::new(ApproximateGen::default()) };
            let mut other = Stepper::new(Box::new(net.clone()), theta, Loss::Mse, Box::new(Sgd::new()), rule)
                .parting(parting)
                .measuring_decrease();
            other.step(&batch.inputs, &batch.targets);
            assert_eq!(bits(other.buffers()), bits(one.buffers()), "{parting:?}");
        }
    }
}

#[test]
fn running_statistics_stay_where_a_step_is_refused() {
    let (net, batch) = (normalising(), values(23));
    let mut far = stepper(&net, Constant::new(1e300)).measuring_decrease();
    let (start, theta) = (bits(far.buffers()), bits(far.theta()));
    assert_eq!(far.step(&batch.inputs, &batch.targets).reason, Reason::NonFinite);
    assert_eq!((bits(far.buffers()), bits(far.theta())), (start.clone(), theta));
    assert_eq!(far.steps(), 1);

    let mut broken = stepper(&net, ExactGen::default());
    assert_eq!(broken.step(&batch.inputs.scale(f64::NAN), &batch.targets).reason, Reason::NonFinite);
    assert_eq!(bits(broken.buffers()), start);
}

#[test]
fn a_step_drops_the_same_however_its_batch_is_cut() {
    let (net, batch) = (dropping(), values(23));
    let found = |parting| {
        let at = |line: &mut gen_sched::Line<'_, f64>| [line.value(), line.num(), line.curvature().den, line.at(0.3)];
        stepper(&net, ExactGen::default()).parting(parting).with_line(&batch, at)
    };
    let whole = found(Parting::Whole);
    for parting in [Parting::Shards(2), Parting::Shards(5), Parting::MicroBatches(1), Parting::MicroBatches(7)] {
        for (found, want) in found(parting).into_iter().zip(whole) {
            assert_close(&format!("{parting:?}"), found, want, 1e-10);
        }
    }
}

/// Makes the next step the one of this number.
fn go_to(stepper: &mut Stepper<f64>, step: u64) {
    let state = stepper.state().with_number("steps", step);
    stepper.restore(state).unwrap();
}

#[test]
fn every_step_drops_anew_and_every_probe_of_it_the_same() {
    let (net, batch) = (dropping(), values(23));
    let mut one = stepper(&net, ExactGen::default());
    let at = |stepper: &Stepper<f64>| stepper.with_line(&batch, |line| (line.value(), line.at(1e-9)));
    let (value, near) = at(&one);
    assert!((value - near).abs() < 1e-7);
    go_to(&mut one, 1);
    let next = at(&one);
    assert!((next.0 - value).abs() > 1e-4 && (next.0 - next.1).abs() < 1e-7);
    go_to(&mut one, 0);
    assert_eq!(at(&one), (value, near));
    let other_key = at(&stepper(&net, ExactGen::default()).seeded(Key::new(5))).0;
    assert!((other_key - value).abs() > 1e-4);
    // The next step's line is the one that was looked at, and in evaluation nothing is dropped.
    assert_eq!(one.step(&batch.inputs, &batch.targets).loss, value);
    let plain = Supervised::new(&net, &Loss::Mse, &batch);
    assert_eq!(one.evaluate(&batch).loss, plain.value(one.theta()));
}

#[test]
fn networks_that_mix_rows_are_cut_into_micro_batches_alone() {
    let (net, batch) = (normalising(), values(23));
    let (theta, buffers) = (net.init::<f64>(Key::new(3)), net.buffers());
    let context = Context::training(Key::new(0), &buffers);
    let of = |parting| Parted::new(&net, &Loss::Mse, &batch, parting, &theta).within(context);
    assert!(matches!(of(Parting::Shards(4)).parts(), Parts::Whole));
    // Each micro-batch has its own statistics, as under gradient accumulation in PyTorch.
    let parts = [(0, 8), (8, 16), (16, 23)].map(|(from, to)| batch.rows(from, to));
    let mean: f64 = parts
        .iter()
        .map(|part| {
            let value = Supervised::new(&net, &Loss::Mse, part).within(context).value(&theta);
            value * part.targets.rows() as f64 / 23.0
        })
        .sum();
    assert_close("value", of(Parting::MicroBatches(8)).value(&theta), mean, 1e-14);
    let want = parts.iter().fold(buffers.clone(), |buffers, part| moved(&buffers, &theta, &part.inputs));
    let mut accumulating = stepper(&net, ExactGen::default()).parting(Parting::MicroBatches(8));
    let report = accumulating.step(&batch.inputs, &batch.targets);
    assert!(report.cost.curvatures == 1 && report.alpha > 0.0);
    assert_close("loss", report.loss, mean, 1e-14);
    assert_all_close("micro-batches", accumulating.buffers(), &want);
}

#[test]
fn sequences_are_cut_by_their_places() {
    let net = Gpt::new(16, 32, 16, 2, 1, Activation::GeluTanh);
    let theta = net.init::<f32>(Key::new(0));
    let labels: Vec<u32> = (0..16 * 32).map(|i| i * i % 16).collect();
    let inputs = Tensor::from_fn(&[16, 32], |i| labels[i] as f32);
    let batch = Batch { inputs, targets: Targets::Sequences { labels, length: 32, classes: 16 } };
    let loss = Loss::cross_entropy();
    let objective = Parted::new(&net, &loss, &batch, Parting::Automatic, &theta);
    let Parts::Shards(parts) = objective.parts() else { panic!("16 rows of 32 places are cut") };
    assert_eq!(parts.len(), 4);
}

#[test]
fn evaluation_in_batches_is_that_at_once() {
    const ROWS: usize = 700;
    let net = normalising();
    let theta = net.init::<f64>(Key::new(3));
    let buffers = net.buffers().map(|b| b.offset(0.3));
    let labels = |f: fn(u32) -> u32| Targets::Classes { labels: (0..ROWS as u32).map(f).collect(), classes: 4 };
    let weighted = |w: [f64; 4]| Loss::CrossEntropy { smoothing: 0.1, weights: Some(w.to_vec()) };
    for (loss, targets) in [
        (Loss::Mse, values(ROWS).targets),
        (Loss::cross_entropy(), labels(|r| r * r % 4)),
        (weighted([0.5, 2.0, 1.0, 3.0]), labels(|r| r % 4)),
        // A whole part weighs nothing.
        (weighted([0.0, 2.0, 1.0, 3.0]), labels(|r| r / 300)),
    ] {
        let on = Batch { inputs: inputs(ROWS), targets };
        let output = net.forward(&Scope::new(&theta).within(Context::evaluation(&buffers)), &on.inputs);
        let want = loss.apply(&output, &on.targets).item();
        let found = [1, 2, 4].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| evaluate(&net, &loss, &theta, &buffers, &on))
        });
        assert_close(&format!("{loss:?}"), found[0].loss, want, 1e-14);
        assert!(found.iter().all(|f| f.loss.to_bits() == found[0].loss.to_bits() && f.accuracy == found[0].accuracy));
        let right = on.targets.labels().map(|(labels, _)| {
            let best = output.argmax(-1);
            best.data().iter().zip(labels).filter(|(b, l)| **b == f64::from(**l)).count() as f64 / ROWS as f64
        });
        assert_eq!(found[0].accuracy, right);
    }
}

#[test]
fn a_run_goes_on_from_its_state() {
    let net = Sequential::new([Layer::from(Dropout::new(0.2)), Layer::from(normalising())]);
    let batch = values(23);
    let mut whole = stepper(&net, Constant::new(0.1));
    let mut later = stepper(&net, Constant::new(0.1));
    for i in 0..4 {
        if i == 2 {
            later.restore(whole.state()).unwrap();
        }
        let report = whole.step(&batch.inputs, &batch.targets);
        if i >= 2 {
            assert_eq!(later.step(&batch.inputs, &batch.targets), report);
        }
    }
    assert_eq!((bits(later.theta()), bits(later.buffers())), (bits(whole.theta()), bits(whole.buffers())));
    assert_eq!(later.steps(), 4);
}

#[test]
#[should_panic(expected = "buffer 1.running_var has shape [5], but [4] was given")]
fn buffers_of_another_shape_are_refused() {
    let mut one = stepper(&normalising(), ExactGen::default());
    let [mean, _] = one.buffers().arrays() else { unreachable!("one layer has buffers") };
    let other = one.buffers().with(vec![mean.clone(), Tensor::full(&[4], 1.0)]);
    one.set_buffers(other);
}
