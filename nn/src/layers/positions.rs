//! Learned positions.

use ad_core::{Array, Ops};

use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// x + w for x of shape (batch, positions, size): a row of `weight` w (places, size) added at each position, so that what follows can tell
/// positions apart. A sequence may be shorter than the table. Radford et al., *Language models are unsupervised multitask learners*, 2019.
///
/// ```
/// use ad_core::Tensor;
/// use nn::{Architecture, Module, Positions, Scope, random::Key};
/// let layer = Positions::new(8, 2);
/// let theta = layer.init::<f64>(Key::new(0));
/// let z = layer.forward(&Scope::new(&theta), &Tensor::full(&[4, 3, 2], 0.0));
/// assert_eq!(z.data()[..6], theta.get("weight").data()[..6]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Positions {
    /// Rows of the table: the most positions of a sequence.
    pub places: usize,
    /// Size of a row.
    pub size: usize,
    /// How the table starts.
    pub weight: Init,
}

impl Positions {
    /// A table that starts with a standard deviation of 0.02.
    pub fn new(places: usize, size: usize) -> Self {
        Positions { places, size, weight: Init::Normal { deviation: 0.02 } }
    }
}

impl Architecture for Positions {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.parameter("weight", &[self.places, self.size], self.weight);
    }
}

impl<A: Array> Module<A> for Positions {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        add_positions(p.get("weight"), x)
    }
}

/// x (batch, positions, size) with the first rows of a table (places, size) added.
///
/// # Panics
/// If x is of another shape, or has more positions than the table has rows.
#[track_caller]
pub(crate) fn add_positions<A: Array>(table: &A, x: &A) -> A {
    let (places, size) = (table.shape()[0], table.shape()[1]);
    match *x.shape() {
        [_, positions, last] if positions <= places && last == size => {
            x.clone() + table.slice(&[(0, positions), (0, size)])
        }
        ref shape => panic!("positions: shape {shape:?} is not (batch, at most {places} positions, {size})"),
    }
}

#[cfg(test)]
mod tests {
    use ad_core::Tensor;

    use super::*;

    #[test]
    #[should_panic(expected = "positions: shape [1, 3, 2] is not (batch, at most 2 positions, 2)")]
    fn a_sequence_longer_than_the_table_is_refused() {
        add_positions(&Tensor::full(&[2, 2], 0.0), &Tensor::full(&[1, 3, 2], 0.0));
    }
}
