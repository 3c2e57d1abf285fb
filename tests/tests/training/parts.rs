//! Mini-batches in shards and in micro-batches: num, den and Hv are those of the whole, on any number of threads.

use ad_core::{Params, Real, Tensor};
use gen_sched::{ExactGen, LineCurvature, Objective, Parted, Parting, Point, Policy, Stepper};
use nn::data::{Batch, Targets};
use nn::random::Key;
use nn::{Activation, Architecture, Loss, Mlp, Net, Optimizer};
use parabola_tests::padded::Classifier;

/// 23 rows: no number of parts divides them.
const ROWS: usize = 23;

const PARTINGS: [Parting; 6] = [
    Parting::Shards(2),
    Parting::Shards(5),
    Parting::Shards(100),
    Parting::MicroBatches(1),
    Parting::MicroBatches(7),
    Parting::MicroBatches(100),
];

fn net() -> Mlp {
    Mlp::new(&[6, 9, 4], Activation::Tanh)
}

fn inputs<T: Real>() -> Tensor<T> {
    Tensor::from_fn(&[ROWS, 6], |i| T::from_f64((1.3 * i as f64).sin()))
}

/// Every loss with targets of its kind; the class weights make parts of equal size count differently, one of them not at all.
fn problems<T: Real>() -> Vec<(Loss, Targets<T>)> {
    let labels = || Targets::Classes { labels: (0..ROWS as u32).map(|r| r * r % 4).collect(), classes: 4 };
    let sorted = Targets::Classes { labels: (0..ROWS as u32).map(|r| r / 8).collect(), classes: 4 };
    let values = || Targets::Values(Tensor::from_fn(&[ROWS, 4], |i| T::from_f64((0.7 * i as f64).sin().powi(2))));
    let weighted = |w: [f64; 4]| Loss::CrossEntropy { smoothing: 0.1, weights: Some(w.to_vec()) };
    vec![
        (Loss::cross_entropy(), labels()),
        (weighted([0.5, 2.0, 1.0, 3.0]), labels()),
        (weighted([0.0, 2.0, 1.0, 3.0]), sorted),
        (Loss::NormSquared, values()),
        (Loss::Mse, values()),
        (Loss::BinaryCrossEntropy, values()),
        (Loss::Huber { delta: 0.4 }, values()),
    ]
}

struct Found {
    value: f64,
    elsewhere: f64,
    gradient: Params<Tensor<f64>>,
    curvature: LineCurvature,
    hv: Params<Tensor<f64>>,
}

fn found(net: &(impl Net<f64> + Architecture), loss: &Loss, batch: &Batch<f64>, parting: Parting) -> Found {
    let theta = net.init::<f64>(Key::new(3));
    let objective = Parted::new(net, loss, batch, parting, &theta);
    let point = Point::new(&objective, &theta);
    let omega = theta.map(|w| Tensor::from_fn(w.shape(), |i| (0.9 * i as f64 + 1.0).cos()));
    Found {
        value: point.value(),
        elsewhere: objective.value(&omega),
        gradient: point.gradient(),
        curvature: point.curvature(&omega, &[]),
        hv: point.hvp(&omega),
    }
}

fn assert_close(what: &str, found: f64, want: f64) {
    assert!((found - want).abs() <= 1e-12 * want.abs().max(1e-3), "{what}: {found} for {want}");
}

fn assert_all_close(what: &str, found: &Params<Tensor<f64>>, want: &Params<Tensor<f64>>) {
    found.zip(want, |a, b| a.data().iter().zip(b.data()).for_each(|(a, b)| assert_close(what, *a, *b)));
}

#[test]
fn parts_add_up_to_the_whole() {
    for (loss, targets) in problems::<f64>() {
        let batch = Batch { inputs: inputs(), targets };
        let whole = found(&net(), &loss, &batch, Parting::Whole);
        for parting in PARTINGS {
            assert_same(&format!("{loss:?}, {parting:?}"), &found(&net(), &loss, &batch, parting), &whole);
        }
    }
}

fn assert_same(name: &str, found: &Found, want: &Found) {
    assert_close(name, found.value, want.value);
    assert_close(name, found.elsewhere, want.elsewhere);
    assert_close(name, found.curvature.den, want.curvature.den);
    assert_close(name, found.curvature.gauss_newton.unwrap(), want.curvature.gauss_newton.unwrap());
    assert_all_close(name, &found.gradient, &want.gradient);
    assert_all_close(name, &found.hv, &want.hv);
}

#[test]
fn padded_sequences_are_parted_and_count_as_far_as_they_reach() {
    let net = Classifier::new(5, 8, 4);
    // A sequence has from one to six tokens.
    let token = |row: usize, position: usize| if position <= row % 6 { 1 + (row + position * position) % 4 } else { 0 };
    let batch = |positions: usize| Batch {
        inputs: Tensor::from_fn(&[ROWS, positions], |i| token(i / positions, i % positions) as f64),
        targets: Targets::Classes { labels: (0..ROWS as u32).map(|r| r * r % 4).collect(), classes: 4 },
    };
    let loss = Loss::cross_entropy();
    let whole = found(&net, &loss, &batch(6), Parting::Whole);
    assert_same("more padding", &found(&net, &loss, &batch(9), Parting::Whole), &whole);
    for parting in PARTINGS {
        assert_same(&format!("{parting:?}"), &found(&net, &loss, &batch(6), parting), &whole);
    }
    // What the last tokens are matters, since somebody sees them.
    let moved = found(&net, &loss, &batch(5), Parting::Whole);
    assert!((moved.curvature.den - whole.curvature.den).abs() > 1e-6 * whole.curvature.den.abs());
}

/// Parameters after some steps of exact GeN with weight decay.
fn trained<T: Real>(sizes: &[usize], rows: usize, parting: Parting, threads: usize) -> (Vec<Vec<u64>>, f64) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let net = Mlp::new(sizes, Activation::Tanh);
        let theta = net.init::<T>(Key::new(5));
        let x = Tensor::from_fn(&[rows, sizes[0]], |i| T::from_f64((1.3 * i as f64).sin()));
        let classes = sizes[sizes.len() - 1];
        let y = Targets::Classes { labels: (0..rows as u32).map(|r| r * r % classes as u32).collect(), classes };
        let (direction, rule) = (Optimizer::Sgd.direction(1e-3), Policy::default().around(ExactGen::default()));
        let mut stepper = Stepper::new(Box::new(net), theta, Loss::cross_entropy(), direction, rule).parting(parting);
        let reports: Vec<_> = (0..4).map(|_| stepper.step(&x, &y)).collect();
        let bits = |t: &Tensor<T>| t.data().iter().map(|v| v.to_f64().to_bits()).collect();
        (stepper.theta().arrays().iter().map(bits).collect(), reports[3].loss)
    })
}

#[test]
fn steps_are_equal_bit_for_bit_on_any_number_of_threads() {
    // The second network has products that are shared out by themselves, the first is cut into shards.
    for (sizes, rows) in [(&[64, 128, 128, 10][..], 96), (&[300, 280, 300, 10], 80)] {
        for parting in [Parting::Automatic, Parting::Whole, Parting::Shards(3), Parting::MicroBatches(20)] {
            let one = trained::<f32>(sizes, rows, parting, 1);
            assert!(one.1.is_finite());
            for threads in [2, 4] {
                assert!(
                    one == trained::<f32>(sizes, rows, parting, threads),
                    "{sizes:?}, {parting:?}, {threads} threads"
                );
            }
        }
    }
}

#[test]
fn partings_train_alike() {
    let losses = [Parting::Whole, Parting::Shards(3), Parting::MicroBatches(20)]
        .map(|parting| trained::<f64>(&[64, 128, 128, 10], 96, parting, 2).1);
    assert!((losses[1] - losses[0]).abs() < 1e-9 && (losses[2] - losses[0]).abs() < 1e-9, "{losses:?}");
}

#[test]
fn micro_batches_count_the_gradients_that_den_takes_anew() {
    let net = net();
    let theta = net.init::<f64>(Key::new(3));
    let (loss, targets) = problems::<f64>().swap_remove(0);
    let batch = Batch { inputs: inputs(), targets };
    for (parting, gradients) in [(Parting::Whole, 1), (Parting::Shards(3), 1), (Parting::MicroBatches(7), 2)] {
        let objective = Parted::new(&net, &loss, &batch, parting, &theta);
        let point = Point::new(&objective, &theta);
        let g = point.gradient();
        let mut line = point.line(&g, &g);
        line.curvature();
        assert_eq!((line.cost().gradients, line.cost().curvatures), (gradients, 1), "{parting:?}");
    }
}
