//! How far along the line the loss is a parabola.

use super::layer::SingleLayer;

impl SingleLayer<'_> {
    /// The open interval (lo, hi) of α in which L(θ − αω) = L − α·num + ½α²·den exactly, for ω = ∇L: until some
    /// pre-activation z − αż meets a kink, at α = (z − kink)/ż. Infinite on a side where none does.
    ///
    /// With a moving pre-activation on a kink already it is empty: (0, 0). Costs what [`direct`](Self::direct) does.
    ///
    /// ```
    /// use gen_sched::closed_form::{Alpha, PiecewiseLinear, SingleLayer, Sizes};
    /// let one = Sizes { samples: 1, inputs: 1, outputs: 1 };
    /// // z = 1, e = 2, ∇W = ∇b = 2, ż = 4: the unit dies at α = 1/4, before α* = 1/2.
    /// let layer = SingleLayer::new(one, &[1.0], &[0.0], &[1.0], &[-1.0], PiecewiseLinear::relu())?;
    /// assert_eq!(layer.parabola_interval(), (f64::NEG_INFINITY, 0.25));
    /// assert_eq!(layer.direct().alpha(), Alpha::Rate(0.5));
    /// # Ok::<(), gen_sched::closed_form::LayerError>(())
    /// ```
    pub fn parabola_interval(&self) -> (f64, f64) {
        let (mut lo, mut hi) = (f64::NEG_INFINITY, f64::INFINITY);
        let tangents = self.tangents(&self.gradient());
        for (z, tangent) in self.preactivations.iter().zip(tangents).filter(|(_, tangent)| *tangent != 0.0) {
            for kink in self.activation.kinks() {
                let alpha = (z - kink) / tangent;
                if alpha >= 0.0 {
                    hi = hi.min(alpha);
                }
                if alpha <= 0.0 {
                    lo = lo.max(alpha);
                }
            }
        }
        (lo, hi)
    }
}
