//! How fast the kernels beside the matrix products are on one thread, in elements a second.
//!
//! ```text
//! cargo bench -p bench --bench kernels            # all
//! cargo bench -p bench --bench kernels -- tanh    # one function
//! ```
//!
//! Three quantities of each function: its value, its vector–Jacobian product, and its curvature, that is the tangent ẏ with
//! ȳ·φ″[ẋ, ẋ]; the last two as sweeps over a recording of one operation. 8192 elements are the activations of a layer of
//! mlp-digits and stay in the inner caches, 262144 do not. Compare a function with `relu`, which computes next to nothing: what
//! it takes is memory's share.

use ad_core::{Ground, Ops, Tensor, Var, transform};
use criterion::{BenchmarkId, Criterion, Throughput};
use rayon::ThreadPool;

#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

/// A function of one array.
struct Kernel {
    name: &'static str,
    value: fn(&Tensor<f32>) -> Tensor<f32>,
    record: fn(&Var<Tensor<f32>>) -> Var<Tensor<f32>>,
}

/// Kernels from the methods that compute them.
macro_rules! kernels {
    ($($method:ident($($setting:expr),*)),* $(,)?) => {
        [$(Kernel {
            name: stringify!($method),
            value: |x| x.$method($($setting),*),
            record: |x| x.$method($($setting),*),
        }),*]
    };
}

const ELEMENTWISE: [Kernel; 9] =
    kernels![exp(), tanh(), sigmoid(), softplus(), gelu(), gelu_tanh(), silu(), elu(1.0), relu()];
const OF_ROWS: [Kernel; 2] = kernels![softmax(-1), cross_entropy(&LABELS)];
const OF_SCORES: [Kernel; 1] = kernels![softmax(-1)];

/// Shapes of the arrays that elementwise functions and sums run on.
const SHAPES: [[usize; 2]; 2] = [[64, 128], [512, 512]];

/// Logits of 128 rows and 10 classes.
const LOGITS: [usize; 2] = [128, 10];

/// Scores of 8 heads on 256 tokens, as attention takes the softmax of.
const SCORES: [usize; 3] = [8, 256, 256];

/// A class for each row of the logits.
const LABELS: [usize; LOGITS[0]] = {
    let mut labels = [0; LOGITS[0]];
    let mut row = 0;
    while row < labels.len() {
        labels[row] = 7 * row % LOGITS[1];
        row += 1;
    }
    labels
};

fn main() {
    let mut criterion = common::criterion();
    let pool = common::pool(1);
    for shape in SHAPES {
        for kernel in ELEMENTWISE {
            differentiated(&mut criterion, &pool, &kernel, &shape);
        }
        sums(&mut criterion, &pool, &shape);
    }
    for kernel in OF_ROWS {
        differentiated(&mut criterion, &pool, &kernel, &LOGITS);
    }
    for kernel in OF_SCORES {
        differentiated(&mut criterion, &pool, &kernel, &SCORES);
    }
    criterion.final_summary();
}

/// Times value, VJP and curvature of a function.
fn differentiated(criterion: &mut Criterion, pool: &ThreadPool, kernel: &Kernel, shape: &[usize]) {
    let (x, dx) = (common::wave(shape, 0.0), common::wave(shape, 1.0));
    let (y, node, recording) = transform::record(kernel.record, &x);
    let node = node.expect("the value depends on the argument");
    let ybar = common::wave(y.shape(), 2.0);
    let adjoints = recording.adjoints(node, ybar.clone());

    let mut group = criterion.benchmark_group(kernel.name);
    group.throughput(Throughput::Elements(x.len() as u64));
    let id = |quantity: &str| BenchmarkId::new(quantity, x.len());
    group.bench_function(id("value"), |b| common::iterate(b, pool, || (kernel.value)(&x)));
    group.bench_function(id("vjp"), |b| common::iterate(b, pool, || recording.adjoints(node, ybar.clone())));
    group.bench_function(id("curvature"), |b| {
        common::iterate(b, pool, || recording.curvature(node, &adjoints, &[Some(&dx)]));
    });
    group.finish();
}

/// Times the inner product of two arrays and the sums of one's columns.
fn sums(criterion: &mut Criterion, pool: &ThreadPool, shape: &[usize]) {
    let (a, b) = (common::wave(shape, 0.0), common::wave(shape, 1.0));
    let mut group = criterion.benchmark_group("sums");
    group.throughput(Throughput::Elements(a.len() as u64));
    let id = |of: &str| BenchmarkId::new(of, a.len());
    group.bench_function(id("inner product"), |bencher| common::iterate(bencher, pool, || a.inner(&b)));
    group.bench_function(id("columns"), |bencher| common::iterate(bencher, pool, || a.sum(&[0])));
    group.finish();
}
