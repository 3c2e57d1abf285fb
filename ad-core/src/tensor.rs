//! Dense arrays of numbers.

use std::fmt;
use std::sync::Arc;

use crate::buffer::Buffer;
use crate::kernel;
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
#[derive(PartialEq)]
pub struct Tensor<T: Real> {
    shape: Shape,
    data: Arc<Buffer<T>>,
}

impl<T: Real> Clone for Tensor<T> {
    /// Shares the buffer.
    fn clone(&self) -> Self {
        // The sizes copied at once, not pushed one by one as a clone of them is made.
        Tensor { shape: Shape::from_slice(&self.shape), data: Arc::clone(&self.data) }
    }
}

impl<T: Real> Tensor<T> {
    /// The array of this shape with these elements in row-major order; they are copied.
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
        Tensor { shape: Shape::from_slice(shape), data: Arc::new(Buffer::of(&data)) }
    }

    /// The scalar (rank 0) holding `x`.
    pub fn scalar(x: T) -> Self {
        Tensor::full(&[], x)
    }

    /// The array of this shape whose every element is `x`.
    pub fn full(shape: &[usize], x: T) -> Self {
        Tensor::filled(shape, |out| out.fill(x))
    }

    /// The array of this shape whose element at row-major position `i` is `f(i)`.
    pub fn from_fn(shape: &[usize], f: impl FnMut(usize) -> T) -> Self {
        Tensor::from_elements(shape, (0..count(shape)).map(f))
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
        let buffer: &mut Buffer<T> = Arc::make_mut(&mut self.data);
        buffer
    }

    /// Whether no other array shares the buffer, so that writing copies nothing.
    pub(crate) fn is_sole_owner(&self) -> bool {
        Arc::strong_count(&self.data) == 1
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
        Tensor::from_elements(&self.shape, self.data.iter().map(|x| U::from_f64(x.to_f64())))
    }

    /// `f` of each pair of elements of two arrays of one shape, without broadcasting; outside of differentiation, such as for an
    /// optimizer's state. `f` owns the numbers that it uses, so that they stay in registers.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn combined(&self, other: &Self, f: impl Fn(T, T) -> T + Sync + Copy + 'static) -> Self {
        let (a, b) = (self.shape(), other.shape());
        assert!(a == b, "combined: shapes {a:?} and {b:?} differ");
        Tensor::filled(a, |out| kernel::pairs(out, self.data(), other.data(), f))
    }

    /// `f` of each triple of elements of three arrays of one shape, as [`combined`](Tensor::combined) of pairs.
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn combined_with(&self, [b, c]: [&Self; 2], f: impl Fn(T, T, T) -> T + Sync + Copy + 'static) -> Self {
        let shapes = [self.shape(), b.shape(), c.shape()];
        assert!(shapes[0] == shapes[1] && shapes[0] == shapes[2], "combined_with: shapes {shapes:?} differ");
        Tensor::filled(shapes[0], |out| kernel::triples(out, [self.data(), b.data(), c.data()], f))
    }

    /// self + c·other, element by element: what a step θ − αω is made of.
    ///
    /// ```
    /// use ad_core::Tensor;
    /// let (theta, omega) = (Tensor::full(&[3], 1.0), Tensor::full(&[3], 4.0));
    /// assert_eq!(theta.plus_scaled(-0.25, &omega).data(), [0.0; 3]);
    /// ```
    ///
    /// # Panics
    /// If the shapes differ.
    #[track_caller]
    pub fn plus_scaled(&self, c: f64, other: &Self) -> Self {
        let c = T::from_f64(c);
        self.combined(other, move |a, b| a + c * b)
    }

    /// c·self, element by element.
    pub fn scaled(&self, c: f64) -> Self {
        let c = T::from_f64(c);
        self.map(move |x| c * x)
    }

    /// The sums of the first arrays of all lists, of the second, and so on, in the order of the lists: such as gradients of parts.
    ///
    /// ```
    /// use ad_core::Tensor;
    /// let lists = [[Tensor::full(&[3], 1.0)], [Tensor::full(&[3], 4.0)]];
    /// assert_eq!(Tensor::totals(&[&lists[0], &lists[1]])[0].data(), [5.0; 3]);
    /// ```
    ///
    /// # Panics
    /// If there is no list, or lists differ in the number or shapes of their arrays.
    #[track_caller]
    pub fn totals(lists: &[&[Self]]) -> Vec<Self> {
        let shapes = |list: &[Self]| list.iter().map(|a| a.shape.clone()).collect::<Vec<_>>();
        let like = shapes(lists.first().expect("totals: no lists"));
        for list in lists {
            assert!(shapes(list) == like, "totals: arrays of shapes {like:?} and {:?}", shapes(list));
        }
        let total = |(i, shape): (usize, &Shape)| {
            let terms: Vec<&[T]> = lists.iter().map(|list| list[i].data()).collect();
            Tensor::filled(shape, |out| kernel::total(out, &terms))
        };
        like.iter().enumerate().map(total).collect()
    }

    /// The array of this shape whose elements `fill` writes, all of them: it is given numbers of no particular value.
    pub(crate) fn filled(shape: &[usize], fill: impl FnOnce(&mut [T])) -> Self {
        let mut data = Buffer::stale(count(shape));
        fill(&mut data);
        Tensor::from_buffer(shape, data)
    }

    /// The array of this shape with the elements of a buffer, which must be as many.
    pub(crate) fn from_buffer(shape: &[usize], data: Buffer<T>) -> Self {
        debug_assert_eq!(count(shape), data.len());
        Tensor { shape: Shape::from_slice(shape), data: Arc::new(data) }
    }

    /// The array of this shape with these elements, one for each place.
    pub(crate) fn from_elements(shape: &[usize], elements: impl Iterator<Item = T>) -> Self {
        Tensor::filled(shape, |out| out.iter_mut().zip(elements).for_each(|(o, x)| *o = x))
    }

    /// The array of this shape whose elements are those of the pieces, one after another; they must be as many.
    pub(crate) fn from_pieces<'a>(shape: &[usize], pieces: impl Iterator<Item = &'a [T]>) -> Self {
        Tensor::filled(shape, |mut out| {
            for piece in pieces {
                let (now, later) = out.split_at_mut(piece.len());
                now.copy_from_slice(piece);
                out = later;
            }
            debug_assert!(out.is_empty(), "{} elements are not filled", out.len());
        })
    }

    /// Whether the two are one buffer.
    pub(crate) fn shares(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.data, &other.data)
    }

    /// The same elements in another shape of as many elements.
    pub(crate) fn with_shape(mut self, shape: &[usize]) -> Self {
        debug_assert_eq!(count(shape), self.len());
        self.shape = Shape::from_slice(shape);
        self
    }

    /// `f` of each element.
    pub(crate) fn map(&self, f: impl Fn(T) -> T + Sync + Copy + 'static) -> Self {
        Tensor::filled(&self.shape, |out| kernel::each(out, self.data(), f))
    }

    /// `f` of each pair of elements, the two arrays broadcast together.
    ///
    /// # Panics
    /// If they cannot be, naming the operation.
    #[track_caller]
    pub(crate) fn zip(&self, op: &str, other: &Self, f: impl Fn(T, T) -> T + Sync + Copy + 'static) -> Self {
        let (a, b) = (self.data(), other.data());
        if self.shape == other.shape {
            return Tensor::filled(&self.shape, |out| kernel::pairs(out, a, b, f));
        }
        let Some(shape) = broadcast(&self.shape, &other.shape) else {
            panic!("{op}: shapes {:?} and {:?} do not broadcast", self.shape(), other.shape());
        };
        match (a, b) {
            (a, &[b]) => Tensor::from_elements(&shape, a.iter().map(|&a| f(a, b))),
            (&[a], b) => Tensor::from_elements(&shape, b.iter().map(|&b| f(a, b))),
            // A row repeated down the other operand, such as a bias.
            (a, b) if shape == self.shape && shape.ends_with(&other.shape) && !b.is_empty() => {
                Tensor::filled(&shape, |out| {
                    kernel::pieces(
                        out,
                        b.len(),
                        1,
                        #[inline(always)]
                        |i, out| {
                            for ((o, &a), &b) in out.iter_mut().zip(&a[i * b.len()..]).zip(b) {
                                *o = f(a, b);
                            }
                            0.0
                        },
                    );
                })
            }
            (a, b) => {
                let (sa, sb) = (broadcast_strides(&self.shape, &shape), broadcast_strides(&other.shape, &shape));
                let places = Offsets::new(&shape, &sa).zip(Offsets::new(&shape, &sb));
                Tensor::from_elements(&shape, places.map(|(i, j)| f(a[i], b[j])))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_sums_in_order_on_any_number_of_threads() {
        let sizes: [&[usize]; 6] = [&[], &[3, 5], &[0], &[1 << 13, 3], &[7], &[1023]];
        let list = |k: usize| -> Vec<Tensor<f32>> {
            sizes.iter().map(|shape| Tensor::from_fn(shape, |i| ((i * 7 + k * 13) as f32).sin())).collect()
        };
        for n in 1..5 {
            let lists: Vec<_> = (0..n).map(list).collect();
            let lists: Vec<&[Tensor<f32>]> = lists.iter().map(Vec::as_slice).collect();
            for threads in [1, 2, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                for (i, total) in pool.install(|| Tensor::totals(&lists)).iter().enumerate() {
                    let place = |j: usize| lists.iter().map(|list| list[i].data()[j]).reduce(|a, b| a + b);
                    assert_eq!(total, &Tensor::from_fn(sizes[i], |j| place(j).expect("one at least")), "{n} of {i}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "totals: arrays of shapes")]
    fn totals_of_other_shapes_are_refused() {
        let (a, b) = ([Tensor::full(&[2], 1.0)], [Tensor::full(&[3], 1.0)]);
        let _ = Tensor::totals(&[&a, &b]);
    }
}
