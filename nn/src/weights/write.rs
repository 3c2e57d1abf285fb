//! From tensors to a file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ad_core::{Real, Tensor};
use safetensors::{Dtype, View};

use super::read::not_finite;
use super::{WeightsError, element};
use crate::file;

/// Writes named tensors as F32 or F64, whichever `T` is, in place of the file that may be there.
///
/// The bytes depend on names and numbers alone, not on the order given. What is written, [`load`](super::load) reads.
///
/// # Errors
/// If a number is NaN or infinite, or the file cannot be written; what was there before is then intact.
///
/// # Panics
/// If two tensors have one name, or one is named `__metadata__`, which the format reserves.
///
/// ```
/// use ad_core::Tensor;
/// use nn::weights::{load, save};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// let bias = Tensor::from_vec(&[2], vec![0.5f32, -0.5]);
/// save(&path, [("layers.0.bias", &bias)])?;
/// assert_eq!(load::<f64>(&path)?, [("layers.0.bias".to_string(), bias.cast())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn save<'a, T: Real>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor<T>)>,
) -> Result<(), WeightsError> {
    write(path, tensors, true)
}

/// Writes named tensors as [`save`] does, also numbers that are not finite, as a state may have them: what [`load_any`](super::load_any) reads.
///
/// # Errors
/// If the file cannot be written; what was there before is then intact.
///
/// # Panics
/// As of [`save`].
#[track_caller]
pub fn save_any<'a, T: Real>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor<T>)>,
) -> Result<(), WeightsError> {
    write(path, tensors, false)
}

#[track_caller]
fn write<'a, T: Real>(
    path: &Path,
    tensors: impl IntoIterator<Item = (&'a str, &'a Tensor<T>)>,
    only_finite: bool,
) -> Result<(), WeightsError> {
    let mut named = BTreeMap::new();
    for (name, tensor) in tensors {
        assert!(name != "__metadata__", "save: the format reserves the name {name:?}");
        assert!(named.insert(name, tensor).is_none(), "save: two tensors are named {name:?}");
    }
    for (name, tensor) in named.iter().filter(|_| only_finite) {
        if let Some(i) = tensor.data().iter().position(|x| !x.to_f64().is_finite()) {
            return Err(not_finite::<T>(path, name, i, tensor.data()[i].to_f64()));
        }
    }
    let refused = |source| WeightsError::Write { path: path.into(), source };
    let encoded = named.into_iter().map(|(name, tensor)| (name, Encoded::new(tensor)));
    // The library refuses a header of more than 100 MB.
    let bytes = safetensors::serialize(encoded, None).map_err(|error| refused(io::Error::other(error)))?;
    file::replace(path, &bytes).map_err(refused)
}

/// A tensor as the format stores it.
struct Encoded<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    bytes: Vec<u8>,
}

impl<'a> Encoded<'a> {
    fn new<T: Real>(tensor: &'a Tensor<T>) -> Self {
        let (dtype, bytes) = element::encode(tensor.data());
        Encoded { dtype, shape: tensor.shape(), bytes }
    }
}

impl View for Encoded<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
