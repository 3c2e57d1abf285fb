//! How fast convolutions and pooling are, on one thread and on two.
//!
//! ```text
//! cargo bench -p bench --bench convolutions               # all
//! cargo bench -p bench --bench convolutions -- 16x12x12   # one layer: channels x height x width of 64 images
//! ```
//!
//! Of a convolution, an element is a floating-point operation: "Gelem/s" reads GFLOP/s, to be compared with those of the bench `products`.
//! Of pooling, an element is a pixel.

use ad_core::ops::{Pooling, Window};
use ad_core::{NodeId, Ops, Recording, Tape, Tensor, Var};
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use rayon::ThreadPool;

#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

/// A layer on square images.
#[derive(Clone, Copy)]
struct Layer {
    inputs: usize,
    pixels: usize,
    outputs: usize,
    kernel: usize,
    padding: usize,
}

/// Images of a batch.
const BATCH: usize = 64;

/// The layers of the reference model, and two of a residual network.
const LAYERS: [Layer; 4] = [
    Layer { inputs: 1, pixels: 28, outputs: 16, kernel: 5, padding: 0 },
    Layer { inputs: 16, pixels: 12, outputs: 32, kernel: 5, padding: 0 },
    Layer { inputs: 16, pixels: 32, outputs: 16, kernel: 3, padding: 1 },
    Layer { inputs: 32, pixels: 16, outputs: 32, kernel: 3, padding: 1 },
];

fn main() {
    let mut criterion = common::criterion();
    for layer in LAYERS {
        for threads in [1, 2] {
            convolution(&mut criterion, &common::pool(threads), layer);
        }
    }
    for threads in [1, 2] {
        pooling(&mut criterion, &common::pool(threads), &[BATCH, 16, 24, 24]);
    }
    criterion.final_summary();
}

/// Times the output of a layer, and the adjoints of its weight and of its input.
fn convolution(criterion: &mut Criterion, pool: &ThreadPool, layer: Layer) {
    let Layer { inputs, pixels, outputs, kernel, padding } = layer;
    let window = Window::square(1, padding, 1);
    let x = common::wave(&[BATCH, inputs, pixels, pixels], 0.0);
    let w = common::wave(&[outputs, inputs, kernel, kernel], 1.0);
    let z = x.conv(&w, None, window, 1);

    let mut group = criterion.benchmark_group(format!("{inputs}x{pixels}x{pixels} to {outputs}, {kernel}x{kernel}"));
    group.throughput(Throughput::Elements(2 * (z.len() * inputs * kernel * kernel) as u64));
    let output = BenchmarkId::new("output", common::threads(pool));
    group.bench_function(output, |b| common::iterate(b, pool, || x.conv(&w, None, window, 1)));
    adjoint(&mut group, pool, "adjoint of the weight", &w, |w| Var::fixed(x.clone()).conv(w, None, window, 1));
    if inputs > 1 {
        adjoint(&mut group, pool, "adjoint of the input", &x, |x| x.conv(&Var::fixed(w.clone()), None, window, 1));
    }
    group.finish();
}

/// Times the largest of two by two pixels, its adjoint and its tangent.
fn pooling(criterion: &mut Criterion, pool: &ThreadPool, shape: &[usize]) {
    let x = common::wave(shape, 0.0);
    let by_twos = Pooling { kernel: [2, 2], window: Window::square(2, 0, 1) };
    let mut group = criterion.benchmark_group("max_pool");
    group.throughput(Throughput::Elements(x.len() as u64));
    let value = BenchmarkId::new("value", common::threads(pool));
    group.bench_function(value, |b| common::iterate(b, pool, || x.max_pool(by_twos)));
    adjoint(&mut group, pool, "adjoint", &x, |x| x.max_pool(by_twos));
    let (recording, _) = recorded(&x, |x| x.max_pool(by_twos));
    let tangent = BenchmarkId::new("tangent", common::threads(pool));
    group.bench_function(tangent, |b| common::iterate(b, pool, || recording.tangents(&[Some(&x)])));
    group.finish();
}

/// A recording of one operation on one array, and its node.
fn recorded(x: &Tensor<f32>, f: impl Fn(&Var<Tensor<f32>>) -> Var<Tensor<f32>>) -> (Recording<Tensor<f32>>, NodeId) {
    let tape = Tape::new();
    let y = f(&tape.leaf(x.clone()));
    (tape.finish(), y.node().expect("it depends on the leaf"))
}

fn adjoint(
    group: &mut BenchmarkGroup<'_, WallTime>,
    pool: &ThreadPool,
    name: &str,
    x: &Tensor<f32>,
    f: impl Fn(&Var<Tensor<f32>>) -> Var<Tensor<f32>>,
) {
    let (recording, node) = recorded(x, f);
    let seed = common::wave(recording.value(node).shape(), 2.0);
    let id = BenchmarkId::new(name, common::threads(pool));
    group.bench_function(id, |b| common::iterate(b, pool, || recording.adjoints(node, seed.clone())));
}
