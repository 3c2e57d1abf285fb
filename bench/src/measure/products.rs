//! The matrix products of a gradient alone: the rate that the gradient can be held to.

use std::hint::black_box;

use ad_core::{Ops, Real, Tensor, work};

use super::timing::median_ms;
use crate::reference::Spec;

/// The products of one layer, and arrays of their sizes.
struct Layer<T: Real> {
    x: Tensor<T>,
    w: Tensor<T>,
    zbar: Tensor<T>,
    /// Whether the adjoint of x is wanted: not that of the data.
    inner: bool,
}

impl<T: Real> Layer<T> {
    fn run(&self) {
        black_box(self.x.matmul_transposed(false, &self.w, true));
        black_box(self.zbar.matmul_transposed(true, &self.x, false));
        if self.inner {
            black_box(self.zbar.matmul(&self.w));
        }
    }
}

/// Median milliseconds and floating-point operations of the products that a gradient of the model computes, one after
/// another with nothing in between.
pub(super) fn measure_products<T: Real>(spec: &Spec, repeats: usize) -> (f64, u64) {
    let wave = |shape: &[usize]| Tensor::from_fn(shape, |i| T::from_f64((0.37 * i as f64).sin()));
    let layers: Vec<Layer<T>> = spec
        .sizes
        .windows(2)
        .enumerate()
        .map(|(i, size)| Layer {
            x: wave(&[spec.batch, size[0]]),
            w: wave(&[size[1], size[0]]),
            zbar: wave(&[spec.batch, size[1]]),
            inner: i > 0,
        })
        .collect();
    let before = work::flops();
    layers.iter().for_each(Layer::run);
    let flops = work::flops() - before;
    (median_ms(repeats, |_| layers.iter().for_each(Layer::run)), flops)
}
