//! Reading the parameters and batch of a reference model from a safetensors file.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ad_core::Tensor;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Case, Loss, Spec, Target};

/// A file does not hold the parameters and batch of a model.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {fault}")]
pub struct LoadError {
    /// The file.
    pub path: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What can be wrong with a file of parameters and batch.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error("cannot read: {0}")]
    Io(#[from] std::io::Error),
    /// It is corrupt, truncated, or of another format.
    #[error("not a whole safetensors file: {0}")]
    Format(#[from] safetensors::SafeTensorError),
    /// A tensor of the model is absent.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor that the model does not have.
    #[error("unexpected tensor `{name}`; the model has layers.0 to layers.{last}, x and y", last = .layers - 1)]
    Unexpected {
        /// The tensor's name.
        name: String,
        /// How many layers the model has.
        layers: usize,
    },
    /// A tensor of another shape than the model's.
    #[error("tensor `{name}`: found shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor's name.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
    /// A tensor of an element type that cannot stand there.
    #[error("tensor `{name}`: found elements of type {found}, expected {expected}")]
    Dtype {
        /// The tensor's name.
        name: String,
        /// Its element type in the file.
        found: Dtype,
        /// The types that are read.
        expected: &'static str,
    },
    /// NaN or an infinity.
    #[error("tensor `{name}`: found {found} at element {index}, expected finite numbers")]
    NotFinite {
        /// The tensor's name.
        name: String,
        /// The number.
        found: f64,
        /// Its row-major position.
        index: usize,
    },
    /// A label that is no class of the model.
    #[error("tensor `y`: found label {found} in row {row}, expected 0 to {last}", last = .classes - 1)]
    Label {
        /// The label.
        found: i64,
        /// Its row.
        row: usize,
        /// How many classes the model has.
        classes: usize,
    },
}

/// Reads `layers.i.weight` (out, in), `layers.i.bias` (out), `x` (batch, inputs) and `y` from a safetensors file:
/// labels (batch), I64 or I32, for cross-entropy, values (batch, outputs) otherwise; all other numbers F32 or F64.
///
/// # Errors
/// If the file is not such a file or does not fit the model; the message names the file and the tensor.
pub fn load(path: &Path, spec: &Spec) -> Result<Case, LoadError> {
    let read = || -> Result<Case, Fault> { parse(&fs::read(path)?, spec) };
    read().map_err(|fault| LoadError { path: path.display().to_string(), fault })
}

fn parse(bytes: &[u8], spec: &Spec) -> Result<Case, Fault> {
    let file = File(SafeTensors::deserialize(bytes)?);
    let mut parameters = Vec::with_capacity(2 * spec.layers());
    for (i, (inputs, outputs)) in spec.layer_sizes().enumerate() {
        for (name, shape) in [("weight", &[outputs, inputs][..]), ("bias", &[outputs])] {
            let name = format!("layers.{i}.{name}");
            let tensor = file.numbers(&name, shape)?;
            parameters.push((name, tensor));
        }
    }
    let x = file.numbers("x", &[spec.batch, spec.inputs()])?;
    let y = match spec.loss {
        Loss::Ce => Target::Labels(file.labels(spec.batch, spec.outputs())?),
        Loss::Nsq | Loss::Mse => Target::Values(file.numbers("y", &[spec.batch, spec.outputs()])?),
    };
    let known: BTreeSet<&str> = parameters.iter().map(|(name, _)| name.as_str()).chain(["x", "y"]).collect();
    match file.0.names().into_iter().filter(|name| !known.contains(name)).min() {
        Some(name) => Err(Fault::Unexpected { name: name.to_owned(), layers: spec.layers() }),
        None => Ok(Case { parameters, x, y }),
    }
}

struct File<'a>(SafeTensors<'a>);

impl<'a> File<'a> {
    /// The tensor of this name, checked to have this shape.
    fn tensor(&self, name: &str, expected: &[usize]) -> Result<TensorView<'a>, Fault> {
        let tensor = self.0.tensor(name).map_err(|_| Fault::Missing(name.to_owned()))?;
        if tensor.shape() != expected {
            let (found, expected) = (tensor.shape().to_vec(), expected.to_vec());
            return Err(Fault::Shape { name: name.to_owned(), found, expected });
        }
        Ok(tensor)
    }

    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Tensor<f64>, Fault> {
        let tensor = self.tensor(name, shape)?;
        let data: Vec<f64> = match tensor.dtype() {
            Dtype::F32 => elements(tensor.data(), |b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => elements(tensor.data(), f64::from_le_bytes),
            found => return Err(Fault::Dtype { name: name.to_owned(), found, expected: "F32 or F64" }),
        };
        match data.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(Fault::NotFinite { name: name.to_owned(), found: data[index], index }),
            None => Ok(Tensor::from_vec(shape, data)),
        }
    }

    fn labels(&self, batch: usize, classes: usize) -> Result<Vec<u32>, Fault> {
        let tensor = self.tensor("y", &[batch])?;
        let labels: Vec<i64> = match tensor.dtype() {
            Dtype::I64 => elements(tensor.data(), i64::from_le_bytes),
            Dtype::I32 => elements(tensor.data(), |b| i64::from(i32::from_le_bytes(b))),
            found => return Err(Fault::Dtype { name: "y".to_owned(), found, expected: "labels as I64 or I32" }),
        };
        let label = |(row, found): (usize, i64)| {
            let class = u32::try_from(found).ok().filter(|c| (*c as usize) < classes);
            class.ok_or(Fault::Label { found, row, classes })
        };
        labels.into_iter().enumerate().map(label).collect()
    }
}

/// The elements of a buffer whose length the format has checked, `N` bytes each.
fn elements<T, const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::draw::draw;
    use super::*;

    type Entry = (String, Dtype, Vec<usize>, Vec<u8>);

    fn spec(loss: &str) -> Spec {
        let json = format!(r#"{{"kind":"mlp","sizes":[3,4,2],"batch":5,"act":"tanh","loss":"{loss}"}}"#);
        Spec::from_name_or_json(&json).unwrap()
    }

    fn single(name: &str, t: &Tensor<f64>) -> Entry {
        let bytes = t.data().iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
        (name.to_owned(), Dtype::F32, t.shape().to_vec(), bytes)
    }

    fn labels(y: &[i64]) -> Entry {
        ("y".to_owned(), Dtype::I64, vec![y.len()], y.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// The case as file entries, the targets last.
    fn entries(case: &Case) -> Vec<Entry> {
        let mut out: Vec<Entry> = case.parameters.iter().map(|(name, p)| single(name, p)).collect();
        out.push(single("x", &case.x));
        out.push(match &case.y {
            Target::Labels(y) => labels(&y.iter().map(|v| i64::from(*v)).collect::<Vec<_>>()),
            Target::Values(y) => single("y", y),
        });
        out
    }

    fn bytes(entries: &[Entry]) -> Vec<u8> {
        let views = entries
            .iter()
            .map(|(name, dtype, shape, data)| (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Vec<Entry>)) -> String {
        let mut entries = entries(&draw(&spec("ce")));
        change(&mut entries);
        parse(&bytes(&entries), &spec("ce")).unwrap_err().to_string()
    }

    #[test]
    fn what_was_drawn_is_read_back() {
        for loss in ["ce", "mse", "nsq"] {
            let case = draw(&spec(loss));
            assert_eq!(parse(&bytes(&entries(&case)), &spec(loss)).unwrap(), case);
        }
    }

    #[test]
    fn tensors_that_do_not_fit_are_named() {
        assert_eq!(refused(|e| drop(e.remove(1))), "tensor `layers.0.bias` is missing");
        let longer = refused(|e| e.push(single("layers.2.weight", &Tensor::full(&[2], 0.0))));
        assert_eq!(longer, "unexpected tensor `layers.2.weight`; the model has layers.0 to layers.1, x and y");
        let transposed = refused(|e| e[0].2 = vec![3, 4]);
        assert_eq!(transposed, "tensor `layers.0.weight`: found shape [3, 4], expected [4, 3]");
        let integers = refused(|e| e[0].1 = Dtype::I32);
        assert_eq!(integers, "tensor `layers.0.weight`: found elements of type I32, expected F32 or F64");
        let rows = refused(|e| e[4].2 = vec![3, 5]);
        assert_eq!(rows, "tensor `x`: found shape [3, 5], expected [5, 3]");
    }

    #[test]
    fn bad_numbers_and_labels_are_placed() {
        let nan = refused(|e| e[2].3[4..8].copy_from_slice(&f32::NAN.to_le_bytes()));
        assert_eq!(nan, "tensor `layers.1.weight`: found NaN at element 1, expected finite numbers");
        assert_eq!(refused(|e| e[5] = labels(&[0, 1, 2, 0, 0])), "tensor `y`: found label 2 in row 2, expected 0 to 1");
        assert_eq!(
            refused(|e| e[5] = labels(&[-1, 1, 1, 0, 0])),
            "tensor `y`: found label -1 in row 0, expected 0 to 1"
        );
        let values = refused(|e| e[5] = single("y", &Tensor::full(&[5], 0.0)));
        assert_eq!(values, "tensor `y`: found elements of type F32, expected labels as I64 or I32");
    }

    #[test]
    fn files_that_are_none_are_refused() {
        let whole = bytes(&entries(&draw(&spec("ce"))));
        for length in [0, 4, 8, 100, whole.len() - 1] {
            assert!(matches!(parse(&whole[..length], &spec("ce")), Err(Fault::Format(_))), "{length} bytes");
        }
        assert!(matches!(parse(b"PK\x03\x04 this is another format", &spec("ce")), Err(Fault::Format(_))));
        let mut corrupt = whole;
        corrupt[9] = b'!';
        assert!(matches!(parse(&corrupt, &spec("ce")), Err(Fault::Format(_))));
    }

    #[test]
    fn the_message_names_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(&dir.path().join("none.safetensors"), &spec("ce")).unwrap_err().to_string();
        assert!(error.contains("none.safetensors: cannot read: ") && !error.contains('\n'), "{error}");
    }
}
