//! A steady training step takes no large buffer from the system: they are all reused.

use std::sync::atomic::Ordering;

use ad_core::{Tensor, buffer};
use gen_sched::{ApproximateGen, ExactGen, Parting, Policy, Rule, Stepper};
use nn::data::Targets;
use nn::random::Key;
use nn::{Activation, Adam, Architecture, Direction, Loss, Mlp, Optimizer, Sgd};

use crate::{LARGE_REQUESTS, LARGEST, alone};

/// Steps in a row without a large allocation that show that buffers are reused.
const STEADY: u32 = 12;
/// Steps within which they must come. Shards that first meet at the same point in a later step need a buffer more, once.
const MOST_STEPS: u32 = 120;

#[test]
fn a_steady_step_makes_no_large_allocation() {
    let _alone = alone();
    for parting in [Parting::Whole, Parting::Shards(2)] {
        for (name, direction, rule) in [
            (
                "exact, sgd",
                Box::new(Sgd::new()) as Box<dyn Direction<f32>>,
                Box::new(ExactGen::default()) as Box<dyn Rule<f32>>,
            ),
            ("exact, sgd with decay", Optimizer::Sgd.direction(1e-3), Policy::default().around(ExactGen::default())),
            ("exact, adam", Box::new(Adam::default()), Policy::default().around(ExactGen::default())),
            ("approximate, sgd", Box::new(Sgd::new()), Policy::default().around(ApproximateGen::default())),
        ] {
            // Inputs, weights and layers all count as large.
            let net = Mlp::new(&[160, 192, 192, 10], Activation::GeluTanh);
            let theta = net.init::<f32>(Key::new(1));
            let x = Tensor::from_fn(&[128, 160], |i| (1.3 * i as f32).sin());
            let y = Targets::Classes { labels: (0..128).map(|r| r % 10).collect(), classes: 10 };
            let mut stepper = Stepper::new(Box::new(net), theta, Loss::cross_entropy(), direction, rule)
                .parting(parting)
                .measuring_decrease();
            let mut quiet = 0;
            for _ in 0..MOST_STEPS {
                let asked = || (LARGE_REQUESTS.load(Ordering::Relaxed), buffer::taken_bytes());
                let before = asked();
                assert!(stepper.step(&x, &y).loss.is_finite());
                quiet = if asked() == before { quiet + 1 } else { 0 };
                if quiet == STEADY {
                    break;
                }
            }
            assert!(buffer::taken_bytes() > 0, "the first steps take memory, and it is counted");
            let largest = LARGEST.load(Ordering::Relaxed);
            assert!(quiet == STEADY, "{name}, {parting:?}: still large allocations, up to {largest} bytes");
        }
    }
}
