//! Reading the parameters and batch of a reference model from a safetensors file.

use std::path::{Path, PathBuf};

use ad_core::{Params, Shape, Tensor};
use nn::Loss;
use nn::data::{Batch, Targets};
use nn::weights::{Entry, WeightsError, match_parameters, read};

use super::spec::Network;
use super::{Case, Spec};

/// A file does not hold the parameters and batch of a model; the message is one line that names file and tensor.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read, or its tensors are not those of the model.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// A tensor holds integers where numbers are needed, or the other way round.
    #[error("{}: tensor `{tensor}`: found {found}, expected {expected}", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// What it holds.
        found: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// There is not one label for each output.
    #[error("{}: tensor `y`: found shape {found:?}, expected {expected:?}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Shape of the labels.
        found: Shape,
        /// Shape that they should have.
        expected: Shape,
    },
    /// A label or token that is none of the model's.
    #[error("{}: tensor `{tensor}`: found {found} at position {row}, expected 0 to {}", path.display(), classes - 1)]
    Label {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: &'static str,
        /// The label.
        found: i64,
        /// Its position.
        row: usize,
        /// How many classes the model has.
        classes: usize,
    },
}

/// Reads the parameters by name, inputs `x` and targets `y` from a safetensors file: integer labels for cross-entropy, one for each
/// output, and values (batch, outputs) otherwise. A decoder's inputs are integers too.
///
/// # Errors
/// If the file is not such a file or does not fit the model.
pub fn load(path: &Path, spec: &Spec) -> Result<Case, LoadError> {
    let classifies = matches!(spec.loss, Loss::CrossEntropy { .. });
    let tokens = matches!(spec.network, Network::Gpt { .. });
    let (mut numbers, mut labels) = (Vec::new(), None);
    for (name, entry) in read::<f64>(path)? {
        let whole = name == "y" && classifies || name == "x" && tokens;
        match entry {
            Entry::Integers { shape, data } if name == "y" && whole => labels = Some((shape, data)),
            Entry::Integers { shape, data } if whole => numbers.push((name, inputs(path, spec, shape, &data)?)),
            Entry::Reals(_) if name == "y" && whole => return Err(kind(path, name, "real numbers", "integer labels")),
            Entry::Reals(_) if whole => return Err(kind(path, name, "real numbers", "integers")),
            Entry::Integers { .. } => return Err(kind(path, name, "integers", "real numbers")),
            Entry::Reals(tensor) => numbers.push((name, tensor)),
        }
    }
    let mut expected: Vec<(String, Vec<usize>)> =
        spec.parameter_specs().into_iter().map(|p| (p.name, p.shape)).collect();
    let parameters = expected.len();
    expected.push(("x".to_owned(), spec.input_shape()));
    let values = vec![spec.batch, spec.network.outputs()];
    if labels.is_none() {
        // Where labels are due and absent, they are reported missing together with whatever else is.
        expected.push(("y".to_owned(), if classifies { spec.label_shape() } else { values }));
    }
    let mut tensors = match_parameters(path, numbers, &expected)?.into_iter();
    let theta: Vec<(String, Tensor<f64>)> =
        expected.into_iter().map(|(name, _)| name).zip(tensors.by_ref().take(parameters)).collect();
    let mut next = || tensors.next().expect("as many tensors were matched as were expected");
    let inputs = next();
    let targets = match labels {
        Some((shape, data)) => classes(path, spec, shape, &data)?,
        None => Targets::Values(next()),
    };
    Ok(Case { theta: Params::new(theta), batch: Batch { inputs, targets } })
}

/// A decoder's inputs, checked to be tokens.
fn inputs(path: &Path, spec: &Spec, shape: Shape, data: &[i64]) -> Result<Tensor<f64>, LoadError> {
    let tokens = whole(path, "x", data, spec.network.outputs())?;
    Ok(Tensor::from_vec(&shape, tokens.into_iter().map(f64::from).collect()))
}

fn kind(path: &Path, tensor: String, found: &'static str, expected: &'static str) -> LoadError {
    LoadError::Kind { path: path.into(), tensor, found, expected }
}

/// Labels, checked to be one for each output and within the classes.
fn classes(path: &Path, spec: &Spec, shape: Shape, data: &[i64]) -> Result<Targets<f64>, LoadError> {
    if shape.as_slice() != spec.label_shape() {
        let expected = Shape::from_vec(spec.label_shape());
        return Err(LoadError::Labels { path: path.into(), found: shape, expected });
    }
    let classes = spec.network.outputs();
    Ok(spec.targets(whole(path, "y", data, classes)?))
}

/// Whole numbers, checked to be below `classes`.
fn whole(path: &Path, tensor: &'static str, data: &[i64], classes: usize) -> Result<Vec<u32>, LoadError> {
    let label = |(row, &found): (usize, &i64)| {
        let class = u32::try_from(found).ok().filter(|c| (*c as usize) < classes);
        class.ok_or_else(|| LoadError::Label { path: path.into(), tensor, found, row, classes })
    };
    data.iter().enumerate().map(label).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::draw::draw;
    use super::*;

    fn spec(loss: &str) -> Spec {
        let json = format!(r#"{{"kind":"mlp","sizes":[3,4,2],"batch":5,"act":"tanh","loss":"{loss}"}}"#);
        Spec::from_name_or_json(&json).unwrap()
    }

    /// One tensor of a file: name, type, shape and bytes.
    type Raw = (String, &'static str, Vec<usize>, Vec<u8>);

    fn single(name: &str, t: &Tensor<f64>) -> Raw {
        let bytes = t.data().iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
        (name.to_owned(), "F32", t.shape().to_vec(), bytes)
    }

    fn labels(y: &[i64]) -> Raw {
        ("y".to_owned(), "I64", vec![y.len()], y.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn raw(case: &Case) -> Vec<Raw> {
        let mut out: Vec<Raw> = case.theta.iter().map(|(name, p)| single(name, p)).collect();
        out.push(single("x", &case.batch.inputs));
        out.push(match &case.batch.targets {
            Targets::Classes { labels: y, .. } | Targets::Sequences { labels: y, .. } => {
                labels(&y.iter().map(|v| i64::from(*v)).collect::<Vec<_>>())
            }
            Targets::Values(y) => single("y", y),
        });
        out
    }

    /// The safetensors format, written out.
    fn bytes(entries: &[Raw]) -> Vec<u8> {
        let mut header = serde_json::Map::new();
        let mut data = Vec::new();
        for (name, dtype, shape, bytes) in entries {
            let offsets = [data.len(), data.len() + bytes.len()];
            header.insert(name.clone(), serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
            data.extend_from_slice(bytes);
        }
        let header = serde_json::to_vec(&header).unwrap();
        [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
    }

    fn loaded(bytes: &[u8], loss: &str) -> Result<Case, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.safetensors");
        fs::write(&path, bytes).unwrap();
        let clean = |e: LoadError| e.to_string().replace(&path.display().to_string(), "FILE");
        load(&path, &spec(loss)).map_err(clean)
    }

    fn refused(change: impl FnOnce(&mut Vec<Raw>)) -> String {
        let mut entries = raw(&draw(&spec("ce")));
        change(&mut entries);
        let message = loaded(&bytes(&entries), "ce").unwrap_err();
        assert!(message.starts_with("FILE: ") && !message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn what_was_drawn_is_read_back() {
        for loss in ["ce", "mse", "nsq"] {
            let case = draw(&spec(loss));
            let back = loaded(&bytes(&raw(&case)), loss).unwrap();
            assert_eq!(back.batch, case.batch);
            assert_eq!((back.theta.names(), back.theta.arrays()), (case.theta.names(), case.theta.arrays()));
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_named() {
        assert!(refused(|e| drop(e.remove(1))).contains("missing layers.0.bias [4]"));
        assert!(refused(|e| drop(e.remove(5))).contains("missing y [5]"));
        let longer = refused(|e| e.push(single("layers.2.weight", &Tensor::full(&[2], 0.0))));
        assert!(longer.contains("unexpected layers.2.weight [2]"), "{longer}");
        assert!(refused(|e| e[0].2 = vec![3, 4]).contains("layers.0.weight is [3, 4], expected [4, 3]"));
        assert!(refused(|e| e[4].2 = vec![3, 5]).contains("x is [3, 5], expected [5, 3]"));
        assert!(
            refused(|e| e[0].1 = "I32").contains("tensor `layers.0.weight`: found integers, expected real numbers")
        );
    }

    #[test]
    fn bad_numbers_and_labels_are_placed() {
        let nan = refused(|e| e[2].3[4..8].copy_from_slice(&f32::NAN.to_le_bytes()));
        assert!(nan.contains("layers.1.weight") && nan.contains("element 1: found NaN"), "{nan}");
        let beyond = refused(|e| e[5] = labels(&[0, 1, 2, 0, 0]));
        assert!(beyond.ends_with("tensor `y`: found 2 at position 2, expected 0 to 1"), "{beyond}");
        assert!(refused(|e| e[5] = labels(&[-1, 1, 1, 0, 0])).contains("found -1 at position 0"));
        assert!(refused(|e| e[5] = labels(&[0, 1])).ends_with("tensor `y`: found shape [2], expected [5]"));
        let values = refused(|e| e[5] = single("y", &Tensor::full(&[5], 0.0)));
        assert!(values.ends_with("tensor `y`: found real numbers, expected integer labels"), "{values}");
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let whole = bytes(&raw(&draw(&spec("ce"))));
        for length in [0, 4, 8, 100, whole.len() - 1] {
            assert!(loaded(&whole[..length], "ce").is_err(), "{length} bytes");
        }
        assert!(loaded(b"PK\x03\x04 this is another format", "ce").unwrap_err().contains("zip archive"));
        let absent = load(Path::new("none.safetensors"), &spec("ce")).unwrap_err().to_string();
        assert!(absent.starts_with("none.safetensors: cannot be read: "), "{absent}");
    }
}
