//! Every primitive of the registry, on every sample, in every way there is.

use ad_core::check::Check;
use ad_core::registry::{Visitor, visit};
use ad_core::{Primitive, Tensor};

#[derive(Default)]
struct CheckAll {
    failures: Vec<String>,
    names: std::collections::BTreeSet<&'static str>,
    comparisons: usize,
}

impl Visitor for CheckAll {
    fn visit<P: Primitive>(&mut self, p: P, inputs: Vec<Tensor<f64>>) {
        self.names.insert(p.name());
        // These two override their derivative on purpose; `overrides.rs` pins what it is.
        let differences = !["stop_gradient", "derivative_of"].contains(&p.name());
        match (Check { differences, ..Check::default() }).primitive(&p, &inputs) {
            Ok(report) => self.comparisons += report.agreements.len(),
            Err(mismatch) => self.failures.push(format!("{p:?} on {inputs:?}: {mismatch}")),
        }
    }
}

#[test]
fn every_primitive_agrees_in_every_way() {
    let mut all = CheckAll::default();
    visit(&mut all);
    assert!(all.failures.is_empty(), "{}", all.failures.join("\n"));
    assert!(all.names.len() >= 50, "only {} primitives were visited", all.names.len());
    assert!(all.comparisons >= 15 * all.names.len(), "only {} comparisons were made", all.comparisons);
}
