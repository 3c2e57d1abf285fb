//! The reference models that `parabola cost` times: what they are, and their parameters and batch.

pub mod draw;
pub mod load;
pub mod spec;
pub mod suggest;

use ad_core::Tensor;

pub use spec::{Activation, Loss, Spec};

/// The target of a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// One class a row, below the size of the output: for cross-entropy.
    Labels(Vec<u32>),
    /// One vector a row, (batch, outputs): for the squared losses.
    Values(Tensor<f64>),
}

/// Parameters and one batch of a reference model, in `f64` but drawn and stored as `f32`.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// `layers.i.weight` of shape (out, in) and `layers.i.bias` of shape (out), layer by layer.
    pub parameters: Vec<(String, Tensor<f64>)>,
    /// The inputs, (batch, inputs).
    pub x: Tensor<f64>,
    /// The targets.
    pub y: Target,
}

impl Case {
    /// The second set of a timing loop, which must not reuse results of the first: parameters times 0.98, the rows of
    /// `x` in reverse order, the same targets.
    pub fn set_b(&self) -> Case {
        let scaled = |t: &Tensor<f64>| Tensor::from_vec(t.shape(), t.data().iter().map(|p| 0.98 * p).collect());
        let rows = self.x.data().chunks_exact(self.x.shape()[1]).rev().flatten().copied().collect();
        Case {
            parameters: self.parameters.iter().map(|(name, p)| (name.clone(), scaled(p))).collect(),
            x: Tensor::from_vec(self.x.shape(), rows),
            y: self.y.clone(),
        }
    }

    /// The probe direction of Hessian-vector products: vᵢ = sin(i + 1), i counted through all parameters in order.
    pub fn probe_direction(&self) -> Vec<Tensor<f64>> {
        let mut i = 0;
        let mut next = |_| {
            i += 1;
            libm::sin(f64::from(i))
        };
        self.parameters.iter().map(|(_, p)| Tensor::from_fn(p.shape(), &mut next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        Case {
            parameters: vec![
                ("layers.0.weight".into(), Tensor::from_vec(&[1, 2], vec![1.0, -2.0])),
                ("layers.0.bias".into(), Tensor::from_vec(&[1], vec![0.5])),
            ],
            x: Tensor::from_vec(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            y: Target::Labels(vec![0, 0, 0]),
        }
    }

    #[test]
    fn set_b_scales_parameters_and_reverses_rows() {
        let b = case().set_b();
        assert_eq!(b.parameters[0].1.data(), [0.98, -1.96]);
        assert_eq!(b.x.data(), [5.0, 6.0, 3.0, 4.0, 1.0, 2.0]);
        assert_eq!(b.y, case().y);
    }

    #[test]
    fn the_probe_counts_through_all_parameters() {
        let v = case().probe_direction();
        assert_eq!((v[0].shape(), v[1].shape()), (&[1, 2][..], &[1][..]));
        for (value, i) in v[0].data().iter().chain(v[1].data()).zip(1..) {
            assert!((value - f64::from(i).sin()).abs() < 1e-15);
        }
    }
}
