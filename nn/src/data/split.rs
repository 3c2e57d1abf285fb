//! Training and test parts.

use ad_core::Real;

use super::{DataError, Dataset, Targets};
use crate::random::Key;

/// Two parts of a data set that share no row; each keeps the order that its rows have in the whole.
///
/// ```
/// use nn::{data::{Split, digits}, random::Key};
/// let split = Split::random(&digits(), 0.2, Key::new(0).named("split"))?;
/// assert_eq!((split.train.rows(), split.test.rows()), (1438, 359));
/// # Ok::<(), nn::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Split<T: Real = f64> {
    /// The rows to learn from.
    pub train: Dataset<T>,
    /// The rows to be judged by.
    pub test: Dataset<T>,
}

impl<T: Real> Split<T> {
    /// A random split in which the test part has `share` of the rows, rounded to nearest.
    ///
    /// # Errors
    /// If the share is not between 0 and 1, or either part would be empty.
    pub fn random(data: &Dataset<T>, share: f64, key: Key) -> Result<Self, DataError> {
        Split::spread(data, share, &key.generator().permutation(data.rows()))
    }

    /// As [`random`](Split::random), with each class divided in the same proportion, to within one row.
    ///
    /// # Errors
    /// As of [`random`](Split::random), and if the targets are not one class a row.
    pub fn stratified(data: &Dataset<T>, share: f64, key: Key) -> Result<Self, DataError> {
        let labels = match data.targets() {
            Targets::Classes { labels, .. } => labels,
            Targets::Sequences { .. } => {
                return Err(DataError::NoClasses { name: data.name().into(), found: "sequences" });
            }
            Targets::Values(_) => return Err(DataError::NoClasses { name: data.name().into(), found: "values" }),
        };
        let mut order = key.generator().permutation(data.rows());
        order.sort_by_key(|&row| labels[row]);
        Split::spread(data, share, &order)
    }

    /// Takes the test rows at even distances along an order, so that any stretch of it gives its share.
    fn spread(data: &Dataset<T>, share: f64, order: &[usize]) -> Result<Self, DataError> {
        if !(0.0 < share && share < 1.0) {
            return Err(DataError::TestShare { found: share });
        }
        // How many of the first `n` rows of the order are test rows.
        let before = |n: usize| (n as f64 * share).round();
        let mut is_test = vec![false; order.len()];
        for (i, &row) in order.iter().enumerate() {
            is_test[row] = before(i + 1) > before(i);
        }
        let (test, train): (Vec<usize>, Vec<usize>) = (0..order.len()).partition(|&row| is_test[row]);
        for (rows, side) in [(&train, "training"), (&test, "test")] {
            if rows.is_empty() {
                return Err(DataError::EmptySide { name: data.name().into(), rows: data.rows(), share, side });
            }
        }
        Ok(Split { train: data.select(&train), test: data.select(&test) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ad_core::Tensor;
    use proptest::prelude::*;

    /// A table whose only feature is the number of the row, with `classes` classes in turn.
    fn numbered(rows: usize, classes: usize) -> Dataset {
        let labels = (0..rows).map(|i| (i % classes) as u32).collect();
        Dataset::new("toy", Tensor::from_fn(&[rows, 1], |i| i as f64), Targets::Classes { labels, classes }).unwrap()
    }

    fn count(data: &Dataset, class: u32) -> usize {
        let Targets::Classes { labels, .. } = data.targets() else { panic!("classes were given") };
        labels.iter().filter(|&&label| label == class).count()
    }

    proptest! {
        #[test]
        fn every_row_is_in_one_part(rows in 2usize..200, share in 0.01f64..0.99, seed: u64) {
            let data = numbered(rows, 3);
            let key = Key::new(seed);
            for split in [Split::random(&data, share, key), Split::stratified(&data, share, key)] {
                let test = (rows as f64 * share).round() as usize;
                match split {
                    Err(DataError::EmptySide { .. }) => prop_assert!(test == 0 || test == rows),
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                    Ok(Split { train, test: held }) => {
                        prop_assert_eq!(held.rows(), test);
                        let mut all = [train.inputs().data(), held.inputs().data()].concat();
                        all.sort_by(f64::total_cmp);
                        prop_assert_eq!(&all, data.inputs().data());
                    }
                }
            }
        }

        #[test]
        fn stratification_gives_each_class_its_share(rows in 30usize..300, share in 0.1f64..0.9, seed: u64) {
            let data = numbered(rows, 4);
            let split = Split::stratified(&data, share, Key::new(seed)).unwrap();
            for class in 0..4 {
                let expected = share * count(&data, class) as f64;
                prop_assert!((count(&split.test, class) as f64 - expected).abs() <= 1.0 + 1e-9);
            }
        }
    }

    #[test]
    fn a_split_depends_on_its_key_alone() {
        let data = numbered(100, 2);
        let split = |seed| Split::random(&data, 0.3, Key::new(seed)).unwrap();
        assert_eq!(split(1), split(1));
        assert_ne!(split(1), split(2));
    }

    #[test]
    fn impossible_splits_are_refused() {
        let refusal = |rows, share| Split::random(&numbered(rows, 1), share, Key::new(0)).unwrap_err().to_string();
        for share in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
            let found = format!("found a test share of {share}, expected a number between 0 and 1, both excluded");
            assert_eq!(refusal(10, share), found);
        }
        assert!(refusal(3, 0.1).ends_with("leaves no test row, expected at least one on each side"));
        assert!(refusal(3, 0.9).ends_with("leaves no training row, expected at least one on each side"));
        for (targets, found) in [
            (Targets::Values(Tensor::full(&[2, 1], 0.0)), "values"),
            (Targets::Sequences { labels: vec![0; 4], length: 2, classes: 1 }, "sequences"),
        ] {
            let data = Dataset::new("toy", Tensor::full(&[2, 1], 0.0), targets).unwrap();
            let error = Split::stratified(&data, 0.5, Key::new(0)).unwrap_err().to_string();
            assert_eq!(error, format!("toy: found {found} as targets, expected one class a row, by which to stratify"));
        }
    }
}
