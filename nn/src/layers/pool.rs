//! Layers without parameters that make images smaller: pooling, and flattening.

use ad_core::ops::Pooling;
use ad_core::{Array, Ops};

use crate::module::{Architecture, Declarations, Module, Scope};

/// Pooling of images (batch, channels, height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool2d {
    /// The largest number in each window, PyTorch's `MaxPool2d`; of equal ones the first takes the derivative.
    Max(Pooling),
    /// The mean of each window, PyTorch's `AvgPool2d`.
    Mean(Pooling),
    /// The largest number of each image, giving (batch, channels); equal ones share the derivative.
    GlobalMax,
    /// The mean of each image, giving (batch, channels).
    GlobalMean,
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
            Pool2d::GlobalMax => x.max_over(&[-2, -1]),
            Pool2d::GlobalMean => x.mean(&[-2, -1]),
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

    /// As PyTorch has it: the first of a window; all of `amax`.
    #[test]
    fn of_equal_numbers_the_first_has_the_derivative_and_a_global_maximum_shares_it() {
        let equal = Tensor::full(&[1, 1, 2, 4], 3.0);
        let slope = |pool: Pool2d| {
            let nothing = Params::new(Vec::<(String, Var<Tensor<f64>>)>::new());
            grad(|x| pool.forward(&Scope::new(&nothing), x).sum_all(), &equal)
        };
        let of_windows = slope(Pool2d::Max(Pooling::square(2)));
        assert_eq!(of_windows.data(), [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(slope(Pool2d::GlobalMax).data(), [0.125; 8]);
    }
}
