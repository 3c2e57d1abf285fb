//! Inputs with targets, row by row.

use ad_core::{Ops, Real, Tensor};

use super::targets::{cast, gather, slice};
use super::{DataError, Standardizer, Targets, check};

/// Checked data: finite inputs, at least one row of at least one number, and a fitting target a row.
///
/// A row is a list of features, or an item of any shape, such as an image of (channels, height, width). The inputs are
/// stored in the precision `T`; batches come in any.
///
/// ```
/// use ad_core::Tensor;
/// use nn::data::{Dataset, Targets};
/// let inputs = Tensor::from_vec(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let data = Dataset::new("toy", inputs.clone(), Targets::Classes { labels: vec![0, 1], classes: 2 })?;
/// assert_eq!((data.rows(), data.features(), data.outputs()), (2, 3, 2));
/// assert_eq!(data.batch::<f32>(&[1]).inputs.data(), [4.0, 5.0, 6.0]);
///
/// let images = Tensor::full(&[5, 1, 28, 28], 0.5f32);
/// let data = Dataset::new("images", images, Targets::Classes { labels: vec![0; 5], classes: 10 })?;
/// assert_eq!((data.item_shape(), data.features()), (&[1, 28, 28][..], 784));
///
/// let error = Dataset::new("toy", inputs, Targets::Classes { labels: vec![0, 2], classes: 2 }).unwrap_err();
/// assert_eq!(error.to_string(), "toy: label of row 1: found 2, expected a class below 2");
/// # Ok::<(), nn::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset<T: Real = f64> {
    name: String,
    whole: Batch<T>,
}

/// Some rows of a [`Dataset`] in the precision of a computation.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T: Real> {
    /// Inputs, of shape (rows, features) or (rows, item shape).
    pub inputs: Tensor<T>,
    /// Their targets.
    pub targets: Targets<T>,
}

impl<T: Real> Batch<T> {
    /// The rows `from..to`.
    ///
    /// # Panics
    /// If there are not as many.
    #[track_caller]
    pub fn rows(&self, from: usize, to: usize) -> Self {
        Batch { inputs: slice(&self.inputs, from, to), targets: self.targets.slice(from, to) }
    }

    /// These rows, in this order, rounded to the precision `U`; a row may be listed more than once, and a number beyond the
    /// range of `U` becomes infinite.
    ///
    /// # Panics
    /// If a row is out of range.
    #[track_caller]
    pub fn gather<U: Real>(&self, rows: &[usize]) -> Batch<U> {
        let all = self.targets.rows();
        if let Some(row) = rows.iter().find(|&&row| row >= all) {
            panic!("gather: row {row} is out of range for a batch of {all} rows");
        }
        Batch { inputs: gather(&self.inputs, rows), targets: self.targets.gather(rows) }
    }

    /// The same rows rounded to the precision `U`; a number beyond its range becomes infinite. Inputs of the same precision
    /// are shared, not copied.
    pub fn cast<U: Real>(&self) -> Batch<U> {
        Batch { inputs: cast(&self.inputs), targets: self.targets.cast() }
    }
}

impl<T: Real> Dataset<T> {
    /// The data of these inputs, of shape (rows, features) or (rows, item shape), and targets; errors call it by its name.
    ///
    /// # Errors
    /// If there are no rows or no features, the inputs have less than two axes or values as targets not two, the numbers of
    /// rows differ, a number is NaN or infinite, a label is none of the classes, or sequences are no whole rows.
    pub fn new(name: impl Into<String>, inputs: Tensor<T>, targets: Targets<T>) -> Result<Self, DataError> {
        let name = name.into();
        check::rows(&name, "inputs", &inputs)?;
        let (rows, features) = (inputs.shape()[0], inputs.shape()[1..].iter().product());
        if rows == 0 || features == 0 {
            return Err(DataError::Empty { name, rows, features });
        }
        check::finite(&name, "inputs", &inputs)?;
        let found = targets.checked(&name)?;
        if found != rows {
            return Err(DataError::Rows { name, inputs: rows, targets: found });
        }
        Ok(Dataset { name, whole: Batch { inputs, targets } })
    }

    /// Name of the data.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Inputs, of shape (rows, features) or (rows, item shape).
    pub fn inputs(&self) -> &Tensor<T> {
        &self.whole.inputs
    }

    /// Targets, one a row.
    pub fn targets(&self) -> &Targets<T> {
        &self.whole.targets
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.inputs().shape()[0]
    }

    /// Sizes of the axes of a row of the inputs: one for a table, (channels, height, width) for images.
    pub fn item_shape(&self) -> &[usize] {
        &self.inputs().shape()[1..]
    }

    /// Number of numbers in a row of the inputs.
    pub fn features(&self) -> usize {
        self.item_shape().iter().product()
    }

    /// Number of outputs of a network that predicts the targets: the classes, or the columns of the values.
    pub fn outputs(&self) -> usize {
        self.targets().outputs()
    }

    /// The same data with each row in another shape of as many numbers, such as images as flat features.
    ///
    /// ```
    /// let images = nn::data::digits().reshaped(&[1, 8, 8]);
    /// assert_eq!(images.inputs().shape(), [1797, 1, 8, 8]);
    /// ```
    ///
    /// # Panics
    /// If the shape has no axes or another number of elements.
    #[track_caller]
    pub fn reshaped(&self, item: &[usize]) -> Self {
        assert!(
            !item.is_empty() && item.iter().product::<usize>() == self.features(),
            "reshaped: rows of {} have shape {:?}, which does not become {item:?}",
            self.name,
            self.item_shape()
        );
        let shape: Vec<usize> = [self.rows()].iter().chain(item).copied().collect();
        let inputs = self.inputs().reshape(&shape);
        Dataset { name: self.name.clone(), whole: Batch { inputs, targets: self.targets().clone() } }
    }

    /// The data of these rows, in this order; a row may be listed more than once.
    ///
    /// # Panics
    /// If none is listed, or one is out of range.
    #[track_caller]
    pub fn select(&self, rows: &[usize]) -> Self {
        assert!(!rows.is_empty(), "select: no row of {} is listed", self.name);
        Dataset { name: self.name.clone(), whole: self.batch(rows) }
    }

    /// The same data with its inputs standardised.
    ///
    /// # Errors
    /// If a number becomes infinite or NaN, as where inputs lie very far from those that the standardizer was fitted
    /// on.
    ///
    /// # Panics
    /// If the standardizer was fitted on another number of features.
    #[track_caller]
    pub fn standardized(&self, by: &Standardizer) -> Result<Self, DataError> {
        let inputs = by.apply(self.inputs());
        check::finite(&self.name, "inputs", &inputs)?;
        Ok(Dataset { name: self.name.clone(), whole: Batch { inputs, targets: self.targets().clone() } })
    }

    /// These rows, in this order, rounded to the precision `U`; a number beyond the range of `U` becomes infinite.
    ///
    /// # Panics
    /// If a row is out of range.
    #[track_caller]
    pub fn batch<U: Real>(&self, rows: &[usize]) -> Batch<U> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            panic!("row {row} is out of range for {}, of {} rows", self.name, self.rows());
        }
        self.whole.gather(rows)
    }

    /// All rows, as [`batch`](Dataset::batch) gives them; shared, not copied, where the precision is that of the data.
    pub fn all<U: Real>(&self) -> Batch<U> {
        self.whole.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize, columns: usize) -> Tensor<f64> {
        Tensor::from_fn(&[rows, columns], |i| i as f64)
    }

    fn with(mut t: Tensor<f64>, i: usize, x: f64) -> Tensor<f64> {
        t.data_mut()[i] = x;
        t
    }

    fn classes(labels: &[u32], classes: usize) -> Targets {
        Targets::Classes { labels: labels.to_vec(), classes }
    }

    fn refusal(inputs: Tensor<f64>, targets: Targets) -> String {
        Dataset::new("toy", inputs, targets).unwrap_err().to_string()
    }

    #[test]
    fn bad_tables_are_refused_by_name_and_place() {
        assert_eq!(
            refusal(with(table(3, 2), 5, f64::NAN), classes(&[0, 0, 0], 1)),
            "toy: inputs, row 2, column 1: found NaN, expected a finite number"
        );
        assert_eq!(
            refusal(table(2, 2), Targets::Values(with(table(2, 1), 1, f64::NEG_INFINITY))),
            "toy: targets, row 1, column 0: found -inf, expected a finite number"
        );
        assert_eq!(refusal(table(2, 1), classes(&[9, 0], 3)), "toy: label of row 0: found 9, expected a class below 3");
        assert_eq!(refusal(table(1, 1), classes(&[0], 0)), "toy: label of row 0: found 0, expected a class below 0");
        for targets in [classes(&[0], 1), Targets::Values(table(1, 2))] {
            let found = "toy: found 1 targets for 2 rows of inputs, expected as many";
            assert_eq!(refusal(table(2, 2), targets), found);
        }
        for (rows, features) in [(0, 3), (3, 0)] {
            let found = format!("toy: found {rows} rows of {features} features, expected at least one of each");
            assert_eq!(refusal(table(rows, features), classes(&vec![0; rows], 1)), found);
        }
        let flat = Tensor::from_vec(&[2], vec![1.0, 2.0]);
        let found = "toy: found inputs of shape [2], expected rows and columns";
        assert_eq!(refusal(flat.clone(), classes(&[0, 0], 1)), found);
        let found = "toy: found targets of shape [2], expected rows and columns";
        assert_eq!(refusal(table(2, 1), Targets::Values(flat)), found);
    }

    #[test]
    fn rows_are_gathered_with_their_targets() {
        let data = Dataset::new("toy", table(3, 2), classes(&[0, 1, 2], 3)).unwrap();
        let chosen = data.select(&[2, 0, 2]);
        assert_eq!(chosen.inputs().data(), [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        assert_eq!(chosen.targets(), &classes(&[2, 0, 2], 3));

        let values = Dataset::new("toy", table(3, 2), Targets::Values(Tensor::full(&[3, 1], 0.1))).unwrap();
        let batch = values.batch::<f32>(&[1]);
        assert_eq!(batch.inputs, Tensor::from_vec(&[1, 2], vec![2.0, 3.0]));
        assert_eq!(batch.targets, Targets::Values(Tensor::from_vec(&[1, 1], vec![0.1f32])));
        assert_eq!(values.all::<f32>(), values.batch(&[0, 1, 2]));
        assert_eq!(data.all::<f64>(), data.batch(&[0, 1, 2]));
    }

    #[test]
    fn rows_may_have_a_shape() {
        let images = Tensor::from_fn(&[3, 2, 1, 2], |i| i as f32);
        let targets = Targets::Classes { labels: vec![0, 1, 2], classes: 3 };
        let data = Dataset::new("toy", images, targets).unwrap();
        assert_eq!((data.rows(), data.item_shape(), data.features()), (3, &[2, 1, 2][..], 4));
        assert_eq!(data.batch::<f64>(&[2]).inputs, Tensor::from_vec(&[1, 2, 1, 2], vec![8.0, 9.0, 10.0, 11.0]));
        assert_eq!(data.select(&[0, 1]).item_shape(), [2, 1, 2]);
        assert_eq!(data.all::<f32>().rows(1, 3).inputs.shape(), [2, 2, 1, 2]);
        let flat = data.reshaped(&[4]);
        assert_eq!((flat.inputs().shape(), flat.inputs().data()), (&[3, 4][..], data.inputs().data()));
        assert_eq!(
            refusal(with(Tensor::full(&[2, 1, 3], 0.0), 4, f64::INFINITY), classes(&[0, 0], 1)),
            "toy: inputs, row 1, column 1: found inf, expected a finite number"
        );
    }

    #[test]
    fn sequences_must_be_whole_rows() {
        let sequences = |labels: &[u32], length| Targets::Sequences { labels: labels.to_vec(), length, classes: 3 };
        assert!(Dataset::new("toy", table(2, 2), sequences(&[0, 1, 2, 0], 2)).is_ok());
        for (length, found) in [(3, "4 labels in rows of 3"), (0, "4 labels in rows of 0")] {
            let message = format!("toy: found {found}, expected whole rows of at least one label");
            assert_eq!(refusal(table(2, 2), sequences(&[0, 1, 2, 0], length)), message);
        }
        let found = "toy: found 1 targets for 2 rows of inputs, expected as many";
        assert_eq!(refusal(table(2, 2), sequences(&[0, 1], 2)), found);
        let found = "toy: label of row 1: found 3, expected a class below 3";
        assert_eq!(refusal(table(2, 2), sequences(&[0, 1, 2, 3], 2)), found);
    }

    #[test]
    #[should_panic(expected = "reshaped: rows of toy have shape [2], which does not become [3]")]
    fn a_row_keeps_its_numbers() {
        Dataset::new("toy", table(3, 2), classes(&[0, 0, 0], 1)).unwrap().reshaped(&[3]);
    }

    #[test]
    #[should_panic(expected = "row 3 is out of range for toy, of 3 rows")]
    fn a_row_out_of_range_is_refused() {
        Dataset::new("toy", table(3, 2), classes(&[0, 0, 0], 1)).unwrap().batch::<f64>(&[0, 3]);
    }

    #[test]
    #[should_panic(expected = "select: no row of toy is listed")]
    fn a_choice_of_no_rows_is_refused() {
        Dataset::new("toy", table(3, 2), classes(&[0, 0, 0], 1)).unwrap().select(&[]);
    }
}
