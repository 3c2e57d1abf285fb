//! The reference models: parameters and a batch of each, with values computed in `f64` by PyTorch.
//!
//! The small ones stand in `tests/data`. The large ones are read where a checkout of the reference material lies beside the
//! workspace, in `../shared/peers/fixtures`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ad_core::{Params, Tensor};
use bench::reference::load::load;
use bench::reference::{Case, Spec};
use serde::Deserialize;

/// Values on one set of parameters and batch.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Check {
    /// The loss.
    pub loss: f64,
    /// g·g, with g the gradient.
    pub num: f64,
    /// g·Hg.
    pub den: f64,
    /// The Gauss–Newton part of den.
    pub gn: f64,
}

/// Values along the probe direction v on set A.
#[derive(Clone, Copy, Debug, Deserialize)]
#[allow(non_snake_case, reason = "the names are those of the file")]
pub struct Direction {
    /// v·g.
    pub vg: f64,
    /// v·Hv.
    pub vHv: f64,
    /// The Gauss–Newton part of v·Hv.
    pub vGv: f64,
    /// ‖Hv‖².
    pub HvHv: f64,
}

/// The reference values of one model.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    /// The model.
    pub spec: serde_json::Value,
    /// On set A.
    pub check: Check,
    /// On set B.
    pub check_b: Check,
    /// Along the probe direction.
    pub direction: Direction,
}

/// A model with its parameters, batch and reference values.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// Name of the model.
    pub name: String,
    /// The model.
    pub spec: Spec,
    /// Parameters and batch of set A.
    pub case: Case,
    /// The reference values.
    pub expected: Expected,
    /// The whole gradient and Hv, for the small models.
    pub second_order: Option<[Params<Tensor<f64>>; 2]>,
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data")
}

/// The file of this name, in the repository or beside it.
fn found(file: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/peers/fixtures");
    [data(), beside].iter().map(|folder| folder.join(file)).find(|path| path.exists())
}

/// The fixture of this name, or `None` (and a note) where its file is not to be had.
///
/// # Panics
/// If a file that is there cannot be read.
pub fn fixture(name: &str) -> Option<Fixture> {
    let text = std::fs::read_to_string(data().join("expected.json")).expect("expected.json");
    let all: BTreeMap<String, Expected> = serde_json::from_str(&text).expect("expected.json");
    let expected = all.get(name).unwrap_or_else(|| panic!("no model {name}")).clone();
    let file = format!("{name}.safetensors");
    let Some(path) = found(&file) else {
        println!("skipped: {file} is neither in tests/data nor in ../shared/peers/fixtures");
        return None;
    };
    let spec = Spec::from_name_or_json(&expected.spec.to_string()).expect("a spec");
    let case = load(&path, &spec).expect("a fixture");
    let second_order = second_order(name, case.theta.names());
    Some(Fixture { name: name.to_owned(), spec, case, expected, second_order })
}

/// The whole gradient and Hv of a small model.
fn second_order(name: &str, parameters: &[String]) -> Option<[Params<Tensor<f64>>; 2]> {
    let path = found(&format!("{name}.second-order.safetensors"))?;
    let found: BTreeMap<String, Tensor<f64>> = nn::weights::load(&path).expect("a fixture").into_iter().collect();
    let part = |prefix: &str| {
        Params::new(parameters.iter().map(|name| (name.clone(), found[&format!("{prefix}.{name}")].clone())))
    };
    Some([part("grad"), part("hv")])
}
