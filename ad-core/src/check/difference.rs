//! Differences that are accurate enough to check exact derivatives by.

/// d/dh f(h) at 0, by central differences at `step`, `step`/2 and `step`/4, extrapolated to step 0 (Richardson).
///
/// The error is of order step⁶ where f is smooth: with step 10⁻² about 10⁻¹², well clear of rounding.
pub(super) fn derivative(step: f64, mut f: impl FnMut(f64) -> Vec<f64>) -> Vec<f64> {
    let mut central = |h: f64| -> Vec<f64> {
        let (ahead, back) = (f(h), f(-h));
        ahead.iter().zip(&back).map(|(a, b)| (a - b) / (2.0 * h)).collect()
    };
    let [coarse, middle, fine] = [step, step / 2.0, step / 4.0].map(&mut central);
    let extrapolated = |weight: f64, coarse: &[f64], fine: &[f64]| -> Vec<f64> {
        coarse.iter().zip(fine).map(|(c, f)| f + (f - c) / (weight - 1.0)).collect()
    };
    let (first, second) = (extrapolated(4.0, &coarse, &middle), extrapolated(4.0, &middle, &fine));
    extrapolated(16.0, &first, &second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_far_below_the_checker_s_tolerance() {
        let d = derivative(1e-2, |h| vec![(1.0 + h).exp(), (0.3 + h).ln(), h.powi(3)]);
        for (found, want) in d.iter().zip([1f64.exp(), 1.0 / 0.3, 0.0]) {
            assert!((found - want).abs() < 1e-10 * want.max(1.0), "{found} for {want}");
        }
    }
}
