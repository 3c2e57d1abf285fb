//! num and den in O(M), by the gradient and the motion it causes.

use super::layer::{SingleLayer, affine};
use super::num_den::NumDen;
use super::products::dot;

/// The gradient of the loss, which is also the direction ω of SGD.
#[derive(Clone, Debug, PartialEq)]
pub struct Gradient {
    /// ∇W, row-major (n₁, n₀).
    pub weight: Vec<f64>,
    /// ∇b, (n₁).
    pub bias: Vec<f64>,
}

impl SingleLayer<'_> {
    /// The gradient ∇W = 1/M Σ_i δ_i x_iᵀ, ∇b = 1/M Σ_i δ_i. Costs M·n₀·n₁ multiply-adds.
    pub fn gradient(&self) -> Gradient {
        let (n_in, n_out) = (self.sizes.inputs, self.sizes.outputs);
        let (mut weight, mut bias) = (vec![0.0; n_out * n_in], vec![0.0; n_out]);
        for (x, delta) in self.x.chunks_exact(n_in).zip(self.deltas.chunks_exact(n_out)) {
            for ((row, b), d) in weight.chunks_exact_mut(n_in).zip(&mut bias).zip(delta) {
                row.iter_mut().zip(x).for_each(|(w, x)| *w += d * x);
                *b += d;
            }
        }
        let samples = self.sizes.samples as f64;
        weight.iter_mut().chain(&mut bias).for_each(|g| *g /= samples);
        Gradient { weight, bias }
    }

    /// num and den from the gradient and the tangents ż_i = ∇W x_i + ∇b of the pre-activations:
    ///
    /// ```text
    /// num = ‖∇W‖² + ‖∇b‖²        den = 1/M Σ_i ‖Δ'_i ż_i‖²
    /// ```
    ///
    /// Costs 2M·n₀·n₁ multiply-adds to leading order, half of them for the gradient.
    pub fn direct(&self) -> NumDen {
        let omega = self.gradient();
        let squares = self.slopes.iter().zip(self.tangents(&omega)).map(|(s, z)| (s * z) * (s * z));
        NumDen {
            num: dot(&omega.weight, &omega.weight) + dot(&omega.bias, &omega.bias),
            den: squares.sum::<f64>() / self.sizes.samples as f64,
        }
    }

    /// ż_i = ω_W x_i + ω_b for every sample, (M, n₁).
    pub(super) fn tangents(&self, omega: &Gradient) -> Vec<f64> {
        affine(&omega.weight, &omega.bias, self.x)
    }
}
