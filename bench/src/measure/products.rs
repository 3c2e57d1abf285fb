//! The matrix products of a gradient alone: the rate that the gradient can be held to.

use std::hint::black_box;

use ad_core::{Ops, Real, Tensor, work};

use super::Products;
use super::timing::median_ms;
use crate::reference::Spec;
use crate::reference::spec::Network;

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
/// another with nothing in between; `None` where it computes more than the products of fully connected layers.
pub(super) fn measure_products<T: Real>(spec: &Spec, repeats: usize) -> Option<Products> {
    let Network::Mlp { sizes, .. } = &spec.network else { return None };
    let wave = |shape: &[usize]| Tensor::from_fn(shape, |i| T::from_f64((0.37 * i as f64).sin()));
    let layers: Vec<Layer<T>> = sizes
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
    let flop = work::flops() - before;
    Some(Products { ms: median_ms(repeats, |_| layers.iter().for_each(Layer::run)), flop })
}
