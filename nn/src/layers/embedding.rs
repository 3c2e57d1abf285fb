//! Tables looked up by number.

use ad_core::{Array, Base, Ops};

use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// A row of `weight` (entries, size) for each whole number of the input: (…) to (…, size). PyTorch's `Embedding`.
///
/// The input has no derivative. For output weights tied to it, apply [`logits`](Embedding::logits) with the same scope.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Embedding {
    /// Number of rows of the table.
    pub entries: usize,
    /// Size of a row.
    pub size: usize,
    /// How the table starts.
    pub weight: Init,
}

impl Embedding {
    /// A table that starts with a standard deviation of 0.02.
    pub fn new(entries: usize, size: usize) -> Self {
        Embedding { entries, size, weight: Init::Normal { deviation: 0.02 } }
    }

    /// The inner products of x (…, size) with each row of the table, (…, entries): an output layer with the weights of the table.
    pub fn logits<A: Array>(&self, p: &Scope<'_, A>, x: &A) -> A {
        x.linear(p.get("weight"), None)
    }
}

impl Architecture for Embedding {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.parameter("weight", &[self.entries, self.size], self.weight);
    }
}

impl<A: Array> Module<A> for Embedding {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        look_up(p.get("weight"), x)
    }
}

/// The rows of a table (entries, size) at the whole numbers of x (…).
///
/// # Panics
/// If a number is not one of the table's.
#[track_caller]
pub(crate) fn look_up<A: Array>(table: &A, x: &A) -> A {
    let numbers = x.primal().to_tensor();
    let entries = table.shape()[0];
    let index = |at: usize| {
        let number = ad_core::Real::to_f64(numbers.data()[at]);
        let whole = number >= 0.0 && number < entries as f64 && number.fract() == 0.0;
        assert!(whole, "embedding: {number} at position {at} is no row of a table of {entries}");
        number as usize
    };
    let indices: Vec<usize> = (0..numbers.len()).map(index).collect();
    let shape: Vec<usize> = x.shape().iter().copied().chain([table.shape()[1]]).collect();
    table.gather(0, &indices).reshape(&shape)
}

#[cfg(test)]
mod tests {
    use ad_core::{Params, Tensor, grad};

    use super::*;

    #[test]
    fn rows_are_looked_up_and_their_derivatives_added() {
        let table = Embedding::new(3, 2);
        let theta = Params::new([("weight", Tensor::from_vec(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))]);
        let x = Tensor::from_vec(&[1, 3], vec![2.0, 0.0, 2.0]);
        let y = table.forward(&Scope::new(&theta), &x);
        assert_eq!((y.shape(), y.data()), (&[1, 3, 2][..], &[5.0, 6.0, 1.0, 2.0, 5.0, 6.0][..]));
        let g = grad(|p| table.forward(&Scope::new(p), &Array::lift(x.clone())).sum_all(), &theta);
        assert_eq!(g.get("weight").data(), [1.0, 1.0, 0.0, 0.0, 2.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "embedding: 3 at position 1 is no row of a table of 3")]
    fn a_number_beyond_the_table_is_refused() {
        look_up(&Tensor::full(&[3, 2], 0.0), &Tensor::from_vec(&[2], vec![0.0, 3.0]));
    }
}
