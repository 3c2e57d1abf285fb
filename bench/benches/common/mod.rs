//! What the benchmarks share: settings, pools of threads, arrays and reference models.

use std::time::Duration;

use ad_core::{Params, Tensor};
use bench::reference::{Spec, draw::draw};
use criterion::{Bencher, Criterion};
use gen_sched::Supervised;
use nn::data::Batch;
use nn::{Loss, Net};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Settings for short runs, which flags override.
pub(crate) fn criterion() -> Criterion {
    let short = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    short.sample_size(50).configure_from_args()
}

/// A pool of this many threads.
pub(crate) fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().expect("the system starts a few threads")
}

/// The number of a pool's threads in words.
pub(crate) fn threads(pool: &ThreadPool) -> String {
    match pool.current_num_threads() {
        1 => "1 thread".to_owned(),
        n => format!("{n} threads"),
    }
}

/// Times calls of `run` from within a pool.
pub(crate) fn iterate<R>(bencher: &mut Bencher<'_>, pool: &ThreadPool, run: impl Fn() -> R + Send) {
    pool.install(|| bencher.iter(run));
}

/// Numbers within [−2, 2] without a pattern; other `phase`, other numbers.
pub(crate) fn wave(shape: &[usize], phase: f64) -> Tensor<f32> {
    Tensor::from_fn(shape, |i| (2.0 * (0.37 * i as f64 + phase).sin()) as f32)
}

/// A reference model in single precision.
pub(crate) struct Model {
    spec: Spec,
    pub(crate) net: Box<dyn Net<f32>>,
    pub(crate) loss: Loss,
    pub(crate) theta: Params<Tensor<f32>>,
    pub(crate) batch: Batch<f32>,
}

impl Model {
    /// The reference model of this name, with the numbers that `parabola cost` draws for it.
    ///
    /// # Panics
    /// If there is none.
    pub(crate) fn named(name: &str) -> Self {
        let spec = Spec::from_name_or_json(name).expect("a reference model");
        let case = draw(&spec);
        Model {
            net: spec.net(),
            loss: spec.loss.clone(),
            theta: case.theta.map(Tensor::cast),
            batch: case.batch.cast(),
            spec,
        }
    }

    /// The network once more.
    pub(crate) fn another_net(&self) -> Box<dyn Net<f32>> {
        self.spec.net()
    }

    /// The loss on the whole batch.
    pub(crate) fn objective(&self) -> Supervised<'_, f32> {
        Supervised::new(&*self.net, &self.loss, &self.batch)
    }
}
