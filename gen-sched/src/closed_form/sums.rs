//! num and den as the literal double and triple sums.

use super::layer::SingleLayer;
use super::num_den::NumDen;
use super::products::{inner_products, input_gram, ordered_sum};

impl SingleLayer<'_> {
    /// num and den by the double and the triple sum, term by term:
    ///
    /// ```text
    /// num = 1/M² Σ_ij  (1 + x_iᵀx_j) ⟨Δ'_i Δ'_j e_j, e_i⟩
    /// den = 1/M³ Σ_ijk (1 + x_iᵀx_j)(1 + x_iᵀx_k) ⟨Δ'_i Δ'_j e_j, Δ'_i Δ'_k e_k⟩
    /// ```
    ///
    /// The inner products are computed ahead of the loops that use them. Those of num are ⟨δ_i, δ_j⟩, one (M, M)
    /// matrix. Those of den, Σ_c σ'(z_ic)² δ_jc δ_kc, depend on three indices: one (M, M) matrix for each i, of which a
    /// thread keeps one at a time. Costs ½M³n₁ + 2M³ + ½M²(n₀ + n₁) multiply-adds to leading order, in parallel over i
    /// in the caller's rayon pool; the result has the same bits for any number of threads.
    pub fn sums(&self) -> NumDen {
        let gram = input_gram(self.x, self.sizes.inputs);
        let samples = self.sizes.samples as f64;
        NumDen {
            num: self.double_sum(&gram) / (samples * samples),
            den: self.triple_sum(&gram) / (samples * samples * samples),
        }
    }

    /// Σ_ij (1 + x_iᵀx_j) ⟨Δ'_i Δ'_j e_j, e_i⟩.
    fn double_sum(&self, gram: &[f64]) -> f64 {
        let m = self.sizes.samples;
        let mut inner = vec![0.0; m * m];
        inner_products(&self.deltas, self.sizes.outputs, &mut inner);
        ordered_sum(
            m,
            || (),
            |(), i| {
                let mut sum = 0.0;
                for j in 0..m {
                    sum += gram[i * m + j] * inner[i * m + j];
                }
                sum
            },
        )
    }

    /// Σ_ijk (1 + x_iᵀx_j)(1 + x_iᵀx_k) ⟨Δ'_i Δ'_j e_j, Δ'_i Δ'_k e_k⟩.
    fn triple_sum(&self, gram: &[f64]) -> f64 {
        let m = self.sizes.samples;
        let scratch = || (vec![0.0; self.deltas.len()], vec![0.0; m * m]);
        ordered_sum(m, scratch, |(masked, inner), i| {
            self.mask_deltas(i, masked);
            inner_products(masked, self.sizes.outputs, inner);
            let mut sum = 0.0;
            for j in 0..m {
                for k in 0..m {
                    sum += gram[i * m + j] * gram[i * m + k] * inner[j * m + k];
                }
            }
            sum
        })
    }

    /// Writes Δ'_i Δ'_j e_j for every sample j, (M, n₁).
    fn mask_deltas(&self, i: usize, masked: &mut [f64]) {
        let slopes = self.slopes_of(i).iter().cycle();
        for ((out, delta), slope) in masked.iter_mut().zip(&self.deltas).zip(slopes) {
            *out = slope * delta;
        }
    }
}
