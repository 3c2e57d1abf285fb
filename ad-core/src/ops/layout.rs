//! Primitives that move elements without changing them, in pairs of adjoints.

use std::sync::Arc;

use crate::array::Array;
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::{Axes, Offsets, Shape, broadcast, broadcast_strides, count, strides};
use crate::tensor::Tensor;

/// Repeats an array along new leading axes and axes of size 1; adjoint of [`SumTo`].
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastTo(pub Arc<[usize]>);

/// Sums an array down to a shape that broadcasts to its own; adjoint of [`BroadcastTo`].
#[derive(Clone, Debug, PartialEq)]
pub struct SumTo(pub Arc<[usize]>);

/// The same elements in another shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Reshape(pub Arc<[usize]>);

/// Reorders axes: axis `i` of the result is axis `order[i]` of the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Permute(pub Arc<[usize]>);

/// The elements from `start` up to, not including, `stop` along each axis; adjoint of [`Pad`].
#[derive(Clone, Debug, PartialEq)]
pub struct Slice(pub Arc<[(usize, usize)]>);

/// Zeros before and after along each axis; adjoint of [`Slice`].
#[derive(Clone, Debug, PartialEq)]
pub struct Pad(pub Arc<[(usize, usize)]>);

/// Joins any number of arrays along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concat {
    /// The axis along which they are joined.
    pub axis: usize,
}

/// A linear primitive of one input, by its value and its adjoint, with further methods in braces, if any: its JVP is itself.
macro_rules! linear_of_one {
    (
        $name:ident,
        $text:literal,
        |$p:ident, $x:ident| $eval:expr,
        |$q:ident, $shape:ident, $ybar:ident| $adjoint:expr
        $(, { $($method:tt)* })?
    ) => {
        impl Primitive for $name {
            const KIND: Kind = Kind::Linear;

            fn name(&self) -> &'static str {
                $text
            }

            #[track_caller]
            fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
                let ($p, $x) = (self, x[0]);
                $eval
            }

            fn jvp<A: Array>(&self, _x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
                Some(A::apply(self.clone(), &[dx[0]?]))
            }

            fn vjp<A: Array>(&self, x: &[&A], _y: &A, $ybar: &A, out: &mut Cotangents<'_, A>) {
                let ($q, $shape) = (self, x[0].shape());
                out.add(0, || $adjoint);
            }

            $($($method)*)?

            recorded_as!($name);
        }
    };
}
pub(crate) use linear_of_one;

linear_of_one!(
    BroadcastTo,
    "broadcast_to",
    |p, x| {
        let to: &[usize] = &p.0;
        let fits = broadcast(x.shape(), to).is_some_and(|s| s.as_slice() == to);
        assert!(fits, "broadcast_to: shape {:?} does not broadcast to {to:?}", x.shape());
        gathered(x, to, &broadcast_strides(x.shape(), to), 0)
    },
    |_p, shape, ybar| ybar.sum_to(shape)
);

linear_of_one!(
    SumTo,
    "sum_to",
    |p, x| {
        let to: &[usize] = &p.0;
        let fits = broadcast(x.shape(), to).is_some_and(|s| s.as_slice() == x.shape());
        assert!(fits, "sum_to: shape {to:?} does not broadcast to {:?}", x.shape());
        let lead = x.rank() - to.len();
        let axes: Vec<isize> =
            (0..x.rank()).filter(|&i| i < lead || to[i - lead] != x.shape()[i]).map(|i| i as isize).collect();
        super::Sum { axes: Axes::new(&axes, x.rank()), keep: false }.eval(&[x]).with_shape(to)
    },
    |_p, shape, ybar| ybar.broadcast_to(shape)
);

linear_of_one!(
    Reshape,
    "reshape",
    |p, x| {
        assert!(count(&p.0) == x.len(), "reshape: {:?} holds {} elements, {:?} does not", x.shape(), x.len(), p.0);
        x.clone().with_shape(&p.0)
    },
    |_p, shape, ybar| ybar.reshape(shape)
);

linear_of_one!(
    Permute,
    "permute",
    |p, x| {
        let order: &[usize] = &p.0;
        let mut seen: Vec<usize> = order.to_vec();
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(0..x.rank()), "permute: {order:?} is no order of the axes of {:?}", x.shape());
        let own = strides(x.shape());
        let shape: Shape = order.iter().map(|&a| x.shape()[a]).collect();
        gathered(x, &shape, &order.iter().map(|&a| own[a]).collect::<Shape>(), 0)
    },
    |p, _shape, ybar| {
        let mut inverse = vec![0; p.0.len()];
        for (i, &a) in p.0.iter().enumerate() {
            inverse[a] = i;
        }
        A::apply(Permute(inverse.into()), &[ybar])
    }
);

linear_of_one!(
    Slice,
    "slice",
    |p, x| {
        let fits = p.0.len() == x.rank() && p.0.iter().zip(x.shape()).all(|(&(a, b), &n)| a <= b && b <= n);
        assert!(fits, "slice: {:?} is not within shape {:?}", p.0, x.shape());
        let own = strides(x.shape());
        let start = p.0.iter().zip(&own).map(|(&(a, _), s)| a * s).sum();
        let shape: Shape = p.0.iter().map(|&(a, b)| b - a).collect();
        gathered(x, &shape, &own, start)
    },
    |p, shape, ybar| {
        let margins: Vec<_> = p.0.iter().zip(shape).map(|(&(a, b), &n)| (a, n - b)).collect();
        ybar.pad(&margins)
    }
);

linear_of_one!(
    Pad,
    "pad",
    |p, x| {
        assert!(p.0.len() == x.rank(), "pad: {} margins for shape {:?}", p.0.len(), x.shape());
        let shape: Shape = p.0.iter().zip(x.shape()).map(|(&(a, b), &n)| a + n + b).collect();
        let outer = strides(&shape);
        let start: usize = p.0.iter().zip(&outer).map(|(&(a, _), s)| a * s).sum();
        let mut out = Tensor::full(&shape, T::default());
        let data = out.data_mut();
        for (&v, o) in x.data().iter().zip(Offsets::new(x.shape(), &outer)) {
            data[start + o] = v;
        }
        out
    },
    |p, shape, ybar| {
        let ranges: Vec<_> = p.0.iter().zip(shape).map(|(&(a, _), &n)| (a, a + n)).collect();
        ybar.slice(&ranges)
    }
);

/// The array of this shape whose elements are read from `x` at `start` plus the offsets of these strides.
fn gathered<T: Real>(x: &Tensor<T>, shape: &[usize], steps: &[usize], start: usize) -> Tensor<T> {
    let data = x.data();
    if let (Some(1), Some(&n)) = (steps.last(), shape.last()) {
        // Rows of the last axis are copied whole.
        let rows = Offsets::new(&shape[..shape.len() - 1], &steps[..steps.len() - 1]);
        return Tensor::from_pieces(shape, rows.map(|o| &data[start + o..start + o + n]));
    }
    if steps.iter().all(|step| *step == 0) {
        // One number everywhere.
        return Tensor::filled(shape, |out| out.fill(data[start]));
    }
    Tensor::from_elements(shape, Offsets::new(shape, steps).map(|o| data[start + o]))
}

impl Primitive for Concat {
    const KIND: Kind = Kind::Linear;

    fn name(&self) -> &'static str {
        "concat"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let first = x.first().expect("concat needs at least one array").shape();
        let same = |s: &[usize]| {
            s.len() == first.len() && s.iter().zip(first).enumerate().all(|(i, (a, b))| i == self.axis || a == b)
        };
        if let Some(other) = x.iter().find(|t| !same(t.shape())) {
            panic!("concat along axis {}: shapes {first:?} and {:?} differ elsewhere", self.axis, other.shape());
        }
        let mut shape = Shape::from_slice(first);
        shape[self.axis] = x.iter().map(|t| t.shape()[self.axis]).sum();
        let piece = |block: usize, t: &'_ &Tensor<T>| {
            let n = count(&t.shape()[self.axis..]);
            block * n..(block + 1) * n
        };
        let blocks = 0..count(&first[..self.axis]);
        Tensor::from_pieces(&shape, blocks.flat_map(|block| x.iter().map(move |t| &t.data()[piece(block, t)])))
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let zeros: Vec<A> =
            x.iter().zip(dx).filter(|(_, d)| d.is_none()).map(|(x, _)| A::full(x.shape(), 0.0)).collect();
        let mut zeros = zeros.iter();
        let all: Option<Vec<&A>> = dx.iter().map(|d| d.or_else(|| zeros.next())).collect();
        Some(A::apply(*self, &all?))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let mut ranges: Vec<(usize, usize)> = ybar.shape().iter().map(|&n| (0, n)).collect();
        let mut start = 0;
        for (i, input) in x.iter().enumerate() {
            ranges[self.axis] = (start, start + input.shape()[self.axis]);
            start = ranges[self.axis].1;
            out.add(i, || ybar.slice(&ranges));
        }
    }

    recorded_as!(Concat);
}
