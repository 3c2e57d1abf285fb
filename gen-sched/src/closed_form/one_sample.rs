//! The special case of one sample.

use super::layer::SingleLayer;
use super::num_den::{Alpha, NumDen};
use super::products::dot;

impl SingleLayer<'_> {
    /// num and den for M = 1 and any activation:
    ///
    /// ```text
    /// num = (1 + ‖x‖²) ‖δ‖²        den = (1 + ‖x‖²)² ‖Δ'δ‖²
    /// ```
    ///
    /// so that α* = ‖δ‖² / ((1 + ‖x‖²) ‖Δ'δ‖²). Costs n₀ + 3n₁ multiplications.
    ///
    /// # Panics
    /// If there is more than one sample.
    #[track_caller]
    pub fn one_sample(&self) -> NumDen {
        let scale = self.one_plus_square("one_sample");
        let masked: Vec<f64> = self.slopes.iter().zip(&self.deltas).map(|(s, d)| s * d).collect();
        NumDen { num: scale * dot(&self.deltas, &self.deltas), den: scale * scale * dot(&masked, &masked) }
    }

    /// α* = 1/(1 + ‖x‖²) for M = 1 and ReLU, or any activation whose slopes are 0 and 1 (then Δ'Δ' = Δ').
    ///
    /// [`Alpha::ZeroOverZero`] where every unit is dead or fits its target: δ = 0, and with it the gradient.
    ///
    /// # Panics
    /// If there is more than one sample, or the activation has another slope.
    #[track_caller]
    pub fn one_sample_relu(&self) -> Alpha {
        let scale = self.one_plus_square("one_sample_relu");
        assert!(
            self.activation.slopes_are_zero_or_one(),
            "one_sample_relu needs an activation with slopes 0 and 1, but it is {:?}",
            self.activation
        );
        if self.deltas.iter().all(|&d| d == 0.0) {
            Alpha::ZeroOverZero
        } else if scale.is_finite() {
            Alpha::Rate(1.0 / scale)
        } else {
            Alpha::NotFinite
        }
    }

    /// 1 + ‖x‖² of the only sample.
    #[track_caller]
    fn one_plus_square(&self, operation: &str) -> f64 {
        let samples = self.sizes.samples;
        assert!(samples == 1, "{operation} needs one sample, but there are {samples}");
        1.0 + dot(self.x, self.x)
    }
}
