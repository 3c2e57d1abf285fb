//! Tables of inputs with a target a row.

use ad_core::{Ops, Real, Shape, Tensor};

use super::{DataError, Standardizer};

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
    /// Numbers, of shape (rows, outputs).
    Values(Tensor<T>),
}

impl<T: Real> Targets<T> {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Targets::Classes { labels, .. } => labels.len(),
            Targets::Values(values) => values.shape().first().copied().unwrap_or(0),
        }
    }

    /// Number of outputs of a network that predicts them: the classes, or the columns of the values.
    pub fn outputs(&self) -> usize {
        match self {
            Targets::Classes { classes, .. } => *classes,
            Targets::Values(values) => values.shape().get(1).copied().unwrap_or(0),
        }
    }
}

impl Targets {
    /// The targets of these rows, in this order and precision.
    fn gather<T: Real>(&self, rows: &[usize]) -> Targets<T> {
        match self {
            Targets::Classes { labels, classes } => {
                Targets::Classes { labels: rows.iter().map(|&i| labels[i]).collect(), classes: *classes }
            }
            Targets::Values(values) => Targets::Values(gather(values, rows)),
        }
    }
}

/// A checked table: finite inputs of shape (rows, features), at least one of each, and a fitting target a row.
///
/// ```
/// use ad_core::Tensor;
/// use nn::data::{Dataset, Targets};
/// let inputs = Tensor::from_vec(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let data = Dataset::new("toy", inputs.clone(), Targets::Classes { labels: vec![0, 1], classes: 2 })?;
/// assert_eq!((data.rows(), data.features(), data.outputs()), (2, 3, 2));
/// assert_eq!(data.batch::<f32>(&[1]).inputs.data(), [4.0, 5.0, 6.0]);
///
/// let error = Dataset::new("toy", inputs, Targets::Classes { labels: vec![0, 2], classes: 2 }).unwrap_err();
/// assert_eq!(error.to_string(), "toy: label of row 1: found 2, expected a class below 2");
/// # Ok::<(), nn::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    name: String,
    inputs: Tensor<f64>,
    targets: Targets,
}

/// Some rows of a [`Dataset`] in the precision of a computation.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T: Real> {
    /// Inputs, of shape (rows, features).
    pub inputs: Tensor<T>,
    /// Their targets.
    pub targets: Targets<T>,
}

impl<T: Real> Batch<T> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.inputs.shape().first().copied().unwrap_or(0)
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows `from..to`. A row may have several labels, as many as every other.
    ///
    /// # Panics
    /// If there are not as many.
    #[track_caller]
    pub fn rows(&self, from: usize, to: usize) -> Self {
        let targets = match &self.targets {
            Targets::Classes { labels, classes } => {
                let a_row = labels.len() / self.len().max(1);
                Targets::Classes { labels: labels[from * a_row..to * a_row].to_vec(), classes: *classes }
            }
            Targets::Values(values) => Targets::Values(rows_of(values, from, to)),
        };
        Batch { inputs: rows_of(&self.inputs, from, to), targets }
    }
}

/// The rows `from..to` of an array.
#[track_caller]
fn rows_of<T: Real>(t: &Tensor<T>, from: usize, to: usize) -> Tensor<T> {
    let mut ranges: Vec<(usize, usize)> = t.shape().iter().map(|&n| (0, n)).collect();
    ranges[0] = (from, to);
    t.slice(&ranges)
}

impl Dataset {
    /// The table of these inputs, of shape (rows, features), and targets; errors call it by its name.
    ///
    /// # Errors
    /// If there are no rows or no features, an array has not two axes, the numbers of rows differ, a number is NaN or
    /// infinite, or a label is none of the classes.
    pub fn new(name: impl Into<String>, inputs: Tensor<f64>, targets: Targets) -> Result<Self, DataError> {
        let name = name.into();
        let [rows, features] = finite_table(&name, "inputs", &inputs)?;
        if rows == 0 || features == 0 {
            return Err(DataError::Empty { name, rows, features });
        }
        let found = match &targets {
            Targets::Classes { labels, classes } => {
                labels_in_range(&name, labels, *classes)?;
                labels.len()
            }
            Targets::Values(values) => finite_table(&name, "targets", values)?[0],
        };
        if found != rows {
            return Err(DataError::Rows { name, inputs: rows, targets: found });
        }
        Ok(Dataset { name, inputs, targets })
    }

    /// Name of the data.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Inputs, of shape (rows, features).
    pub fn inputs(&self) -> &Tensor<f64> {
        &self.inputs
    }

    /// Targets, one a row.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.inputs.shape()[0]
    }

    /// Number of numbers in a row of the inputs.
    pub fn features(&self) -> usize {
        self.inputs.shape()[1]
    }

    /// Number of outputs of a network that predicts the targets: the classes, or the columns of the values.
    pub fn outputs(&self) -> usize {
        self.targets.outputs()
    }

    /// The table of these rows, in this order; a row may be listed more than once.
    ///
    /// # Panics
    /// If none is listed, or one is out of range.
    #[track_caller]
    pub fn select(&self, rows: &[usize]) -> Self {
        assert!(!rows.is_empty(), "select: no row of {} is listed", self.name);
        self.check(rows);
        Dataset { name: self.name.clone(), inputs: gather(&self.inputs, rows), targets: self.targets.gather(rows) }
    }

    /// The same table with its inputs standardised.
    ///
    /// # Errors
    /// If a number becomes infinite or NaN, as where inputs lie very far from those that the standardizer was fitted
    /// on.
    ///
    /// # Panics
    /// If the standardizer was fitted on another number of features.
    #[track_caller]
    pub fn standardized(&self, by: &Standardizer) -> Result<Self, DataError> {
        let inputs = by.apply(&self.inputs);
        finite_table(&self.name, "inputs", &inputs)?;
        Ok(Dataset { inputs, ..self.clone() })
    }

    /// These rows, in this order, rounded to the precision `T`; a number beyond the range of `T` becomes infinite.
    ///
    /// # Panics
    /// If a row is out of range.
    #[track_caller]
    pub fn batch<T: Real>(&self, rows: &[usize]) -> Batch<T> {
        self.check(rows);
        Batch { inputs: gather(&self.inputs, rows), targets: self.targets.gather(rows) }
    }

    /// All rows, as [`batch`](Dataset::batch) gives them.
    pub fn all<T: Real>(&self) -> Batch<T> {
        let targets = match &self.targets {
            Targets::Classes { labels, classes } => Targets::Classes { labels: labels.clone(), classes: *classes },
            Targets::Values(values) => Targets::Values(values.cast()),
        };
        Batch { inputs: self.inputs.cast(), targets }
    }

    #[track_caller]
    fn check(&self, rows: &[usize]) {
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            panic!("row {row} is out of range for {}, of {} rows", self.name, self.rows());
        }
    }
}

/// The rows of a table, in this order and precision.
fn gather<T: Real>(table: &Tensor<f64>, rows: &[usize]) -> Tensor<T> {
    let width = table.shape()[1];
    let row = |&i: &usize| table.data()[i * width..(i + 1) * width].iter().map(|&x| T::from_f64(x));
    Tensor::from_vec(&[rows.len(), width], rows.iter().flat_map(row).collect())
}

/// The shape of an array that must be a table of finite numbers.
fn finite_table(name: &str, what: &'static str, table: &Tensor<f64>) -> Result<[usize; 2], DataError> {
    let &[rows, columns] = table.shape() else {
        return Err(DataError::Rank { name: name.into(), what, shape: Shape::from_slice(table.shape()) });
    };
    match table.data().iter().position(|x| !x.is_finite()) {
        None => Ok([rows, columns]),
        Some(i) => Err(DataError::NotFinite {
            name: name.into(),
            what,
            row: i / columns,
            column: i % columns,
            found: table.data()[i],
        }),
    }
}

fn labels_in_range(name: &str, labels: &[u32], classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(()),
        Some(row) => Err(DataError::Label { name: name.into(), row, found: labels[row], classes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize, columns: usize) -> Tensor<f64> {
        Tensor::from_fn(&[rows, columns], |i| i as f64)
    }

    fn classes(labels: &[u32], classes: usize) -> Targets {
        Targets::Classes { labels: labels.to_vec(), classes }
    }

    fn refusal(inputs: Tensor<f64>, targets: Targets) -> String {
        Dataset::new("toy", inputs, targets).unwrap_err().to_string()
    }

    #[test]
    fn bad_tables_are_refused_by_name_and_place() {
        let with = |mut t: Tensor<f64>, i: usize, x: f64| {
            t.data_mut()[i] = x;
            t
        };
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
