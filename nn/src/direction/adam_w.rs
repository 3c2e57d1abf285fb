//! Adam with decoupled weight decay.

use ad_core::Real;

use super::{Adam, GroupSettings, Grouped};

/// AdamW: ω = m̂ / (√v̂ + ε) + λθ with the moments of [`Adam`], which the decay does not enter.
///
/// Loshchilov and Hutter, *Decoupled weight decay regularization*, arXiv 1711.05101, algorithm 2.
///
/// θ ← θ − α ω = (1 − αλ) θ − α m̂ / (√v̂ + ε) is the step of PyTorch's `AdamW` with `lr` = α and `weight_decay` = λ; its defaults
/// are `betas=(0.9, 0.999)`, `eps=1e-8`, `weight_decay=1e-2` and `amsgrad=False`.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Adam, AdamW, Direction, GroupSettings};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let g = theta.map(|_| Tensor::scalar(-300.0));
/// let by_default = AdamW::default().propose(&theta, &g).get("w").item();
/// assert!((by_default - (-1.0 + 0.01 * 2.0f64)).abs() < 1e-10);
/// let stronger = AdamW::new(Adam::new(0.9, 0.95, 1e-8), GroupSettings::default().decoupled_decay(0.1));
/// assert!((stronger.propose(&theta, &g).get("w").item() - (-1.0 + 0.1 * 2.0)).abs() < 1e-10);
/// ```
pub type AdamW<T> = Grouped<Adam<T>>;

impl<T: Real> Default for AdamW<T> {
    /// PyTorch's settings: those of [`Adam`] and λ = 0.01 on all parameters.
    fn default() -> Self {
        Grouped::new(Adam::default(), GroupSettings::default().decoupled_decay(0.01))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_near, omegas};
    use super::*;

    #[test]
    fn decay_is_added_to_adam_s_direction_and_leaves_its_moments_alone() {
        let gradients = [[2.0, -4.0], [1.0, 4.0], [-5.0, 0.0]];
        let adam = || Adam::new(0.5, 0.75, 1.0);
        // The parameters are 7.
        let expected = omegas(adam(), gradients).map(|omega| omega.map(|o| o + 0.25 * 7.0));
        let settings = GroupSettings::default().decoupled_decay(0.25);
        assert_near(omegas(AdamW::new(adam(), settings), gradients), expected);
    }
}
