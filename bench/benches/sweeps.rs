//! What each sweep over a recorded network costs beside the others, on one thread and on two.
//!
//! ```text
//! cargo bench -p bench --bench sweeps                # all
//! cargo bench -p bench --bench sweeps -- mlp-digits  # one model
//! ```
//!
//! `record` and `adjoints` together are a gradient, `tangents` and `adjoint_tangents` the Hessian–vector product that may
//! follow it. `curvature` is den along the gradient, in the form that is cheapest for each product and in each form alone; to be
//! compared with one another, and with `tangents` and `adjoint_tangents` together, which it spares.

use ad_core::ops::{Form, Forms};
use ad_core::{Along, Hessian, NodeId, Recording, Tensor, transform};
use criterion::{BenchmarkId, Criterion};
use gen_sched::Objective;
use rayon::ThreadPool;

use common::Model;

#[allow(dead_code, reason = "each benchmark uses a part")]
mod common;

/// The forms in which products advance.
const FORMS: [(&str, Forms); 5] = [
    ("cheapest", Forms::Cheapest),
    ("direct", Forms::Only(Form::Direct)),
    ("two-product", Forms::Only(Form::TwoProduct)),
    ("mixed", Forms::Only(Form::Mixed)),
    ("factored", Forms::Only(Form::Factored)),
];

fn main() {
    let mut criterion = common::criterion();
    for name in ["mlp-digits", "mlp-mnist"] {
        for threads in [1, 2] {
            sweeps(&mut criterion, name, &common::pool(threads));
        }
    }
    criterion.final_summary();
}

/// Times every sweep on a model.
fn sweeps(criterion: &mut Criterion, name: &str, pool: &ThreadPool) {
    let model = Model::named(name);
    let (output, recording) = recorded(&model);
    let one = || Tensor::scalar(1.0);
    let adjoints = recording.adjoints(output, one());
    let gradient = adjoints.leaves(&recording);
    // Where a tangent is stored in the place of its adjoint, the sweep knows that it is the gradient.
    let direction: Vec<_> = gradient.iter().map(Some).collect();
    let tangents = recording.tangents(&direction);

    let mut group = criterion.benchmark_group(name);
    let id = |sweep: &str| BenchmarkId::new(sweep, common::threads(pool));
    group.bench_function(id("record"), |b| common::iterate(b, pool, || recorded(&model)));
    group.bench_function(id("adjoints"), |b| common::iterate(b, pool, || recording.adjoints(output, one())));
    group.bench_function(id("tangents"), |b| common::iterate(b, pool, || recording.tangents(&direction)));
    group.bench_function(id("adjoint_tangents"), |b| {
        common::iterate(b, pool, || recording.adjoint_tangents(&adjoints, &tangents, Hessian::Full));
    });
    for (form, forms) in FORMS {
        let along = Along { tangents: &direction, multiples: &[], forms };
        group.bench_function(id(&format!("curvature, {form}")), |b| {
            common::iterate(b, pool, || recording.curvature_along(output, &adjoints, &along));
        });
    }
    group.finish();
}

/// A model's loss on a tape.
fn recorded(model: &Model) -> (NodeId, Recording<Tensor<f32>>) {
    let (_, output, recording) = transform::record(|theta| model.objective().record(theta), &model.theta);
    (output.expect("the loss depends on the parameters"), recording)
}
