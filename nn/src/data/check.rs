//! What data must fulfil.

use ad_core::{Real, Shape, Tensor};

use super::DataError;

/// Requires at least two axes: rows, and what is in a row.
pub(super) fn rows<T: Real>(name: &str, what: &'static str, t: &Tensor<T>) -> Result<(), DataError> {
    if t.rank() < 2 { Err(rank(name, what, t)) } else { Ok(()) }
}

/// Requires exactly two axes.
pub(super) fn table<T: Real>(name: &str, what: &'static str, t: &Tensor<T>) -> Result<(), DataError> {
    if t.rank() == 2 { Ok(()) } else { Err(rank(name, what, t)) }
}

fn rank<T: Real>(name: &str, what: &'static str, t: &Tensor<T>) -> DataError {
    DataError::Rank { name: name.into(), what, shape: Shape::from_slice(t.shape()) }
}

/// Requires numbers that are neither NaN nor infinite.
pub(super) fn finite<T: Real>(name: &str, what: &'static str, t: &Tensor<T>) -> Result<(), DataError> {
    match t.data().iter().position(|x| !x.to_f64().is_finite()) {
        None => Ok(()),
        Some(i) => {
            let width = t.len() / t.shape()[0];
            let (row, column, found) = (i / width, i % width, t.data()[i].to_f64());
            Err(DataError::NotFinite { name: name.into(), what, row, column, found })
        }
    }
}

/// Requires labels, `length` a row, to be below the number of classes.
pub(super) fn labels(name: &str, labels: &[u32], length: usize, classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(i) => Err(DataError::Label { name: name.into(), row: i / length, found: labels[i], classes }),
    }
}
