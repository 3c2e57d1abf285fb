//! One seed, one result: for every run, and for any number of threads.

use std::convert::Infallible;

use ad_core::Real;
use gen_sched::{ApproximateGen, ExactGen, Observer, Rule, Standing, StepReport, Stepper, Trainer};
use nn::data::{Split, Standardizer, digits};
use nn::{Activation, Architecture, Loss, Mlp, Optimizer, random::Key};

#[derive(Default)]
struct Everything {
    steps: Vec<StepReport>,
    epochs: Vec<Standing>,
}

impl<T: Real> Observer<T> for Everything {
    type Error = Infallible;

    fn step(&mut self, report: &StepReport) -> Result<(), Infallible> {
        self.steps.push(report.clone());
        Ok(())
    }

    fn evaluation(&mut self, report: &Standing) -> Result<(), Infallible> {
        self.epochs.push(*report);
        Ok(())
    }
}

/// All numbers of a run of a network wide enough that its products are shared out over threads: reports as text, of which equal ones mean
/// equal bits, and parameters by their bits.
fn run<T: Real>(threads: usize, seed: u64, rule: fn() -> Box<dyn Rule<T>>) -> (String, Vec<u64>) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let key = Key::new(seed);
        let Split { train, test } = Split::stratified(&digits(), 0.2, key.named("split")).unwrap();
        let fitted = Standardizer::fit_overall(train.inputs());
        let (train, test) = (train.standardized(&fitted).unwrap(), test.standardized(&fitted).unwrap());
        let net = Mlp::new(&[64, 256, 256, 10], Activation::Tanh);
        let theta = net.init(key.named("init"));
        let direction = Optimizer::Sgd.direction(1e-3);
        let stepper = Stepper::new(Box::new(net), theta, Loss::cross_entropy(), direction, rule()).measuring_decrease();
        let mut trainer = Trainer::<T>::new(stepper, train, test, 256, 1, key.named("batches")).unwrap();
        let mut seen = Everything::default();
        let summary = trainer.run(&mut seen).unwrap();
        let theta: Vec<u64> = trainer
            .stepper()
            .theta()
            .arrays()
            .iter()
            .flat_map(|t| t.data().iter().map(|x| x.to_f64().to_bits()))
            .collect();
        assert_eq!(seen.steps.len(), 5);
        (format!("{:?} {:?} {summary:?}", seen.steps, seen.epochs), theta)
    })
}

fn is_deterministic<T: Real>(rule: fn() -> Box<dyn Rule<T>>) {
    let first = run::<T>(1, 7, rule);
    for threads in [1, 2, 4] {
        assert!(first == run::<T>(threads, 7, rule), "{} on {threads} threads", T::NAME);
    }
    assert!(first != run::<T>(1, 8, rule), "another seed, another run");
}

#[test]
fn runs_are_equal_bit_for_bit() {
    is_deterministic::<f32>(|| Box::new(ExactGen::default()));
    is_deterministic::<f64>(|| Box::new(ExactGen::default()));
    is_deterministic::<f32>(|| Box::new(ApproximateGen::default()));
}
