//! Layers without parameters that change an array's shape: pooling and flattening.

use ad_core::ops::Pooling;
use ad_core::{Array, Ops};

use crate::module::{Architecture, Declarations, Module, Scope};

/// Pools over the last two axes, or flattens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reshaping {
    /// The largest number in each window, PyTorch's `MaxPool2d`; of equal ones the first takes the derivative.
    MaxPool(Pooling),
    /// The mean of each window, PyTorch's `AvgPool2d`.
    MeanPool(Pooling),
    /// The largest number of each image, (batch, channels, …) to (batch, channels); equal ones share the derivative.
    GlobalMaxPool,
    /// The mean of each image, (batch, channels, …) to (batch, channels).
    GlobalMeanPool,
    /// All axes but the first as one.
    Flatten,
}

impl Architecture for Reshaping {
    fn declare(&self, _to: &mut Declarations<'_>) {}
}

impl<A: Array> Module<A> for Reshaping {
    fn forward(&self, _p: &Scope<'_, A>, x: &A) -> A {
        match self {
            Reshaping::MaxPool(windows) => x.max_pool(*windows),
            Reshaping::MeanPool(windows) => x.mean_pool(*windows),
            Reshaping::GlobalMaxPool => x.max_over(&image_axes(x)),
            Reshaping::GlobalMeanPool => x.mean(&image_axes(x)),
            Reshaping::Flatten => flat(x),
        }
    }
}

/// The axes after batch and channels.
fn image_axes<A: Array>(x: &A) -> Vec<isize> {
    (2..x.shape().len() as isize).collect()
}

/// All axes but the first as one.
fn flat<A: Array>(x: &A) -> A {
    let &[batch, ref item @ ..] = x.shape() else { panic!("flatten: a scalar has no rows") };
    x.reshape(&[batch, item.iter().product()])
}
