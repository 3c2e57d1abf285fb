//! Piecewise-linear activations.

use thiserror::Error;

/// A continuous piecewise-linear function of one variable: on each piece σ(z) = slope·z + intercept.
///
/// Breakpoints t_1 < … < t_k part the line into k + 1 pieces. At a breakpoint σ has no derivative and
/// [`slope`](Self::slope) returns a chosen number between the slopes on either side. For the named activations it is
/// PyTorch's choice: 0 at the kinks of `relu`, `abs`, `hard_tanh` and `relu6`, the negative slope for `leaky_relu`.
/// Others take the slope on the left, unless [`with_kink_slopes`](Self::with_kink_slopes) says otherwise.
///
/// ```
/// use gen_sched::closed_form::PiecewiseLinear;
/// let relu = PiecewiseLinear::relu();
/// assert_eq!((relu.value(-2.0), relu.value(3.0)), (0.0, 3.0));
/// assert_eq!((relu.slope(-2.0), relu.slope(0.0), relu.slope(3.0)), (0.0, 0.0, 1.0));
///
/// // A hat: slope 2 up to z = 1, then −1; its value at 0 is −1, so its peak is σ(1) = 1.
/// let hat = PiecewiseLinear::new(&[1.0], &[2.0, -1.0], (0.0, -1.0))?;
/// assert_eq!((hat.value(1.0), hat.value(3.0)), (1.0, -1.0));
/// # Ok::<(), gen_sched::closed_form::ActivationError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PiecewiseLinear {
    breakpoints: Vec<f64>,
    slopes: Vec<f64>,
    intercepts: Vec<f64>,
    kink_slopes: Vec<f64>,
}

/// Why numbers do not describe a piecewise-linear activation.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ActivationError {
    /// The numbers of slopes and breakpoints do not fit together.
    #[error("{what} of the activation: {found} given for {breakpoints} breakpoints, expected {expected}")]
    Count {
        /// Which list: `slopes` or `kink slopes`.
        what: &'static str,
        /// Its length.
        found: usize,
        /// Number of breakpoints.
        breakpoints: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A number is NaN or infinite.
    #[error("{what}[{index}] of the activation is {found}, expected a finite number")]
    NotFinite {
        /// Which list: `breakpoints`, `slopes`, `anchor`, or the `intercepts` they imply.
        what: &'static str,
        /// Position in it.
        index: usize,
        /// The number found.
        found: f64,
    },
    /// Breakpoints do not increase.
    #[error("breakpoints[{index}] of the activation is {found}, expected more than the {previous} before it")]
    NotIncreasing {
        /// Position of the offending breakpoint.
        index: usize,
        /// The breakpoint found.
        found: f64,
        /// The one before it.
        previous: f64,
    },
    /// The slope at a kink is not between those on either side.
    #[error("kink slopes[{index}] of the activation is {found}, expected a number from {low} to {high}")]
    KinkSlope {
        /// Position of the breakpoint.
        index: usize,
        /// The slope given for it.
        found: f64,
        /// The smaller of the slopes on either side.
        low: f64,
        /// The larger of them.
        high: f64,
    },
}

impl PiecewiseLinear {
    /// The continuous function with these k strictly increasing breakpoints and k + 1 slopes, from left to right, that
    /// passes through the point `anchor` = (z, σ(z)).
    ///
    /// # Errors
    /// If the counts do not fit, the breakpoints do not increase, or a number (or an intercept they imply) is not
    /// finite.
    pub fn new(breakpoints: &[f64], slopes: &[f64], anchor: (f64, f64)) -> Result<Self, ActivationError> {
        let expected = breakpoints.len() + 1;
        count("slopes", slopes.len(), breakpoints.len(), expected)?;
        finite("breakpoints", breakpoints)?;
        finite("slopes", slopes)?;
        finite("anchor", &[anchor.0, anchor.1])?;
        if let Some(i) = (1..breakpoints.len()).find(|&i| breakpoints[i] <= breakpoints[i - 1]) {
            let (found, previous) = (breakpoints[i], breakpoints[i - 1]);
            return Err(ActivationError::NotIncreasing { index: i, found, previous });
        }
        let intercepts = intercepts(breakpoints, slopes, anchor);
        finite("intercepts", &intercepts)?;
        Ok(PiecewiseLinear {
            breakpoints: breakpoints.to_vec(),
            slopes: slopes.to_vec(),
            intercepts,
            kink_slopes: slopes[..breakpoints.len()].to_vec(),
        })
    }

    /// The same function with these slopes at its breakpoints, in order.
    ///
    /// # Errors
    /// If their number is not that of the breakpoints, or one is not between the slopes on either side.
    pub fn with_kink_slopes(mut self, kink_slopes: &[f64]) -> Result<Self, ActivationError> {
        let kinks = self.breakpoints.len();
        count("kink slopes", kink_slopes.len(), kinks, kinks)?;
        for (index, (&found, sides)) in kink_slopes.iter().zip(self.slopes.windows(2)).enumerate() {
            let (low, high) = (sides[0].min(sides[1]), sides[0].max(sides[1]));
            if !(low..=high).contains(&found) {
                return Err(ActivationError::KinkSlope { index, found, low, high });
            }
        }
        self.kink_slopes = kink_slopes.to_vec();
        Ok(self)
    }

    /// σ(z) = z.
    pub fn identity() -> Self {
        Self::through_origin(&[], &[1.0], &[])
    }

    /// σ(z) = max(z, 0), with slope 0 at 0.
    pub fn relu() -> Self {
        Self::leaky_relu(0.0)
    }

    /// σ(z) = z for z > 0 and `negative_slope`·z for z ≤ 0, with slope `negative_slope` at 0.
    ///
    /// # Panics
    /// If `negative_slope` is not finite.
    #[track_caller]
    pub fn leaky_relu(negative_slope: f64) -> Self {
        assert!(negative_slope.is_finite(), "leaky_relu needs a finite negative slope, but it is {negative_slope}");
        Self::through_origin(&[0.0], &[negative_slope, 1.0], &[negative_slope])
    }

    /// σ(z) = |z|, with slope 0 at 0.
    pub fn abs() -> Self {
        Self::through_origin(&[0.0], &[-1.0, 1.0], &[0.0])
    }

    /// σ(z) = min(max(z, −1), 1), with slope 0 at −1 and 1.
    pub fn hard_tanh() -> Self {
        Self::through_origin(&[-1.0, 1.0], &[0.0, 1.0, 0.0], &[0.0, 0.0])
    }

    /// σ(z) = min(max(z, 0), 6), with slope 0 at 0 and 6.
    pub fn relu6() -> Self {
        Self::through_origin(&[0.0, 6.0], &[0.0, 1.0, 0.0], &[0.0, 0.0])
    }

    fn through_origin(breakpoints: &[f64], slopes: &[f64], kink_slopes: &[f64]) -> Self {
        Self::new(breakpoints, slopes, (0.0, 0.0))
            .and_then(|f| f.with_kink_slopes(kink_slopes))
            .expect("a named activation is well formed")
    }

    /// σ(z), for finite z.
    pub fn value(&self, z: f64) -> f64 {
        let piece = piece(&self.breakpoints, z);
        self.slopes[piece] * z + self.intercepts[piece]
    }

    /// σ'(z), for finite z; at a breakpoint the slope chosen there.
    pub fn slope(&self, z: f64) -> f64 {
        let piece = piece(&self.breakpoints, z);
        if self.breakpoints.get(piece) == Some(&z) { self.kink_slopes[piece] } else { self.slopes[piece] }
    }

    /// Breakpoints at which the slope changes, in increasing order.
    pub fn kinks(&self) -> impl Iterator<Item = f64> + '_ {
        self.breakpoints.iter().zip(self.slopes.windows(2)).filter(|(_, sides)| sides[0] != sides[1]).map(|(&t, _)| t)
    }

    /// Whether every slope, at the kinks too, is 0 or 1, so that Δ'Δ' = Δ'.
    pub(crate) fn slopes_are_zero_or_one(&self) -> bool {
        self.slopes.iter().chain(&self.kink_slopes).all(|&s| s == 0.0 || s == 1.0)
    }
}

/// The piece that holds z, a breakpoint belonging to the piece on its left.
fn piece(breakpoints: &[f64], z: f64) -> usize {
    breakpoints.partition_point(|&t| t < z)
}

/// The intercept of each piece: the anchor fixes one, continuity at the breakpoints the others.
fn intercepts(breakpoints: &[f64], slopes: &[f64], anchor: (f64, f64)) -> Vec<f64> {
    let home = piece(breakpoints, anchor.0);
    let mut c = vec![0.0; slopes.len()];
    c[home] = anchor.1 - slopes[home] * anchor.0;
    for i in home..breakpoints.len() {
        c[i + 1] = c[i] + (slopes[i] - slopes[i + 1]) * breakpoints[i];
    }
    for i in (0..home).rev() {
        c[i] = c[i + 1] + (slopes[i + 1] - slopes[i]) * breakpoints[i];
    }
    c
}

fn count(what: &'static str, found: usize, breakpoints: usize, expected: usize) -> Result<(), ActivationError> {
    if found == expected { Ok(()) } else { Err(ActivationError::Count { what, found, breakpoints, expected }) }
}

fn finite(what: &'static str, numbers: &[f64]) -> Result<(), ActivationError> {
    match numbers.iter().position(|n| !n.is_finite()) {
        Some(index) => Err(ActivationError::NotFinite { what, index, found: numbers[index] }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_activations_have_their_values_and_slopes() {
        let table = |f: PiecewiseLinear, z: &[f64]| z.iter().map(|&z| (f.value(z), f.slope(z))).collect::<Vec<_>>();
        let z = [-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 7.0];
        assert_eq!(table(PiecewiseLinear::identity(), &z), z.map(|z| (z, 1.0)));
        assert_eq!(table(PiecewiseLinear::relu(), &z), z.map(|z| (z.max(0.0), f64::from(z > 0.0))));
        let leaky = |z: f64| if z > 0.0 { (z, 1.0) } else { (0.25 * z, 0.25) };
        assert_eq!(table(PiecewiseLinear::leaky_relu(0.25), &z), z.map(leaky));
        let abs = |z: f64| (z.abs(), if z == 0.0 { 0.0 } else { z.signum() });
        assert_eq!(table(PiecewiseLinear::abs(), &z), z.map(abs));
        let hard_tanh = |z: f64| (z.clamp(-1.0, 1.0), f64::from(z.abs() < 1.0));
        assert_eq!(table(PiecewiseLinear::hard_tanh(), &z), z.map(hard_tanh));
        let relu6 = |z: f64| (z.clamp(0.0, 6.0), f64::from(0.0 < z && z < 6.0));
        assert_eq!(table(PiecewiseLinear::relu6(), &[-1.0, 0.0, 3.0, 6.0, 7.0]), [-1.0, 0.0, 3.0, 6.0, 7.0].map(relu6));
    }

    #[test]
    fn a_general_function_is_continuous_and_passes_its_anchor() {
        let (breakpoints, slopes) = ([-1.5, 0.25, 2.0], [0.5, -1.0, 3.0, 0.0]);
        for anchor in [(-4.0, 1.0), (-1.5, 1.0), (0.0, -2.0), (1.0, 0.5), (5.0, 7.0)] {
            let f = PiecewiseLinear::new(&breakpoints, &slopes, anchor).unwrap();
            assert!((f.value(anchor.0) - anchor.1).abs() < 1e-14);
            for (t, left) in breakpoints.iter().zip(slopes) {
                assert!((f.value(t + 1e-9) - f.value(*t)).abs() < 1e-8, "a jump at {t}");
                assert_eq!(f.slope(*t), left);
            }
        }
    }

    #[test]
    fn a_breakpoint_without_a_change_of_slope_is_no_kink() {
        let f = PiecewiseLinear::new(&[-1.0, 0.0, 1.0], &[1.0, 1.0, 2.0, 0.0], (0.0, 0.0)).unwrap();
        assert_eq!(f.kinks().collect::<Vec<_>>(), [0.0, 1.0]);
        assert_eq!(PiecewiseLinear::leaky_relu(1.0).kinks().count(), 0);
    }

    #[test]
    fn numbers_that_make_no_function_are_refused() {
        let message = |b: &[f64], s: &[f64], a| PiecewiseLinear::new(b, s, a).unwrap_err().to_string();
        let o = (0.0, 0.0);
        assert_eq!(message(&[0.0], &[1.0], o), "slopes of the activation: 1 given for 1 breakpoints, expected 2");
        assert_eq!(message(&[], &[], o), "slopes of the activation: 0 given for 0 breakpoints, expected 1");
        let twice = "breakpoints[1] of the activation is 0, expected more than the 0 before it";
        assert_eq!(message(&[0.0, 0.0], &[1.0, 2.0, 3.0], o), twice);
        let nan = "breakpoints[0] of the activation is NaN, expected a finite number";
        assert_eq!(message(&[f64::NAN], &[1.0, 2.0], o), nan);
        let infinite = "slopes[1] of the activation is inf, expected a finite number";
        assert_eq!(message(&[0.0], &[1.0, f64::INFINITY], o), infinite);
        let anchor = "anchor[1] of the activation is NaN, expected a finite number";
        assert_eq!(message(&[], &[1.0], (0.0, f64::NAN)), anchor);
        let overflow = "intercepts[1] of the activation is inf, expected a finite number";
        assert_eq!(message(&[1e10], &[1e300, 0.0], o), overflow);
    }

    #[test]
    fn a_kink_slope_lies_between_its_neighbours() {
        let kink = |s: &[f64]| PiecewiseLinear::relu().with_kink_slopes(s);
        assert_eq!(kink(&[0.5]).unwrap().slope(0.0), 0.5);
        let outside = "kink slopes[0] of the activation is 2, expected a number from 0 to 1";
        assert_eq!(kink(&[2.0]).unwrap_err().to_string(), outside);
        let nan = "kink slopes[0] of the activation is NaN, expected a number from 0 to 1";
        assert_eq!(kink(&[f64::NAN]).unwrap_err().to_string(), nan);
        let none = "kink slopes of the activation: 0 given for 1 breakpoints, expected 1";
        assert_eq!(kink(&[]).unwrap_err().to_string(), none);
    }

    #[test]
    #[should_panic(expected = "leaky_relu needs a finite negative slope, but it is NaN")]
    fn a_leaky_relu_without_a_slope_is_refused() {
        PiecewiseLinear::leaky_relu(f64::NAN);
    }
}
