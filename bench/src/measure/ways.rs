//! Timing the closed form of a single layer, each of its ways beside the engine.
//!
//! A round times every call once, on every number of threads, so that what slows the machine down for a while slows down all that is
//! compared; ratios are medians of the ratios of a round.

use std::hint::black_box;

use ad_core::{Ops, Tensor};
use gen_sched::closed_form::{NumDen, PiecewiseLinear, SingleLayer, Sizes};
use gen_sched::{Parted, Parting, Point};
use nn::data::Targets;
use nn::{Activation, Direction, Loss, Sgd};
use rayon::ThreadPool;

use super::timing::Stopwatch;
use crate::reference::draw::draw;
use crate::reference::spec::{MAX_NUMBERS, Network};
use crate::reference::{Case, Spec};
use crate::report::stats::median;

/// What is timed on a single layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Evaluating the network, which every way starts from: residuals and slopes.
    Network,
    /// num and den by the double and the triple sum.
    Sums,
    /// num and den by the Gram matrix of the inputs.
    Gram,
    /// num and den by the gradient.
    Direct,
    /// Loss, gradient, num and den by the engine.
    Engine,
    /// The matrix product of the inputs with themselves, whole: M × n₀ by n₀ × M.
    InputProduct,
    /// The matrix product of the Gram matrix with the deltas: M × M by M × n₁.
    DeltaProduct,
}

impl Call {
    /// All calls, in order.
    pub const ALL: [Call; 7] =
        [Call::Network, Call::Sums, Call::Gram, Call::Direct, Call::Engine, Call::InputProduct, Call::DeltaProduct];

    /// Multiply-adds of the call, to leading order.
    pub fn multiply_adds(self, Sizes { samples, inputs, outputs }: Sizes) -> f64 {
        let [m, n0, n1] = [samples, inputs, outputs].map(|n| n as f64);
        match self {
            Call::Network => m * n0 * n1,
            Call::Sums => m * m * m * (n1 + 2.0) + 0.5 * m * m * (n0 + n1),
            Call::Gram => 0.5 * m * m * n0 + m * m * n1,
            Call::Direct => 2.0 * m * n0 * n1,
            Call::Engine => 4.0 * m * n0 * n1,
            Call::InputProduct => m * m * n0,
            Call::DeltaProduct => m * m * n1,
        }
    }
}

/// The times of each call in milliseconds, one a round; none of a call that was left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds([Vec<f64>; Call::ALL.len()]);

impl Rounds {
    /// The times of a call.
    pub fn of(&self, call: Call) -> &[f64] {
        &self.0[call as usize]
    }

    /// The median time of a call, `None` where it was left out.
    pub fn median(&self, call: Call) -> Option<f64> {
        median(self.of(call))
    }

    /// The median over the rounds of what `f` makes of the times of calls, `None` where one of them was left out.
    pub fn median_of<const N: usize>(&self, calls: [Call; N], f: impl Fn([f64; N]) -> f64) -> Option<f64> {
        let times = calls.map(|call| self.of(call));
        let rounds = times.iter().map(|t| t.len()).min().unwrap_or(0);
        median(&(0..rounds).map(|round| f(times.map(|t| t[round]))).collect::<Vec<_>>())
    }

    /// The median over the rounds of the time of a call here over its time in `other`, `None` where it was left out of one.
    pub fn median_against(&self, other: &Rounds, call: Call) -> Option<f64> {
        let (here, there) = (self.of(call), other.of(call));
        let ratios: Vec<f64> = here.iter().zip(there).map(|(a, b)| a / b).collect();
        median(&ratios)
    }

    /// One round of these times.
    #[cfg(test)]
    pub(crate) fn constant(ms: [Option<f64>; Call::ALL.len()]) -> Self {
        Rounds(ms.map(|ms| ms.into_iter().collect()))
    }
}

/// A single layer whose activation is piecewise linear, with parameters and data.
#[derive(Clone, Debug)]
pub struct LayerCase {
    spec: Spec,
    activation: PiecewiseLinear,
    case: Case,
}

/// num and den of each way, and of the engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// The engine's.
    pub engine: NumDen,
    /// The greatest relative difference of a way's num or den from the engine's.
    pub difference: f64,
}

/// Whether a layer with its data has no more numbers than reference models may have.
pub fn has_room(Sizes { samples, inputs, outputs }: Sizes) -> bool {
    let [m, n0, n1] = [samples, inputs, outputs].map(|n| n as u128);
    n0.saturating_add(n1).saturating_mul(m.saturating_add(n1.min(n0))) <= MAX_NUMBERS as u128
}

impl LayerCase {
    /// A layer of these sizes, its numbers drawn as those of reference models; `act` is `activation` as the engine knows it.
    pub fn new(sizes: Sizes, act: Activation, activation: PiecewiseLinear) -> Self {
        let network = Network::Mlp { sizes: vec![sizes.inputs, sizes.outputs], act_out: true };
        let loss = Loss::NormSquared;
        let spec = Spec { name: None, network, batch: sizes.samples, act, loss, seed: 0, scale: 1.0 };
        let case = draw(&spec);
        LayerCase { spec, activation, case }
    }

    /// Sizes of the layer and its batch.
    pub fn sizes(&self) -> Sizes {
        let [outputs, inputs] = *self.case.theta.arrays()[0].shape() else { unreachable!("a weight is a matrix") };
        Sizes { samples: self.spec.batch, inputs, outputs }
    }

    /// The layer, evaluated.
    fn layer(&self) -> SingleLayer<'_> {
        let [weight, bias] = [0, 1].map(|i| self.case.theta.arrays()[i].data());
        let Targets::Values(y) = &self.case.batch.targets else { unreachable!("a squared loss has values") };
        SingleLayer::new(self.sizes(), weight, bias, self.case.batch.inputs.data(), y.data(), self.activation.clone())
            .expect("drawn numbers are finite and as many as the sizes say")
    }

    /// num and den by the engine, as training computes them along the gradient.
    fn engine(&self) -> NumDen {
        let Case { theta, batch } = &self.case;
        let net = self.spec.net::<f64>();
        let objective = Parted::new(&*net, &self.spec.loss, batch, Parting::Automatic, theta);
        let (point, sgd) = (Point::new(&objective, theta), Sgd::new());
        let gradient = point.gradient();
        let omega = sgd.propose(theta, &gradient);
        let multiples = theta.names().iter().map(|name| Direction::<f64>::multiple(&sgd, name)).collect();
        let mut line = point.line(&gradient, &omega).with_multiples(multiples);
        let den = line.curvature().den;
        NumDen { num: line.num(), den }
    }

    /// num and den by every way that is not left out, beside the engine's.
    pub fn agreement(&self, left_out: &[Call]) -> Agreement {
        let (layer, engine) = (self.layer(), self.engine());
        let way = |call, way: &dyn Fn() -> NumDen| (!left_out.contains(&call)).then(way);
        let ways = [
            way(Call::Sums, &|| layer.sums()),
            way(Call::Gram, &|| layer.gram()),
            way(Call::Direct, &|| layer.direct()),
        ];
        let apart = |a: f64, b: f64| (a - b).abs() / b.abs().max(f64::MIN_POSITIVE);
        let apart = |way: NumDen| apart(way.num, engine.num).max(apart(way.den, engine.den));
        Agreement { engine, difference: ways.into_iter().flatten().map(apart).fold(0.0, f64::max) }
    }

    /// Times all calls but those left out, `repeats` rounds of them, in each of the pools.
    pub fn measure(&self, pools: &[ThreadPool], repeats: usize, left_out: &[Call]) -> Vec<Rounds> {
        let Sizes { samples, outputs, .. } = self.sizes();
        let (layer, x) = (self.layer(), &self.case.batch.inputs);
        let wave = |shape: &[usize]| Tensor::<f64>::from_fn(shape, |i| (0.37 * i as f64).sin());
        let is_left_out = |call| left_out.contains(&call);
        let side = if is_left_out(Call::DeltaProduct) { 0 } else { samples };
        let (gram, deltas) = (wave(&[side, side]), wave(&[side, outputs]));
        let run = |call: Call| match call {
            Call::Network => drop(black_box(self.layer())),
            Call::Sums => _ = black_box(layer.sums()),
            Call::Gram => _ = black_box(layer.gram()),
            Call::Direct => _ = black_box(layer.direct()),
            Call::Engine => _ = black_box(self.engine()),
            Call::InputProduct => drop(black_box(x.matmul_transposed(false, x, true))),
            Call::DeltaProduct => drop(black_box(gram.matmul(&deltas))),
        };
        let calls = || Call::ALL.into_iter().filter(|call| !is_left_out(*call));
        let watches: Vec<Vec<(Call, Stopwatch)>> = pools
            .iter()
            .map(|pool| calls().map(|call| (call, pool.install(|| Stopwatch::warmed_up(|| run(call))))).collect())
            .collect();
        let mut rounds = vec![Rounds::default(); pools.len()];
        for _ in 0..repeats {
            // Call by call, so that those of one name lie next to each other on all numbers of threads.
            for i in 0..calls().count() {
                for ((pool, watches), rounds) in pools.iter().zip(&watches).zip(&mut rounds) {
                    let (call, watch) = watches[i];
                    rounds.0[call as usize].push(pool.install(|| watch.mean_ms(|| run(call))));
                }
            }
        }
        rounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(samples: usize) -> LayerCase {
        LayerCase::new(Sizes { samples, inputs: 7, outputs: 3 }, Activation::Relu, PiecewiseLinear::relu())
    }

    #[test]
    fn the_ways_agree_with_the_engine() {
        let leaky = Activation::LeakyRelu { slope: 0.01 };
        for (act, activation) in [
            (Activation::Identity, PiecewiseLinear::identity()),
            (Activation::Relu, PiecewiseLinear::relu()),
            (leaky, PiecewiseLinear::leaky_relu(0.01)),
        ] {
            let case = LayerCase::new(Sizes { samples: 9, inputs: 7, outputs: 3 }, act, activation);
            let Agreement { engine, difference } = case.agreement(&[]);
            assert!(engine.den > 0.0 && difference < 1e-12, "{act}: {engine:?}, {difference:e} apart");
        }
    }

    #[test]
    fn every_call_is_timed_once_a_round_but_those_left_out() {
        let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
        let rounds = case(4).measure(&pools, 2, &[Call::Sums]);
        assert_eq!(rounds.len(), 2);
        for rounds in &rounds {
            for call in Call::ALL {
                assert_eq!(rounds.of(call).len(), if call == Call::Sums { 0 } else { 2 }, "{call:?}");
            }
            assert_eq!(rounds.median(Call::Sums), None);
            assert!(rounds.median_of([Call::Gram, Call::Sums], |[a, b]| a / b).is_none());
            let one = rounds.median_of([Call::Gram, Call::Gram], |[a, b]| a / b);
            assert_eq!(one, Some(1.0));
        }
    }

    #[test]
    fn sizes_beyond_memory_have_no_room() {
        assert!(has_room(Sizes { samples: 512, inputs: 784, outputs: 10 }));
        assert!(!has_room(Sizes { samples: usize::MAX, inputs: usize::MAX, outputs: usize::MAX }));
        assert!(!has_room(Sizes { samples: 1 << 21, inputs: 784, outputs: 10 }));
    }
}
