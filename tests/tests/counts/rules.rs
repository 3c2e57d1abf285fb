//! The work of a rule's steps, told from the recording, is what is counted as products are computed.

use ad_core::ops::Window;
use ad_core::{Tensor, work};
use gen_sched::{Denominator, ExactGen, GroupedGen, Grouping, Parting, Policy, PolynomialGen, Rule, Stepper};
use nn::data::Targets;
use nn::models::{Cnn, Gpt};
use nn::random::Key;
use nn::{Activation, Architecture, Loss, Mlp, Net, Optimizer};
use parabola_tests::rules;

/// Rules whose settings are not the usual ones.
fn others() -> Vec<(&'static str, Box<dyn Rule<f64>>)> {
    let lazy = Policy { every: 3, gamma: 0.5, is_trusted: true, ..Policy::default() };
    vec![
        ("exact, lazy and trusted", lazy.around(ExactGen::over(Denominator::TotalOrGaussNewton))),
        ("polynomial, held out", Box::new(PolynomialGen::default().holding_out(0.5))),
        ("grouped, diagonal", Box::new(GroupedGen::new(Grouping::ByKind).diagonal())),
    ]
}

fn net() -> Mlp {
    Mlp::new(&[6, 9, 8, 3], Activation::Tanh)
}

/// Every rule along a direction.
fn steppers(optimizer: Optimizer) -> Vec<(&'static str, Stepper<f64>)> {
    let theta = || net().init::<f64>(Key::new(1));
    let loss = Loss::cross_entropy;
    let usual = rules::names()
        .iter()
        .map(|name| (*name, rules::stepper(name, Box::new(net()), theta(), loss(), optimizer.direction(0.0))));
    let others = others()
        .into_iter()
        .map(|(name, rule)| (name, Stepper::new(Box::new(net()), theta(), loss(), optimizer.direction(0.0), rule)));
    usual.chain(others).collect()
}

#[test]
fn the_work_of_a_step_is_what_is_counted() {
    let _alone = crate::alone();
    let x = Tensor::from_fn(&[24, 6], |i| (1.3 * i as f64).sin());
    let y = Targets::Classes { labels: (0..24).map(|r| r * r % 3).collect(), classes: 3 };
    for optimizer in [Optimizer::Sgd, Optimizer::Adam] {
        for parting in [Parting::Whole, Parting::Shards(3), Parting::MicroBatches(8)] {
            for (name, stepper) in steppers(optimizer) {
                let mut stepper = stepper.parting(parting).telling_work();
                for _ in 0..7 {
                    let before = work::flops();
                    let report = stepper.step(&x, &y);
                    let counted = work::flops() - before;
                    let told = report.work.expect("it was asked for").flops;
                    assert_eq!(told, counted, "{name} along {optimizer}, {parting:?}: {}", report.cost);
                }
            }
        }
    }
}

#[test]
fn the_work_of_a_step_is_what_is_counted_with_convolution_and_with_attention() {
    let _alone = crate::alone();
    let images = Tensor::from_fn(&[6, 1, 9, 9], |i| (1.3 * i as f64).sin());
    let classes = Targets::Classes { labels: (0..6).map(|r| r % 3).collect(), classes: 3 };
    // More positions than one block of attention's heads, and not whole blocks.
    let tokens = Tensor::from_fn(&[3, 17], |i| (i * i % 3) as f64);
    let next = Targets::Sequences { labels: (0..51).map(|r| r % 3).collect(), length: 17, classes: 3 };
    let cnn = || -> Box<dyn Net<f64>> {
        let net = Cnn::new(&[1, 2, 3], 3, Window::default(), None, 9, &[4, 3], Activation::Tanh);
        Box::new(net.expect("images of 9 pixels have room for two kernels of 3"))
    };
    let gpt = || -> Box<dyn Net<f64>> { Box::new(Gpt::new(3, 17, 6, 2, 2, Activation::Gelu)) };
    let nets: [&dyn Fn() -> Box<dyn Net<f64>>; 2] = [&cnn, &gpt];
    for (net, (x, y)) in nets.into_iter().zip([(&images, &classes), (&tokens, &next)]) {
        for parting in [Parting::Whole, Parting::Shards(3)] {
            for name in rules::names() {
                let theta = nn::init_parameters::<f64>(&*net(), Key::new(1));
                let direction = Optimizer::Sgd.direction(0.0);
                let stepper = rules::stepper(name, net(), theta, Loss::cross_entropy(), direction);
                let mut stepper = stepper.parting(parting).telling_work();
                for _ in 0..3 {
                    let before = work::flops();
                    let report = stepper.step(x, y);
                    let counted = work::flops() - before;
                    let told = report.work.expect("it was asked for").flops;
                    assert_eq!(told, counted, "{name} on {:?}, {parting:?}: {}", x.shape(), report.cost);
                }
            }
        }
    }
}
