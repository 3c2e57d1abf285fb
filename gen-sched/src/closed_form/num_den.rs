//! The pair num, den and its quotient.

/// num = dL·ω and den = d²L(ω, ω), in the units of the loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumDen {
    /// dL·ω, the rate at which the loss falls along −ω; for ω = ∇L it is ‖∇L‖².
    pub num: f64,
    /// d²L(ω, ω), the curvature of the loss along ω; never negative here, rounding aside.
    pub den: f64,
}

/// The optimal learning rate α* = num/den, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Alpha {
    /// den > 0: α* = num/den.
    Rate(f64),
    /// num = den = 0: the gradient is zero, as when every ReLU is dead or the fit is perfect. Every α is as good.
    ZeroOverZero,
    /// den ≤ 0 otherwise: the parabola has no minimum. Rounding or underflow alone can cause it here.
    NoMinimum,
    /// num, den or their quotient is NaN or infinite (overflow).
    NotFinite,
}

impl NumDen {
    /// α* = num/den where den > 0, else the case that keeps it from being defined.
    ///
    /// ```
    /// use gen_sched::closed_form::{Alpha, NumDen};
    /// assert_eq!(NumDen { num: 1.0, den: 4.0 }.alpha(), Alpha::Rate(0.25));
    /// assert_eq!(NumDen { num: 0.0, den: 0.0 }.alpha(), Alpha::ZeroOverZero);
    /// ```
    pub fn alpha(self) -> Alpha {
        let NumDen { num, den } = self;
        if !num.is_finite() || !den.is_finite() {
            Alpha::NotFinite
        } else if den > 0.0 {
            let rate = num / den;
            if rate.is_finite() { Alpha::Rate(rate) } else { Alpha::NotFinite }
        } else if num == 0.0 && den == 0.0 {
            Alpha::ZeroOverZero
        } else {
            Alpha::NoMinimum
        }
    }
}

impl Alpha {
    /// The rate, where there is one.
    pub fn rate(self) -> Option<f64> {
        match self {
            Alpha::Rate(rate) => Some(rate),
            Alpha::ZeroOverZero | Alpha::NoMinimum | Alpha::NotFinite => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_name() {
        let alpha = |num, den| NumDen { num, den }.alpha();
        assert_eq!(alpha(3.0, 2.0), Alpha::Rate(1.5));
        assert_eq!(alpha(0.0, 2.0), Alpha::Rate(0.0));
        assert_eq!(alpha(-0.0, 0.0), Alpha::ZeroOverZero);
        assert_eq!(alpha(1.0, 0.0), Alpha::NoMinimum);
        assert_eq!(alpha(1.0, -1.0), Alpha::NoMinimum);
        assert_eq!(alpha(f64::NAN, 1.0), Alpha::NotFinite);
        assert_eq!(alpha(1.0, f64::INFINITY), Alpha::NotFinite);
        assert_eq!(alpha(1e300, 1e-300), Alpha::NotFinite);
        assert_eq!((Alpha::Rate(2.0).rate(), Alpha::ZeroOverZero.rate()), (Some(2.0), None));
    }
}
