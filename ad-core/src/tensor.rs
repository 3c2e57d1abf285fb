//! Dense arrays of numbers.

use std::fmt;
use std::sync::Arc;

use crate::real::Real;
use crate::shape::{Offsets, Shape, broadcast, broadcast_strides, count};

/// A dense row-major array of `f32` or `f64`, of any rank; rank 0 is a scalar.
///
/// Cloning is cheap: clones share one buffer until one of them is written to.
///
/// ```
/// use ad_core::Tensor;
/// let x = Tensor::from_vec(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// assert_eq!(x.shape(), &[2, 3]);
/// assert_eq!(x.data()[4], 5.0);
/// ```
#[derive(Clone, PartialEq)]
pub struct Tensor<T> {
    shape: Shape,
    data: Arc<Vec<T>>,
}

impl<T: Real> Tensor<T> {
    /// The array of this shape with these elements in row-major order.
    ///
    /// # Panics
    /// If the number of elements is not the product of the sizes.
    #[track_caller]
    pub fn from_vec(shape: &[usize], data: Vec<T>) -> Self {
        assert!(
            count(shape) == data.len(),
            "a tensor of shape {shape:?} holds {} elements, but {} were given",
            count(shape),
            data.len()
        );
        Tensor { shape: Shape::from_slice(shape), data: Arc::new(data) }
    }

    /// The scalar (rank 0) holding `x`.
    pub fn scalar(x: T) -> Self {
        Tensor::from_vec(&[], vec![x])
    }

    /// The array of this shape whose every element is `x`.
    pub fn full(shape: &[usize], x: T) -> Self {
        Tensor::from_vec(shape, vec![x; count(shape)])
    }

    /// The array of this shape whose element at row-major position `i` is `f(i)`.
    pub fn from_fn(shape: &[usize], f: impl FnMut(usize) -> T) -> Self {
        Tensor::from_vec(shape, (0..count(shape)).map(f).collect())
    }

    /// Sizes of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements in row-major order.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// The elements in row-major order, to be written to; copies them first if the buffer is shared.
    pub fn data_mut(&mut self) -> &mut [T] {
        Arc::make_mut(&mut self.data).as_mut_slice()
    }

    /// The elements as a vector, without a copy where the buffer is not shared.
    pub fn into_vec(self) -> Vec<T> {
        Arc::try_unwrap(self.data).unwrap_or_else(|shared| (*shared).clone())
    }

    /// The only element.
    ///
    /// # Panics
    /// If there is not exactly one element.
    #[track_caller]
    pub fn item(&self) -> T {
        assert!(self.len() == 1, "item() needs one element, but the shape is {:?}", self.shape());
        self.data[0]
    }

    /// The same numbers in another precision (rounded to nearest).
    pub fn cast<U: Real>(&self) -> Tensor<U> {
        Tensor {
            shape: self.shape.clone(),
            data: Arc::new(self.data.iter().map(|x| U::from_f64(x.to_f64())).collect()),
        }
    }

    /// The same elements in another shape of as many elements.
    pub(crate) fn with_shape(mut self, shape: &[usize]) -> Self {
        debug_assert_eq!(count(shape), self.len());
        self.shape = Shape::from_slice(shape);
        self
    }

    /// `f` of each element.
    pub(crate) fn map(&self, f: impl Fn(T) -> T) -> Self {
        Tensor { shape: self.shape.clone(), data: Arc::new(self.data.iter().map(|&x| f(x)).collect()) }
    }

    /// `f` of each pair of elements, the two arrays broadcast together.
    ///
    /// # Panics
    /// If they cannot be, naming the operation.
    #[track_caller]
    pub(crate) fn zip(&self, op: &str, other: &Self, f: impl Fn(T, T) -> T) -> Self {
        let (a, b) = (self.data(), other.data());
        if self.shape == other.shape {
            return Tensor::from_vec(&self.shape, a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect());
        }
        let Some(shape) = broadcast(&self.shape, &other.shape) else {
            panic!("{op}: shapes {:?} and {:?} do not broadcast", self.shape(), other.shape());
        };
        let data = match (a, b) {
            (a, &[b]) => a.iter().map(|&a| f(a, b)).collect(),
            (&[a], b) => b.iter().map(|&b| f(a, b)).collect(),
            // A row repeated down the other operand, such as a bias.
            (a, b) if shape == self.shape && shape.ends_with(&other.shape) && !b.is_empty() => {
                a.chunks_exact(b.len()).flat_map(|row| row.iter().zip(b).map(|(&a, &b)| f(a, b))).collect()
            }
            (a, b) => {
                let (sa, sb) = (broadcast_strides(&self.shape, &shape), broadcast_strides(&other.shape, &shape));
                Offsets::new(&shape, &sa).zip(Offsets::new(&shape, &sb)).map(|(i, j)| f(a[i], b[j])).collect()
            }
        };
        Tensor::from_vec(&shape, data)
    }
}

impl<T: Real> fmt::Debug for Tensor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tensor<{}>{:?}", T::NAME, self.shape())?;
        let shown = self.data.len().min(8);
        write!(f, " {:?}", &self.data[..shown])?;
        if shown < self.data.len() { f.write_str("…") } else { Ok(()) }
    }
}
