//! Every optimizer trains with exact GeN as it comes, on the handwritten digits.

use std::convert::Infallible;

use ad_core::Real;
use gen_sched::{ExactGen, Observer, Policy, Standing, StepReport, Stepper, Trainer};
use nn::data::{Split, Standardizer, digits};
use nn::{Activation, Architecture, Loss, Mlp, Optimizer, random::Key};

struct Silent;

impl<T: Real> Observer<T> for Silent {
    type Error = Infallible;

    fn step(&mut self, _report: &StepReport) -> Result<(), Infallible> {
        Ok(())
    }

    fn evaluation(&mut self, _report: &Standing) -> Result<(), Infallible> {
        Ok(())
    }
}

/// The accuracy on the test samples of a small network after some epochs.
fn accuracy(optimizer: Optimizer, policy: Policy, epochs: u64, seed: u64) -> f64 {
    let key = Key::new(seed);
    let Split { train, test } = Split::stratified(&digits(), 0.2, key.named("split")).unwrap();
    let fitted = Standardizer::fit_overall(train.inputs());
    let (train, test) = (train.standardized(&fitted).unwrap(), test.standardized(&fitted).unwrap());
    let net = Mlp::new(&[64, 32, 10], Activation::Tanh);
    let theta = net.init::<f32>(key.named("init"));
    let direction = optimizer.direction(optimizer.usual_decay());
    let rule = policy.around(ExactGen::default());
    let stepper = Stepper::new(Box::new(net), theta, Loss::cross_entropy(), direction, rule);
    let mut trainer = Trainer::new(stepper, train, test, 64, epochs, key.named("batches")).unwrap();
    let Ok(summary) = trainer.run(&mut Silent);
    summary.last.and_then(|last| last.test.accuracy).expect("classes")
}

#[test]
fn momentum_trains_by_default_from_any_seed() {
    for optimizer in [Optimizer::Momentum, Optimizer::Nesterov, Optimizer::Adam] {
        for seed in 0..5 {
            let accuracy = accuracy(optimizer, Policy::default(), 6, seed);
            assert!(accuracy >= 0.95, "{optimizer}, seed {seed}: {accuracy}");
        }
    }
}

/// β = 0.9 and rates averaged as their authors recommend, by γ = 0.9.
const AVERAGING: f64 = 0.9;

#[test]
fn averaged_momentum_trains_by_default_from_any_seed() {
    let averaging = Policy { gamma: AVERAGING, ..Policy::default() };
    for seed in 0..5 {
        let accuracy = accuracy(Optimizer::Momentum, averaging, 20, seed);
        assert!(accuracy >= 0.95, "seed {seed}: {accuracy}");
    }
}

#[test]
fn without_caution_momentum_does_not_train() {
    // What the default policy is for.
    for gamma in [0.0, AVERAGING] {
        let bold = Policy { is_cautious: false, gamma, ..Policy::default() };
        assert!((0..5).any(|seed| accuracy(Optimizer::Momentum, bold, 20, seed) < 0.8), "γ = {gamma}");
    }
}

#[test]
fn every_optimizer_trains_by_default() {
    for &optimizer in Optimizer::ALL {
        let accuracy = accuracy(optimizer, Policy::default(), 6, 0);
        assert!(accuracy >= 0.9, "{optimizer}: {accuracy}");
    }
}
