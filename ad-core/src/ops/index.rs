//! Reading and adding at positions along an axis.

use std::sync::Arc;

use crate::array::Array;
use crate::ops::layout::linear_of_one;
use crate::ops::recorded_as;
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::{Shape, count};
use crate::tensor::Tensor;

/// Position `i` of the result along an axis is position `indices[i]` of the input; adjoint of [`ScatterAdd`].
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// The axis read along.
    pub axis: usize,
    /// The position read for each position of the result.
    pub indices: Arc<[usize]>,
}

/// Position `i` of the input along an axis is added to position `indices[i]` of the result, from zeros; adjoint of
/// [`Gather`].
#[derive(Clone, Debug, PartialEq)]
pub struct ScatterAdd {
    /// The axis added along.
    pub axis: usize,
    /// The position to which each position of the input is added.
    pub indices: Arc<[usize]>,
    /// Size of the axis in the result.
    pub size: usize,
}

/// Panics where an index is not below `size`.
#[track_caller]
fn check(op: &str, indices: &[usize], size: usize) {
    if let Some((i, found)) = indices.iter().enumerate().find(|(_, found)| **found >= size) {
        panic!("{op}: index {found} at position {i} is out of range for an axis of size {size}");
    }
}

linear_of_one!(
    Gather,
    "gather",
    |p, x| {
        assert!(p.axis < x.rank(), "gather along axis {} of shape {:?}", p.axis, x.shape());
        let size = x.shape()[p.axis];
        check("gather", &p.indices, size);
        let (outer, inner) = (count(&x.shape()[..p.axis]), count(&x.shape()[p.axis + 1..]));
        let mut shape = Shape::from_slice(x.shape());
        shape[p.axis] = p.indices.len();
        let piece = |block: usize, i: usize| &x.data()[(block * size + i) * inner..][..inner];
        let pieces = (0..outer).flat_map(|block| p.indices.iter().map(move |i| piece(block, *i)));
        Tensor::from_pieces(&shape, pieces)
    },
    |p, shape, ybar| A::apply(ScatterAdd { axis: p.axis, indices: p.indices.clone(), size: shape[p.axis] }, &[ybar])
);

linear_of_one!(
    ScatterAdd,
    "scatter_add",
    |p, x| {
        let fits = p.axis < x.rank() && x.shape()[p.axis] == p.indices.len();
        assert!(fits, "scatter_add of {} indices along axis {} of shape {:?}", p.indices.len(), p.axis, x.shape());
        check("scatter_add", &p.indices, p.size);
        let (outer, inner) = (count(&x.shape()[..p.axis]), count(&x.shape()[p.axis + 1..]));
        let mut shape = Shape::from_slice(x.shape());
        shape[p.axis] = p.size;
        let mut out = Tensor::full(&shape, T::default());
        let sums = out.data_mut();
        let mut rows = x.data().chunks_exact(inner.max(1));
        for block in 0..outer {
            for i in p.indices.iter() {
                let row = rows.next().unwrap_or(&[]);
                for (s, &v) in sums[(block * p.size + i) * inner..][..inner].iter_mut().zip(row) {
                    *s = *s + v;
                }
            }
        }
        out
    },
    |p, _shape, ybar| A::apply(Gather { axis: p.axis, indices: p.indices.clone() }, &[ybar])
);
