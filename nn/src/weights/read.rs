//! From a file to tensors.
//!
//! A file is the length of its header (8 bytes, little-endian), the header (JSON: type, shape and place of each tensor)
//! and the data (<https://huggingface.co/docs/safetensors>). The library's own reader of whole files is not used: its
//! sum of lengths can overflow on a crafted header, and it tells a truncated file from a corrupt one by neither number.

use std::fs;
use std::path::Path;

use ad_core::{Real, Shape, Tensor};
use safetensors::tensor::{Metadata, TensorInfo};

use super::{WeightsError, element};

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<T: Real> {
    /// Numbers in the precision asked for, stored as F64, F32, F16 or BF16.
    Reals(Tensor<T>),
    /// Integers, stored as I64, I32 or U8.
    Integers {
        /// Sizes of the axes, outermost first.
        shape: Shape,
        /// The elements in row-major order.
        data: Vec<i64>,
    },
}

/// Reads all tensors of a file, in the order of their names.
///
/// # Errors
/// If the file cannot be read, is truncated, corrupt or of another format, or holds a tensor of another type than those
/// of [`Entry`] or a number that is not finite in the precision `T`.
pub fn read<T: Real>(path: &Path) -> Result<Vec<(String, Entry<T>)>, WeightsError> {
    parse(path, &bytes(path)?, true)
}

fn bytes(path: &Path) -> Result<Vec<u8>, WeightsError> {
    fs::read(path).map_err(|source| WeightsError::Read { path: path.into(), source })
}

/// Reads a file of real tensors, such as the parameters of a model, in the order of their names.
///
/// # Errors
/// As of [`read`], and if a tensor holds integers.
pub fn load<T: Real>(path: &Path) -> Result<Vec<(String, Tensor<T>)>, WeightsError> {
    reals(path, read(path)?)
}

/// Reads a file of [`save_any`](super::save_any): as [`load`], and numbers that are not finite as they are.
///
/// # Errors
/// As of [`load`], but for those numbers.
pub fn load_any<T: Real>(path: &Path) -> Result<Vec<(String, Tensor<T>)>, WeightsError> {
    reals(path, parse(path, &bytes(path)?, false)?)
}

/// The entries of the file `path` as real tensors.
///
/// # Errors
/// If one holds integers.
pub fn reals<T: Real>(
    path: &Path,
    entries: impl IntoIterator<Item = (String, Entry<T>)>,
) -> Result<Vec<(String, Tensor<T>)>, WeightsError> {
    let real = |(tensor, entry)| match entry {
        Entry::Reals(numbers) => Ok((tensor, numbers)),
        Entry::Integers { .. } => Err(WeightsError::Type {
            path: path.into(),
            tensor,
            found: "integer".into(),
            expected: "F64, F32, F16 or BF16",
        }),
    };
    entries.into_iter().map(real).collect()
}

pub(super) fn parse<T: Real>(
    path: &Path,
    bytes: &[u8],
    only_finite: bool,
) -> Result<Vec<(String, Entry<T>)>, WeightsError> {
    let (header, data) = cut(path, bytes)?;
    let corrupt = |reason: String| WeightsError::Header { path: path.into(), reason: one_line(&reason) };
    let text = str::from_utf8(header).map_err(|error| corrupt(error.to_string()))?;
    // Deserialising checks that the tensors lie one after the other from 0 and that each fills its place.
    let metadata: Metadata = serde_json::from_str(text).map_err(|error| corrupt(error.to_string()))?;
    if metadata.data_len() != data.len() {
        return Err(length(path, "data", data.len() as u64, metadata.data_len() as u64));
    }
    let mut tensors: Vec<(String, &TensorInfo)> = metadata.tensors().into_iter().collect();
    tensors.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let entry = |(name, info): (String, &TensorInfo)| {
        let place = &data[info.data_offsets.0..info.data_offsets.1];
        let entry = decode(path, &name, info, place, only_finite)?;
        Ok((name, entry))
    };
    tensors.into_iter().map(entry).collect()
}

/// The header and the data.
fn cut<'a>(path: &Path, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), WeightsError> {
    let foreign = |found| WeightsError::Foreign { path: path.into(), found };
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(foreign("a zip archive, as PyTorch's own checkpoints are"));
    }
    let Some((size, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(length(path, "length of the header", bytes.len() as u64, 8));
    };
    if rest.first().is_some_and(|&byte| byte != b'{') {
        return Err(foreign("no JSON header"));
    }
    let size = u64::from_le_bytes(*size);
    let split = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size));
    split.ok_or_else(|| length(path, "header", rest.len() as u64, size))
}

/// One tensor, of bytes that are as many as its shape and type need.
fn decode<T: Real>(
    path: &Path,
    name: &str,
    info: &TensorInfo,
    bytes: &[u8],
    only_finite: bool,
) -> Result<Entry<T>, WeightsError> {
    if let Some(integer) = element::integer(info.dtype) {
        let data = bytes.chunks_exact(element::size(info.dtype)).map(integer).collect();
        return Ok(Entry::Integers { shape: Shape::from_slice(&info.shape), data });
    }
    let Some(real) = element::real(info.dtype) else {
        return Err(WeightsError::Type {
            path: path.into(),
            tensor: name.into(),
            found: info.dtype.to_string(),
            expected: "F64, F32, F16, BF16, I64, I32 or U8",
        });
    };
    let numbers = bytes.chunks_exact(element::size(info.dtype)).enumerate().map(|(i, b)| {
        let (found, x) = (real(b), T::from_f64(real(b)));
        if x.to_f64().is_finite() || !only_finite { Ok(x) } else { Err(not_finite::<T>(path, name, i, found)) }
    });
    Ok(Entry::Reals(Tensor::from_vec(&info.shape, numbers.collect::<Result<_, _>>()?)))
}

pub(super) fn not_finite<T: Real>(path: &Path, tensor: &str, element: usize, found: f64) -> WeightsError {
    WeightsError::NotFinite { path: path.into(), tensor: tensor.into(), element, found, precision: T::NAME }
}

fn length(path: &Path, part: &'static str, found: u64, expected: u64) -> WeightsError {
    WeightsError::Length { path: path.into(), part, found, expected }
}

/// A message that may quote the file, with line breaks and other control characters escaped.
fn one_line(message: &str) -> String {
    message.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
