//! The reference models that `parabola cost` times: what they are, and their parameters and batch.

pub mod draw;
pub mod load;
pub mod sizes;
pub mod spec;

use ad_core::{Params, Tensor};
use nn::data::Batch;

pub use spec::Spec;

/// Parameters and one batch of a reference model, in `f64` but drawn and stored as `f32`.
#[derive(Clone, Debug)]
pub struct Case {
    /// The parameters by name, in the network's order.
    pub theta: Params<Tensor<f64>>,
    /// Inputs, rows first, and labels for cross-entropy or values (batch, outputs) for the squared losses.
    pub batch: Batch<f64>,
}

impl Case {
    /// The second set of a timing loop, which must not reuse results of the first: parameters times 0.98, the rows of
    /// `x` in reverse order, the same targets.
    pub fn set_b(&self) -> Case {
        let scaled = |t: &Tensor<f64>| Tensor::from_vec(t.shape(), t.data().iter().map(|p| 0.98 * p).collect());
        let Batch { inputs, targets } = &self.batch;
        let size = inputs.shape()[1..].iter().product();
        let rows = inputs.data().chunks_exact(size).rev().flatten().copied().collect();
        let inputs = Tensor::from_vec(inputs.shape(), rows);
        Case { theta: self.theta.map(scaled), batch: Batch { inputs, targets: targets.clone() } }
    }

    /// The probe direction of Hessian-vector products: vᵢ = sin(i + 1), i counted through all parameters in order.
    pub fn probe_direction(&self) -> Params<Tensor<f64>> {
        let mut i = 0;
        let mut next = |_| {
            i += 1;
            libm::sin(f64::from(i))
        };
        self.theta.map(|p| Tensor::from_fn(p.shape(), &mut next))
    }
}

#[cfg(test)]
mod tests {
    use nn::data::Targets;

    use super::*;

    fn case() -> Case {
        let theta = [
            ("layers.0.weight", Tensor::from_vec(&[1, 2], vec![1.0, -2.0])),
            ("layers.0.bias", Tensor::from_vec(&[1], vec![0.5])),
        ];
        let inputs = Tensor::from_vec(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let targets = Targets::Classes { labels: vec![0, 0, 0], classes: 1 };
        Case { theta: Params::new(theta), batch: Batch { inputs, targets } }
    }

    #[test]
    fn set_b_scales_parameters_and_reverses_rows() {
        let b = case().set_b();
        assert_eq!(b.theta.get("layers.0.weight").data(), [0.98, -1.96]);
        assert_eq!(b.batch.inputs.data(), [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]);
        assert_eq!(b.batch.targets, case().batch.targets);
    }

    #[test]
    fn the_probe_counts_through_all_parameters() {
        let v = case().probe_direction();
        let elements: Vec<f64> = v.arrays().iter().flat_map(|t| t.data().to_vec()).collect();
        assert_eq!(elements.len(), 3);
        for (value, i) in elements.iter().zip(1..) {
            assert!((value - f64::from(i).sin()).abs() < 1e-15);
        }
    }
}
