//! Sums, maxima and cumulative sums over axes, and argmax.

use crate::array::Array;
use crate::kernel::{column_sums, pieces};
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::{Axes, Offsets, Shape, count, strides};
use crate::sums::sum_here;
use crate::tensor::Tensor;

/// Sum over axes, accumulated in double precision; reduced axes keep size 1 if `keep`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// The axes summed over.
    pub axes: Axes,
    /// Whether reduced axes stay, with size 1.
    pub keep: bool,
}

/// Strides that map each element of `shape` to its place in the reduction over `axes`.
fn reduction_strides(axes: Axes, shape: &[usize]) -> Shape {
    let kept = strides(&axes.reduced(shape, true));
    (0..shape.len()).map(|i| if axes.contains(i) { 0 } else { kept[i] }).collect()
}

/// Sums in double precision: of trailing axes row by row, of leading ones column by column, and of others in the order of the rows.
fn sum_over<T: Real>(axes: Axes, shape: &[usize], data: &[T]) -> Vec<T> {
    let rank = shape.len();
    let inner_from = (0..rank).rev().take_while(|&i| axes.contains(i)).last().unwrap_or(rank);
    let outer_to = (0..rank).take_while(|&i| axes.contains(i)).count();
    let size = count(&axes.reduced(shape, false));
    if axes == Axes::all(outer_to) && inner_from > 0 && size > 0 {
        let mut sums = vec![T::default(); size];
        column_sums(&mut sums, data);
        return sums;
    }
    let n = count(&shape[inner_from..]);
    let rows = row_sums(data, count(&shape[..inner_from]), n);
    if axes.count(&shape[..inner_from]) == 1 {
        return rows.into_iter().map(T::from_f64).collect();
    }
    let mut sums = vec![0.0; size];
    let steps = reduction_strides(axes, shape);
    for (row, o) in rows.into_iter().zip(Offsets::new(&shape[..inner_from], &steps[..inner_from])) {
        sums[o] += row;
    }
    sums.into_iter().map(T::from_f64).collect()
}

/// The sums of rows of n numbers.
fn row_sums<T: Real>(data: &[T], rows: usize, n: usize) -> Vec<f64> {
    if n == 1 {
        return data.iter().map(|x| x.to_f64()).collect();
    }
    let mut sums = vec![0.0; rows];
    pieces(
        &mut sums,
        1,
        n,
        #[inline(always)]
        |i, sum| {
            sum[0] = sum_here(&data[i * n..][..n]);
            0.0
        },
    );
    sums
}

/// `y`, a reduction of an array of this shape, with its reduced axes put back at size 1.
fn expanded<A: Array>(axes: Axes, shape: &[usize], y: &A) -> A {
    y.reshape(&axes.reduced(shape, true))
}

impl Primitive for Sum {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "sum"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let shape = x[0].shape();
        Tensor::from_vec(&self.axes.reduced(shape, self.keep), sum_over(self.axes, shape, x[0].data()))
    }

    fn jvp<A: Array>(&self, _x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(A::apply(*self, &[dx[0]?]))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || expanded(self.axes, x[0].shape(), ybar).broadcast_to(x[0].shape()));
    }

    recorded_as!(Sum);
}

/// Maximum over axes. Equal maxima share the derivative equally, as PyTorch's `amax` does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Max {
    /// The axes reduced.
    pub axes: Axes,
    /// Whether reduced axes stay, with size 1.
    pub keep: bool,
}

impl Max {
    /// The weight of each element in its maximum: 1/(number of equal maxima) where it is one, else 0.
    fn weights<A: Array>(&self, x: &A, y: &A) -> A {
        let is_max = x.equal(&expanded(self.axes, x.shape(), y));
        let ties = A::apply(Sum { axes: self.axes, keep: true }, &[&is_max]);
        is_max / ties
    }
}

impl Primitive for Max {
    const KIND: Kind = Kind::PiecewiseLinear;

    fn name(&self) -> &'static str {
        "max"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let shape = x[0].shape();
        assert!(self.axes.count(shape) > 0, "max over no elements of shape {shape:?}");
        let out = self.axes.reduced(shape, self.keep);
        let mut best = vec![T::from_f64(f64::NEG_INFINITY); count(&out)];
        for (&v, o) in x[0].data().iter().zip(Offsets::new(shape, &reduction_strides(self.axes, shape))) {
            if v > best[o] || v.to_f64().is_nan() {
                best[o] = v;
            }
        }
        Tensor::from_vec(&out, best)
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(A::apply(Sum { axes: self.axes, keep: self.keep }, &[&self.weights(x[0], y).times(dx[0]?)]))
    }

    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.weights(x[0], y) * expanded(self.axes, x[0].shape(), ybar));
    }

    recorded_as!(Max);
}

/// The index along an axis of the first largest element, as a number; its derivative is zero. NaN counts as largest, as in
/// NumPy and PyTorch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgMax {
    /// The axis, which disappears.
    pub axis: usize,
}

impl Primitive for ArgMax {
    const KIND: Kind = Kind::Constant;

    fn name(&self) -> &'static str {
        "argmax"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let lanes = Lanes::of(x[0].shape(), self.axis);
        assert!(lanes.n > 0, "argmax over no elements of shape {:?}", x[0].shape());
        let data = x[0].data();
        let mut shape = Shape::from_slice(x[0].shape());
        shape.remove(self.axis);
        let beats = |a: T, b: T| a > b || (a.to_f64().is_nan() && !b.to_f64().is_nan());
        let best = |start: usize| {
            (1..lanes.n).fold(0, |b, i| if beats(data[lanes.at(start, i)], data[lanes.at(start, b)]) { i } else { b })
        };
        Tensor::from_vec(&shape, lanes.starts().map(|s| T::from_f64(best(s) as f64)).collect())
    }

    fn jvp<A: Array>(&self, _x: &[&A], _y: &A, _dx: &[Option<&A>]) -> Option<A> {
        None
    }

    fn vjp<A: Array>(&self, _x: &[&A], _y: &A, _ybar: &A, _out: &mut Cotangents<'_, A>) {}

    recorded_as!(ArgMax);
}

/// yᵢ = Σ_{j ≤ i} xⱼ along an axis, or Σ_{j ≥ i} if reversed; each is the other's adjoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CumSum {
    /// The axis summed along.
    pub axis: usize,
    /// Whether sums run from the end.
    pub reverse: bool,
}

impl Primitive for CumSum {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "cumsum"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let lanes = Lanes::of(x[0].shape(), self.axis);
        let mut y = x[0].clone();
        let data = y.data_mut();
        for start in lanes.starts() {
            let mut sum = 0.0;
            for i in 0..lanes.n {
                let at = lanes.at(start, if self.reverse { lanes.n - 1 - i } else { i });
                sum += data[at].to_f64();
                data[at] = T::from_f64(sum);
            }
        }
        y
    }

    fn jvp<A: Array>(&self, _x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(A::apply(*self, &[dx[0]?]))
    }

    fn vjp<A: Array>(&self, _x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || A::apply(CumSum { reverse: !self.reverse, ..*self }, &[ybar]));
    }

    recorded_as!(CumSum);
}

/// The lanes of an array along one axis: runs of `n` elements, `step` apart.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    pub(crate) n: usize,
    pub(crate) step: usize,
    lanes: usize,
}

impl Lanes {
    pub(crate) fn of(shape: &[usize], axis: usize) -> Self {
        let (n, step) = (shape[axis], count(&shape[axis + 1..]));
        Lanes { n, step, lanes: count(&shape[..axis]) * step }
    }

    /// Position of each lane's first element, in row-major order of the other axes.
    pub(crate) fn starts(self) -> impl Iterator<Item = usize> {
        (0..self.lanes).map(move |l| l / self.step * self.n * self.step + l % self.step)
    }

    /// Position of element `i` of the lane that starts at `start`.
    pub(crate) fn at(self, start: usize, i: usize) -> usize {
        start + i * self.step
    }
}

#[cfg(test)]
mod tests {
    use crate::transform::grad;
    use crate::{Ops, Tensor};

    #[test]
    fn sums_are_in_double_precision() {
        // 2²⁴ + 1 is no f32: a running sum in single precision would never pass 2²⁴.
        let x = Tensor::full(&[(1 << 24) + 64], 1f32);
        assert_eq!(x.sum_all().item(), ((1 << 24) + 64) as f32);
        let rows = Tensor::from_vec(&[3, 1], vec![1e8f32, 1.0, -1e8]);
        assert_eq!(rows.sum(&[0]).data(), [1.0]);
    }

    #[test]
    fn equal_maxima_share_the_derivative() {
        let x = Tensor::from_vec(&[2, 3], vec![1.0, 3.0, 3.0, 2.0, 0.0, 1.0]);
        let g = grad(|x| x.max_over(&[1]).sum_all(), &x);
        assert_eq!(g.data(), [0.0, 0.5, 0.5, 1.0, 0.0, 0.0]);
        assert_eq!((x.argmax(1).data(), x.argmin(1).data()), (&[1.0, 0.0][..], &[0.0, 1.0][..]));
    }

    #[test]
    fn the_index_of_an_extremum_is_that_of_a_nan() {
        let x = Tensor::from_vec(&[4], vec![0.0, f64::NAN, 1.0, f64::NAN]);
        assert_eq!((x.argmax(0).item(), x.argmin(0).item()), (1.0, 1.0));
    }

    #[test]
    fn empty_arrays_sum_to_zero() {
        let x = Tensor::<f64>::from_vec(&[0, 3], vec![]);
        assert_eq!(x.sum(&[0]).data(), [0.0; 3]);
        assert_eq!(x.sum(&[1]).shape(), [0]);
        assert_eq!(x.sum_all().item(), 0.0);
        assert_eq!(x.cumsum(0).shape(), [0, 3]);
        assert_eq!(x.plus(&Tensor::full(&[3], 1.0)).shape(), [0, 3]);
        assert_eq!(x.matmul(&Tensor::full(&[3, 2], 1.0)).shape(), [0, 2]);
        assert_eq!(x.permute(&[1, 0]).shape(), [3, 0]);
    }
}
