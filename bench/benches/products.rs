//! How fast matrix products are as layers compute them, on one thread and on two.
//!
//! ```text
//! cargo bench -p bench --bench products                 # all
//! cargo bench -p bench --bench products -- 128x784x512  # one layer: batch x inputs x outputs
//! ```
//!
//! An element is a floating-point operation, of which a product of n × k by k × m has 2nkm: "Gelem/s" reads GFLOP/s. Compare
//! the three products of a layer with each other, those of a small layer with those of a large one, which come closest to what
//! the processor can do, and two threads with one.

use ad_core::Ops;
use criterion::{BenchmarkId, Criterion, Throughput};
use rayon::ThreadPool;

#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

/// Batch, inputs and outputs of the layers of the reference models.
const LAYERS: [[usize; 3]; 9] = [
    [128, 784, 10],
    [64, 128, 10],
    [256, 1024, 10],
    [64, 64, 128],
    [64, 128, 128],
    [128, 784, 512],
    [128, 512, 256],
    [32, 1024, 1024],
    [256, 1024, 1024],
];

fn main() {
    let mut criterion = common::criterion();
    for layer in LAYERS {
        for threads in [1, 2] {
            products(&mut criterion, &common::pool(threads), layer);
        }
    }
    criterion.final_summary();
}

/// Times the products of a layer Z = XWᵀ and of its reverse sweep.
fn products(criterion: &mut Criterion, pool: &ThreadPool, [batch, inputs, outputs]: [usize; 3]) {
    let x = common::wave(&[batch, inputs], 0.0);
    let w = common::wave(&[outputs, inputs], 1.0);
    let zbar = common::wave(&[batch, outputs], 2.0);

    let mut group = criterion.benchmark_group(format!("{batch}x{inputs}x{outputs}"));
    group.throughput(Throughput::Elements(2 * (batch * inputs * outputs) as u64));
    let id = |product: &str| BenchmarkId::new(product, common::threads(pool));
    group.bench_function(id("forward"), |b| common::iterate(b, pool, || x.matmul_transposed(false, &w, true)));
    group.bench_function(id("input adjoint"), |b| common::iterate(b, pool, || zbar.matmul(&w)));
    group.bench_function(id("weight adjoint"), |b| {
        common::iterate(b, pool, || zbar.matmul_transposed(true, &x, false));
    });
    group.finish();
}
