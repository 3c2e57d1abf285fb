//! Layers without parameters that make images smaller: pooling, and flattening.

use ad_core::ops::{Pooling, Window};
use ad_core::{Array, Ops};

use crate::module::{Architecture, Declarations, Module, Scope};

/// Pooling of images (batch, channels, height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool2d {
    /// The largest number in each window, PyTorch's `MaxPool2d`; of equal ones the first takes the derivative.
    Max(Pooling),
    /// The mean of each window, PyTorch's `AvgPool2d`.
    Mean(Pooling),
    /// The largest number of each image, giving (batch, channels), PyTorch's `AdaptiveMaxPool2d(1)` flattened; of equal ones the first takes
    /// the derivative.
    GlobalMax,
    /// The mean of each image, giving (batch, channels).
    GlobalMean,
}

/// Pooling of sequences (batch, channels, length): that of images of height 1, PyTorch's `MaxPool1d`, `AvgPool1d`, and of whole sequences.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Module, Pool1d, Scope};
/// let nothing = Params::new(Vec::<(String, Tensor<f64>)>::new());
/// let x = Tensor::from_vec(&[1, 1, 5], vec![1.0, 5.0, 2.0, 3.0, 4.0]);
/// let z = Pool1d::max(2, 2, 0).forward(&Scope::new(&nothing), &x);
/// assert_eq!((z.shape(), z.data()), (&[1, 1, 2][..], &[5.0, 3.0][..]));
/// assert_eq!(Pool1d::global_mean().forward(&Scope::new(&nothing), &x).data(), [3.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool1d(Pool2d);

impl Pool1d {
    /// The largest number in each window of this size, stride and padding.
    pub fn max(kernel: usize, stride: usize, padding: usize) -> Self {
        Pool1d(Pool2d::Max(along_length(kernel, stride, padding)))
    }

    /// The mean of each window of this size, stride and padding.
    pub fn mean(kernel: usize, stride: usize, padding: usize) -> Self {
        Pool1d(Pool2d::Mean(along_length(kernel, stride, padding)))
    }

    /// The largest number of each channel, giving (batch, channels).
    pub fn global_max() -> Self {
        Pool1d(Pool2d::GlobalMax)
    }

    /// The mean of each channel, giving (batch, channels).
    pub fn global_mean() -> Self {
        Pool1d(Pool2d::GlobalMean)
    }

    /// The length that sequences of this one are left with, or `None` where a window does not fit.
    pub fn places(&self, length: usize) -> Option<usize> {
        self.0.places([1, length]).map(|[_, across]| across)
    }
}

fn along_length(kernel: usize, stride: usize, padding: usize) -> Pooling {
    let window = Window { stride: [1, stride], padding: [0, padding], dilation: [1, 1] };
    Pooling { kernel: [1, kernel], window }
}

/// All axes but the first as one, PyTorch's `Flatten`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flatten;

impl Pool2d {
    /// The height and width that images of this size are left with, or `None` where a window does not fit.
    pub fn places(&self, image: [usize; 2]) -> Option<[usize; 2]> {
        match self {
            Pool2d::Max(windows) | Pool2d::Mean(windows) => windows.window.places(image, windows.kernel),
            Pool2d::GlobalMax | Pool2d::GlobalMean => Some([1, 1]),
        }
    }
}

impl Architecture for Pool2d {
    fn declare(&self, _to: &mut Declarations<'_>) {}
}

impl<A: Array> Module<A> for Pool2d {
    fn forward(&self, _p: &Scope<'_, A>, x: &A) -> A {
        match self {
            Pool2d::Max(windows) => x.max_pool(*windows),
            Pool2d::Mean(windows) => x.mean_pool(*windows),
            Pool2d::GlobalMax => {
                let &[batch, channels, height, width] = x.shape() else {
                    panic!("global max pooling: shape {:?} is not (batch, channels, height, width)", x.shape());
                };
                let whole = Pooling { kernel: [height, width], window: Window::default() };
                x.max_pool(whole).reshape(&[batch, channels])
            }
            Pool2d::GlobalMean => x.mean(&[-2, -1]),
        }
    }
}

impl Architecture for Pool1d {
    fn declare(&self, _to: &mut Declarations<'_>) {}
}

impl<A: Array> Module<A> for Pool1d {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let &[batch, channels, length] = x.shape() else {
            panic!("pool1d: shape {:?} is not (batch, channels, length)", x.shape());
        };
        let z = self.0.forward(p, &x.reshape(&[batch, channels, 1, length]));
        match *z.shape() {
            [_, _, _, across] => z.reshape(&[batch, channels, across]),
            _ => z,
        }
    }
}

impl Architecture for Flatten {
    fn declare(&self, _to: &mut Declarations<'_>) {}
}

impl<A: Array> Module<A> for Flatten {
    fn forward(&self, _p: &Scope<'_, A>, x: &A) -> A {
        let &[batch, ref item @ ..] = x.shape() else { panic!("flatten: a scalar has no rows") };
        x.reshape(&[batch, item.iter().product()])
    }
}

#[cfg(test)]
mod tests {
    use ad_core::{Params, Tensor, Var, grad};

    use super::*;

    #[test]
    fn images_are_left_with_what_is_said() {
        let x = Tensor::from_fn(&[2, 3, 5, 4], |i| i as f64);
        let none = Params::new(Vec::<(String, Tensor<f64>)>::new());
        let shape = |pool: Pool2d| pool.forward(&Scope::new(&none), &x).shape().to_vec();
        for pool in [Pool2d::Max(Pooling::square(2)), Pool2d::Mean(Pooling::square(3))] {
            let places = pool.places([5, 4]).expect("the windows fit");
            assert_eq!(shape(pool), [2, 3, places[0], places[1]]);
        }
        for pool in [Pool2d::GlobalMax, Pool2d::GlobalMean] {
            assert_eq!(shape(pool), [2, 3]);
        }
        assert_eq!(Pool2d::GlobalMax.forward(&Scope::new(&none), &x).data()[..2], [19.0, 39.0]);
        assert_eq!(Pool2d::GlobalMean.forward(&Scope::new(&none), &x).data()[..2], [9.5, 29.5]);
        assert_eq!(Pool2d::Max(Pooling::square(5)).places([5, 4]), None);
        assert_eq!(Flatten.forward(&Scope::new(&none), &x).shape(), [2, 60]);
    }

    /// As PyTorch has it.
    #[test]
    fn of_equal_numbers_the_first_has_the_derivative() {
        let equal = Tensor::full(&[1, 1, 2, 4], 3.0);
        let slope = |pool: Pool2d| {
            let nothing = Params::new(Vec::<(String, Var<Tensor<f64>>)>::new());
            grad(|x| pool.forward(&Scope::new(&nothing), x).sum_all(), &equal)
        };
        let of_windows = slope(Pool2d::Max(Pooling::square(2)));
        assert_eq!(of_windows.data(), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(slope(Pool2d::GlobalMax).data(), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}
