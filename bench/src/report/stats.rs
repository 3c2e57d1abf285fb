//! Medians and other quantiles.

/// The q-quantile of the values that are not NaN, between neighbours where it falls between them; NaN if there are none.
///
/// ```
/// use bench::report::stats::quantile;
/// assert_eq!(quantile(&[3.0, 1.0, f64::NAN, 2.0], 0.5), 2.0);
/// assert_eq!(quantile(&[1.0, 2.0], 0.25), 1.25);
/// assert_eq!(quantile(&[1.0, f64::INFINITY, f64::INFINITY], 0.75), f64::INFINITY);
/// assert!(quantile(&[], 0.5).is_nan());
/// ```
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    match sorted.get(low + 1) {
        // Two infinities have no difference.
        Some(next) if share > 0.0 && *next != sorted[low] => sorted[low] + share * (next - sorted[low]),
        _ => sorted[low],
    }
}

/// The middle value of those that are not NaN, or the mean of the two in the middle; `None` if there are none.
///
/// ```
/// use bench::report::stats::median;
/// assert_eq!((median(&[3.0, 1.0, 2.0]), median(&[3.0, 1.0]), median(&[])), (Some(2.0), Some(2.0), None));
/// ```
pub fn median(values: &[f64]) -> Option<f64> {
    Some(quantile(values, 0.5)).filter(|x| !x.is_nan())
}
