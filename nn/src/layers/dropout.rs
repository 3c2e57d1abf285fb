//! Units dropped at random.

use ad_core::{Array, Ops, Tensor};

use crate::context::Mode;
use crate::module::{Architecture, Declarations, Module, Scope};

/// In training each number is 0 with probability `p`, else divided by 1 − p; in evaluation the input as it is (Srivastava
/// et al., JMLR 15, 2014). PyTorch's `Dropout`.
///
/// What a row loses is drawn from the step's key, the module's name and the number of the row in the whole mini-batch.
/// Every pass of a step hence has the same mask, also where the mini-batch is cut into parts; a module that is applied
/// twice under one name drops the same twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    p: f64,
}

impl Dropout {
    /// Drops with this probability.
    ///
    /// # Panics
    /// If it is not within [0, 1].
    #[track_caller]
    pub fn new(p: f64) -> Self {
        assert!((0.0..=1.0).contains(&p), "dropout: the probability must be within [0, 1], not {p}");
        Dropout { p }
    }
}

impl Architecture for Dropout {
    fn declare(&self, _to: &mut Declarations<'_>) {}
}

impl<A: Array> Module<A> for Dropout {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let Mode::Training { key, first_row } = p.mode() else { return x.clone() };
        if self.p == 0.0 {
            return x.clone();
        }
        let &[rows, ref item @ ..] = x.shape() else { panic!("dropout: a scalar has no rows") };
        let kept = 1.0 / (1.0 - self.p);
        let mut mask = Vec::with_capacity(rows * item.iter().product::<usize>());
        for row in first_row..first_row + rows {
            let mut draw = key.numbered(row as u64).generator();
            let number = |_| if draw.uniform() < self.p { 0.0 } else { kept };
            mask.extend((0..item.iter().product()).map(number));
        }
        x.times(&A::constant(&Tensor::from_vec(x.shape(), mask)))
    }
}

#[cfg(test)]
mod tests {
    use ad_core::Params;

    use super::*;
    use crate::Context;
    use crate::random::Key;

    fn dropped(p: f64, key: Key, first_row: usize, rows: usize) -> Tensor<f64> {
        let none = Params::new(Vec::<(String, Tensor<f64>)>::new());
        let buffers = none.clone();
        let step = Context::training(key, &buffers).from_row(first_row);
        Dropout::new(p).forward(&Scope::new(&none).within(step), &Tensor::full(&[rows, 10, 10], 3.0))
    }

    #[test]
    fn the_share_that_is_dropped_is_p_and_the_mean_stays() {
        let y = dropped(0.25, Key::new(0), 0, 400);
        let zeros = y.data().iter().filter(|y| **y == 0.0).count() as f64 / y.len() as f64;
        // Five standard errors of 40,000 draws.
        assert!((zeros - 0.25).abs() < 5.0 * (0.25 * 0.75 / 4e4f64).sqrt(), "{zeros}");
        assert!(y.data().iter().all(|y| *y == 0.0 || *y == 4.0));
        assert_eq!(dropped(0.0, Key::new(0), 0, 2).data(), [3.0; 200]);
        assert_eq!(dropped(1.0, Key::new(0), 0, 2).data(), [0.0; 200]);
    }

    #[test]
    fn a_row_s_mask_is_its_own() {
        let whole = dropped(0.5, Key::new(1), 0, 6);
        assert_eq!(dropped(0.5, Key::new(1), 2, 3), whole.slice(&[(2, 5), (0, 10), (0, 10)]));
        assert_ne!(dropped(0.5, Key::new(1), 1, 6), whole);
        assert_ne!(dropped(0.5, Key::new(2), 0, 6), whole);
    }

    #[test]
    fn evaluation_drops_nothing() {
        let none = Params::new(Vec::<(String, Tensor<f64>)>::new());
        let x = Tensor::full(&[2, 3], 1.0);
        assert_eq!(Dropout::new(0.5).forward(&Scope::new(&none), &x), x);
    }

    #[test]
    #[should_panic(expected = "dropout: the probability must be within [0, 1], not -0.1")]
    fn a_probability_below_zero_is_refused() {
        Dropout::new(-0.1);
    }
}
