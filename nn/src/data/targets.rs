//! What is to be learnt.

use std::any::Any;

use ad_core::{Ops, Real, Tensor};

use super::{DataError, check};

/// What is to be learnt, a row for each row of the inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets<T: Real = f64> {
    /// A class a row.
    Classes {
        /// Class of each row, from 0 to `classes` − 1.
        labels: Vec<u32>,
        /// Number of classes.
        classes: usize,
    },
    /// `length` classes a row, as of a model that predicts the next character at every place of a text: labels of shape
    /// (rows, length), for logits of shape (rows, length, classes).
    Sequences {
        /// Classes in row-major order, each from 0 to `classes` − 1; a whole number of rows.
        labels: Vec<u32>,
        /// Number of labels in a row; more than 0.
        length: usize,
        /// Number of classes.
        classes: usize,
    },
    /// Numbers, of shape (rows, outputs).
    Values(Tensor<T>),
}

impl<T: Real> Targets<T> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Targets::Classes { labels, .. } => labels.len(),
            Targets::Sequences { labels, length, .. } => labels.len() / length,
            Targets::Values(values) => values.shape().first().copied().unwrap_or(0),
        }
    }

    /// Number of outputs of a network that predicts them: the classes, or the columns of the values.
    pub fn outputs(&self) -> usize {
        match self {
            Targets::Classes { classes, .. } | Targets::Sequences { classes, .. } => *classes,
            Targets::Values(values) => values.shape().get(1).copied().unwrap_or(0),
        }
    }

    /// The labels in row-major order, and the number of classes; `None` for values.
    pub fn labels(&self) -> Option<(&[u32], usize)> {
        match self {
            Targets::Classes { labels, classes } | Targets::Sequences { labels, classes, .. } => {
                Some((labels, *classes))
            }
            Targets::Values(_) => None,
        }
    }

    /// The same targets, values rounded to the precision `U`.
    pub fn cast<U: Real>(&self) -> Targets<U> {
        match self {
            Targets::Values(values) => Targets::Values(cast(values)),
            _ => self.with_labels(|labels, _| labels.to_vec()),
        }
    }

    /// The targets of these rows, in this order and precision.
    ///
    /// # Panics
    /// If a row is out of range.
    pub(super) fn gather<U: Real>(&self, rows: &[usize]) -> Targets<U> {
        match self {
            Targets::Values(values) => Targets::Values(gather(values, rows)),
            _ => self.with_labels(|labels, width| {
                rows.iter().flat_map(|&i| &labels[i * width..(i + 1) * width]).copied().collect()
            }),
        }
    }

    /// The targets of the rows `from..to`.
    ///
    /// # Panics
    /// If there are not as many.
    #[track_caller]
    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        match self {
            Targets::Values(values) => Targets::Values(slice(values, from, to)),
            _ => self.with_labels(|labels, width| labels[from * width..to * width].to_vec()),
        }
    }

    /// Targets of the same kind with the labels that `f` makes of these and their number in a row.
    fn with_labels<U: Real>(&self, f: impl FnOnce(&[u32], usize) -> Vec<u32>) -> Targets<U> {
        match self {
            Targets::Classes { labels, classes } => Targets::Classes { labels: f(labels, 1), classes: *classes },
            Targets::Sequences { labels, length, classes } => {
                Targets::Sequences { labels: f(labels, *length), length: *length, classes: *classes }
            }
            Targets::Values(_) => unreachable!("values have no labels"),
        }
    }

    /// The number of rows, if the targets are sound.
    pub(super) fn checked(&self, name: &str) -> Result<usize, DataError> {
        match self {
            Targets::Classes { labels, classes } => check::labels(name, labels, 1, *classes)?,
            Targets::Sequences { labels, length, classes } => {
                if *length == 0 || labels.len() % length != 0 {
                    return Err(DataError::Sequences { name: name.into(), labels: labels.len(), length: *length });
                }
                check::labels(name, labels, *length, *classes)?;
            }
            Targets::Values(values) => {
                check::table(name, "targets", values)?;
                check::finite(name, "targets", values)?;
            }
        }
        Ok(self.rows())
    }
}

/// The rows of an array, in this order and precision.
pub(super) fn gather<T: Real, U: Real>(t: &Tensor<T>, rows: &[usize]) -> Tensor<U> {
    let mut shape = t.shape().to_vec();
    let width = shape[1..].iter().product::<usize>();
    shape[0] = rows.len();
    let mut data = Vec::with_capacity(rows.len() * width);
    for &i in rows {
        data.extend(t.data()[i * width..(i + 1) * width].iter().map(|x| U::from_f64(x.to_f64())));
    }
    Tensor::from_vec(&shape, data)
}

/// The rows `from..to` of an array.
#[track_caller]
pub(super) fn slice<T: Real>(t: &Tensor<T>, from: usize, to: usize) -> Tensor<T> {
    let mut ranges: Vec<(usize, usize)> = t.shape().iter().map(|&n| (0, n)).collect();
    ranges[0] = (from, to);
    t.slice(&ranges)
}

/// The same numbers in another precision; without a copy where it is the same.
pub(super) fn cast<T: Real, U: Real>(t: &Tensor<T>) -> Tensor<U> {
    match (t as &dyn Any).downcast_ref::<Tensor<U>>() {
        Some(same) => same.clone(),
        None => t.cast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_cut_gathered_and_cast_by_whole_rows() {
        let y: Targets = Targets::Sequences { labels: vec![0, 1, 2, 3, 4, 5], length: 2, classes: 6 };
        let of = |labels: &[u32]| Targets::Sequences { labels: labels.to_vec(), length: 2, classes: 6 };
        assert_eq!((y.rows(), y.outputs()), (3, 6));
        assert_eq!(y.slice(1, 3), of(&[2, 3, 4, 5]));
        assert_eq!(y.gather::<f64>(&[2, 0, 2]), of(&[4, 5, 0, 1, 4, 5]));
        assert_eq!(y.cast::<f32>().labels(), y.labels());
    }

    #[test]
    fn values_of_the_same_precision_are_not_copied() {
        let t = Tensor::full(&[2, 3], 0.1);
        assert!(std::ptr::eq(cast::<f64, f64>(&t).data(), t.data()));
        assert_eq!(cast::<f64, f32>(&t), Tensor::full(&[2, 3], 0.1f32));
    }
}
