//! Columns of mean 0 and standard deviation 1, or between 0 and 1.

use ad_core::{Real, Tensor};

use super::DataError;

/// The map x ↦ (x − shift)/scale of each column, fitted on the training part alone and applied to every part. Where rows have
/// a shape, each place in it is a column.
///
/// [`fit`](Standardizer::fit) takes the mean for the shift and the standard deviation σ = √(Σ(x − mean)²/rows) for the scale,
/// [`fit_range`](Standardizer::fit_range) the minimum and maximum − minimum, which maps the training part to [0, 1]. A constant
/// column, which has neither, goes to 0 by its shift alone and keeps scale 1.
///
/// ```
/// use ad_core::Tensor;
/// use nn::data::Standardizer;
/// let train = Tensor::from_vec(&[2, 2], vec![1.0, 7.0, 5.0, 7.0]);
/// let standardizer = Standardizer::fit(&train);
/// assert_eq!((standardizer.shifts(), standardizer.scales()), (&[3.0, 7.0][..], &[2.0, 1.0][..]));
/// assert_eq!(standardizer.apply(&train).data(), [-1.0, 0.0, 1.0, 0.0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer {
    shifts: Vec<f64>,
    scales: Vec<f64>,
}

impl Standardizer {
    /// The means and scales of the columns of an array of shape (rows, columns) or (rows, item shape).
    ///
    /// # Panics
    /// If the array has less than two axes, or no row.
    #[track_caller]
    pub fn fit<T: Real>(table: &Tensor<T>) -> Self {
        let [rows, columns] = rows_and_columns(table);
        let column = |j: usize| (0..rows).map(move |i| table.data()[i * columns + j].to_f64());
        let (shifts, scales) = (0..columns).map(|j| mean_and_deviation(column(j))).unzip();
        Standardizer { shifts, scales }
    }

    /// One mean and one scale for all columns of such an array: for columns of one kind, such as pixels, whose differences
    /// in spread mean something.
    ///
    /// # Panics
    /// If the array has less than two axes, or no row.
    #[track_caller]
    pub fn fit_overall<T: Real>(table: &Tensor<T>) -> Self {
        let [_, columns] = rows_and_columns(table);
        let (mean, scale) = mean_and_deviation(table.data().iter().map(|x| x.to_f64()));
        Standardizer { shifts: vec![mean; columns], scales: vec![scale; columns] }
    }

    /// The minimum and the range of each column of such an array, which the map takes to [0, 1].
    ///
    /// ```
    /// use ad_core::Tensor;
    /// use nn::data::Standardizer;
    /// let train = Tensor::from_vec(&[3, 2], vec![1.0, 7.0, 5.0, 7.0, 2.0, 7.0]);
    /// let standardizer = Standardizer::fit_range(&train);
    /// assert_eq!(standardizer.apply(&train).data(), [0.0, 0.0, 1.0, 0.0, 0.25, 0.0]);
    /// ```
    ///
    /// # Panics
    /// If the array has less than two axes, or no row.
    #[track_caller]
    pub fn fit_range<T: Real>(table: &Tensor<T>) -> Self {
        let [rows, columns] = rows_and_columns(table);
        let column = |j: usize| (0..rows).map(move |i| table.data()[i * columns + j].to_f64());
        let (shifts, scales) = (0..columns).map(|j| minimum_and_range(column(j))).unzip();
        Standardizer { shifts, scales }
    }

    /// The map with these shifts and scales, one of each a column, as when read from a file.
    ///
    /// # Errors
    /// If their numbers differ, one is not finite, or a scale is not positive.
    pub fn new(shifts: Vec<f64>, scales: Vec<f64>) -> Result<Self, DataError> {
        for column in 0..shifts.len().max(scales.len()) {
            let at = |v: &[f64]| v.get(column).copied().unwrap_or(f64::NAN);
            let (shift, scale) = (at(&shifts), at(&scales));
            if !(shift.is_finite() && scale.is_finite() && scale > 0.0) {
                return Err(DataError::Scale { column, shift, scale });
            }
        }
        Ok(Standardizer { shifts, scales })
    }

    /// The array, of shape (rows, columns) or (rows, item shape), with each column mapped, in double precision, and then
    /// rounded to that of the array.
    ///
    /// # Panics
    /// If the array has less than two axes, or not the columns that were fitted.
    #[track_caller]
    pub fn apply<T: Real>(&self, table: &Tensor<T>) -> Tensor<T> {
        let columns = self.shifts.len();
        assert!(
            table.rank() >= 2 && table.shape()[1..].iter().product::<usize>() == columns,
            "standardizer: {columns} columns were fitted, but the shape is {:?}",
            table.shape()
        );
        let mapped = |i: usize| (table.data()[i].to_f64() - self.shifts[i % columns]) / self.scales[i % columns];
        Tensor::from_fn(table.shape(), |i| T::from_f64(mapped(i)))
    }

    /// Shift of each column, in the units of the column: its mean, or its minimum.
    pub fn shifts(&self) -> &[f64] {
        &self.shifts
    }

    /// Scale of each column, in the units of the column: its standard deviation, or its range.
    pub fn scales(&self) -> &[f64] {
        &self.scales
    }
}

/// Numbers of rows, at least one, and of columns.
#[track_caller]
fn rows_and_columns<T: Real>(table: &Tensor<T>) -> [usize; 2] {
    let (rows, columns) = match table.shape() {
        [rows, item @ ..] if !item.is_empty() => (*rows, item.iter().product()),
        shape => panic!("standardizer: a table is needed, but the shape is {shape:?}"),
    };
    assert!(rows > 0, "standardizer: a row is needed, but the shape is {:?}", table.shape());
    [rows, columns]
}

fn mean_and_deviation(column: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, f64) {
    let (rows, first) = (column.len() as f64, column.clone().next().unwrap_or(0.0));
    // Equality, not a small deviation: rounding of the mean must not be blown up to a spread of 1.
    if column.clone().all(|x| x == first) {
        return (first, 1.0);
    }
    // Sums of shares rather than shares of sums, and squares relative to the largest: they do not overflow.
    let mean = column.clone().map(|x| x / rows).sum::<f64>();
    let largest = column.clone().map(|x| (x - mean).abs()).fold(0.0, f64::max);
    let variance = column.map(|x| ((x - mean) / largest).powi(2)).sum::<f64>() / rows;
    (mean, largest * variance.sqrt())
}

fn minimum_and_range(column: impl Iterator<Item = f64>) -> (f64, f64) {
    let ends = |(least, most): (f64, f64), x: f64| (least.min(x), most.max(x));
    let (least, most) = column.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
    (least, if most == least { 1.0 } else { most - least })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Targets, digits};
    use approx::assert_relative_eq;

    #[test]
    fn an_overall_fit_maps_all_columns_alike() {
        let table = Tensor::from_vec(&[2, 2], vec![1.0, 5.0, 3.0, 7.0]);
        let standardizer = Standardizer::fit_overall(&table);
        assert_eq!((standardizer.shifts(), standardizer.scales()), (&[4.0, 4.0][..], &[5f64.sqrt(); 2][..]));
        let mapped = standardizer.apply(&table);
        assert_relative_eq!(mapped.data().iter().sum::<f64>(), 0.0, epsilon = 1e-14);
        assert_relative_eq!(mapped.data().iter().map(|x| x * x).sum::<f64>(), 4.0, max_relative = 1e-14);
    }

    #[test]
    fn the_fitted_part_gets_mean_zero_and_deviation_one() {
        let data = digits();
        let standardizer = Standardizer::fit(data.inputs());
        let again = Standardizer::fit(data.standardized(&standardizer).unwrap().inputs());
        for j in 0..data.features() {
            assert_relative_eq!(again.shifts()[j], 0.0, epsilon = 1e-13);
            assert_relative_eq!(again.scales()[j], 1.0, max_relative = 1e-13);
        }
    }

    #[test]
    fn images_are_mapped_place_by_place_in_their_own_precision() {
        let images = Tensor::from_vec(&[2, 1, 1, 2], vec![1.0f32, 7.0, 5.0, 7.0]);
        let standardizer = Standardizer::fit(&images);
        assert_eq!((standardizer.shifts(), standardizer.scales()), (&[3.0, 7.0][..], &[2.0, 1.0][..]));
        assert_eq!(standardizer.apply(&images), Tensor::from_vec(&[2, 1, 1, 2], vec![-1.0f32, 0.0, 1.0, 0.0]));
    }

    #[test]
    fn the_fitted_part_is_taken_to_the_unit_interval_and_others_beyond_it() {
        let data = digits();
        let range = Standardizer::fit_range(data.inputs());
        let mapped = data.standardized(&range).unwrap();
        let again = Standardizer::fit_range(mapped.inputs());
        for j in 0..data.features() {
            assert_eq!((again.shifts()[j], again.scales()[j]), (0.0, 1.0));
        }
        let range = Standardizer::fit_range(&Tensor::from_vec(&[2, 1], vec![2.0f32, 4.0]));
        assert_eq!(range.apply(&Tensor::from_vec(&[2, 1], vec![1.0f32, 5.0])).data(), [-0.5, 1.5]);
    }

    #[test]
    fn a_constant_column_is_only_centred() {
        // A sum of these rounds, and the mean it gives is not 0.1.
        let standardizer = Standardizer::fit(&Tensor::full(&[10, 1], 0.1));
        assert_eq!(standardizer, Standardizer::new(vec![0.1], vec![1.0]).unwrap());
        assert_eq!(standardizer.apply(&Tensor::from_vec(&[1, 1], vec![2.1])).item(), 2.0);
    }

    #[test]
    fn extreme_columns_keep_their_scale_or_are_refused() {
        for size in [1e-300, 1e200, 1e308] {
            let standardizer = Standardizer::fit(&Tensor::from_vec(&[2, 1], vec![size, -0.5 * size]));
            assert_relative_eq!(standardizer.shifts()[0], 0.25 * size, max_relative = 1e-14);
            assert_relative_eq!(standardizer.scales()[0], 0.75 * size, max_relative = 1e-14);
        }
        // A range beyond the largest number takes an end to ∞/∞.
        let inputs = Tensor::from_vec(&[2, 1], vec![-1e308, 1e308]);
        let range = Standardizer::fit_range(&inputs);
        let data = Dataset::new("toy", inputs, Targets::Classes { labels: vec![0, 0], classes: 1 }).unwrap();
        let error = data.standardized(&range).unwrap_err().to_string();
        assert_eq!(error, "toy: inputs, row 1, column 0: found NaN, expected a finite number");
        let inputs = Tensor::from_vec(&[2, 1], vec![0.0, 1e300]);
        let data = Dataset::new("toy", inputs, Targets::Classes { labels: vec![0, 0], classes: 1 }).unwrap();
        let tiny = Standardizer::new(vec![0.0], vec![1e-300]).unwrap();
        let error = data.standardized(&tiny).unwrap_err().to_string();
        assert_eq!(error, "toy: inputs, row 1, column 0: found inf, expected a finite number");
    }

    #[test]
    fn unusable_scales_are_refused() {
        for (means, scales) in [
            (vec![0.0, 1.0], vec![1.0]),
            (vec![0.0], vec![1.0, 1.0]),
            (vec![0.0, f64::NAN], vec![1.0, 1.0]),
            (vec![0.0, 0.0], vec![1.0, 0.0]),
            (vec![0.0, 0.0], vec![1.0, -1.0]),
            (vec![0.0, 0.0], vec![1.0, f64::INFINITY]),
        ] {
            let error = Standardizer::new(means, scales).unwrap_err();
            assert!(matches!(error, DataError::Scale { column: 1, .. }), "{error}");
        }
    }

    #[test]
    #[should_panic(expected = "standardizer: 2 columns were fitted, but the shape is [1, 3]")]
    fn other_columns_are_refused() {
        Standardizer::fit(&Tensor::full(&[1, 2], 0.0)).apply(&Tensor::full(&[1, 3], 0.0));
    }
}
