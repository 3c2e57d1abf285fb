//! Smooth activation functions.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};

use super::{elementwise, one_minus, real};
use crate::ops::Ops;

elementwise! {
    /// σ(x) = 1/(1 + e⁻ˣ); derivative y(1 − y). Exact in both tails: never overflows.
    Sigmoid, "sigmoid", General;
    value |_, x| x.sigmoid();
    derivative |_, _, y| y.clone() * one_minus(y);
}

elementwise! {
    /// log(1 + eˣ); derivative σ(x). Exact in both tails: max(x, 0) + log1p(e^−|x|).
    Softplus, "softplus", General;
    value |_, x| {
        let tail = (-x.abs()).exp().ln_1p();
        if x > real(0.0) { x + tail } else { tail }
    };
    derivative |_, x, _| x.sigmoid();
}

elementwise! {
    /// x σ(x), also called swish; derivative σ(1 + x(1 − σ)).
    Silu, "silu", General;
    value |_, x| x * x.sigmoid();
    derivative |_, x, _| {
        let s = x.sigmoid();
        (one_minus(&s) * x).offset(1.0) * &s
    };
}

elementwise! {
    /// x where x > 0, else α(eˣ − 1); derivative 1, or αeˣ = y + α (at 0: α).
    Elu {
        /// The limit towards −∞ is −α.
        alpha: f64
    }, "elu", General;
    value |p, x| if x > real(0.0) { x } else { x.exp_m1() * real::<T>(p.alpha) };
    derivative |p, x, y| x.step().select(&A::full(&[], 1.0), &y.offset(p.alpha));
}

/// √(2/π).
const SQRT_2_OVER_PI: f64 = FRAC_2_SQRT_PI * FRAC_1_SQRT_2;
/// The cubic coefficient of the tanh form of GELU (Hendrycks and Gimpel, arXiv 1606.08415).
const CUBIC: f64 = 0.044715;

elementwise! {
    /// x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel, arXiv 1606.08415); derivative Φ + x φ(x).
    Gelu, "gelu", General;
    value |_, x| x * real::<T>(0.5) * ((x * real::<T>(FRAC_1_SQRT_2)).erf() + real::<T>(1.0));
    derivative |_, x, _| {
        let cdf = x.scale(FRAC_1_SQRT_2).erf().offset(1.0).scale(0.5);
        let pdf = (x.clone() * x).scale(-0.5).exp().scale(0.5 * SQRT_2_OVER_PI);
        cdf + pdf * x
    };
}

elementwise! {
    /// GELU's tanh form, x/2 (1 + tanh u) with u = √(2/π)(x + 0.044715 x³).
    ///
    /// Derivative, with t = tanh u: (1 + t)/2 + x/2 (1 − t²) u′.
    GeluTanh, "gelu_tanh", General;
    value |_, x| {
        let u = real::<T>(SQRT_2_OVER_PI) * (x + real::<T>(CUBIC) * x * x * x);
        x * real::<T>(0.5) * (u.tanh() + real::<T>(1.0))
    };
    derivative |_, x, _| {
        let x2 = x.clone() * x;
        let u = x2.scale(CUBIC).offset(1.0).scale(SQRT_2_OVER_PI) * x;
        let du = x2.scale(3.0 * CUBIC).offset(1.0).scale(SQRT_2_OVER_PI);
        let t = u.tanh();
        let rise = one_minus(&(t.clone() * &t)) * du * x;
        (t + rise).offset(1.0).scale(0.5)
    };
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use crate::real::precise::{self, Double, add, distance, mul};
    use crate::transform::grad;
    use crate::{Ops, Real};

    /// √½ and √(2/π) with twice the precision.
    const SQRT_HALF: Double = (super::FRAC_1_SQRT_2, -4.833_646_656_726_457e-17);
    const SQRT_2_OVER_PI: Double = (super::SQRT_2_OVER_PI, -4.984_654_404_555_46e-17);

    /// (1 + v) x/2.
    fn half_of(x: f64, v: Double) -> Double {
        mul((0.5 * x, 0.0), add((1.0, 0.0), v))
    }

    /// GELU, its tanh form and SiLU with twice the precision.
    fn precise_units(x: f64) -> [Double; 3] {
        let exact = (x, 0.0);
        let cubic = mul((super::CUBIC, 0.0), mul(exact, mul(exact, exact)));
        let u = mul(SQRT_2_OVER_PI, add(exact, cubic));
        [
            half_of(x, precise::erf(mul(exact, SQRT_HALF))),
            // tanh u is ±1 to 10⁻⁸⁰ beyond.
            half_of(x, if u.0.abs() < 100.0 { precise::tanh(u) } else { (u.0.signum(), 0.0) }),
            mul(exact, precise::sigmoid(exact)),
        ]
    }

    /// The largest |found − exact| / (ε max(1, |x|)) of GELU, its tanh form and SiLU over numbers of either sign up to 600, most
    /// of them within ±10.
    fn worst<T: Real>() -> [f64; 3] {
        let n = 20_000;
        (0..n).fold([0.0; 3], |worst, i| {
            let part = 2.0 * (f64::from(i) + 0.5) / f64::from(n) - 1.0;
            let x = T::from_f64(if i % 3 == 0 { 600.0 * part.powi(5) } else { 10.0 * part });
            let found = [Ops::gelu(&x), Ops::gelu_tanh(&x), Ops::silu(&x)];
            let (x, mut worst) = (x.to_f64(), worst);
            for ((worst, found), want) in worst.iter_mut().zip(found).zip(precise_units(x)) {
                let off = distance(found.to_f64(), want) / (T::EPSILON * x.abs().max(1.0));
                *worst = if off > *worst || off.is_nan() { off } else { *worst };
            }
            worst
        })
    }

    #[test]
    fn units_are_exact_to_four_roundings() {
        for worst in [worst::<f32>(), worst::<f64>()] {
            println!("gelu, gelu_tanh, silu: {worst:.2?} ε max(1, |x|)");
            assert!(worst.iter().all(|w| *w <= 4.0), "{worst:?}");
        }
    }

    #[test]
    fn values_are_the_tabulated_ones() {
        // Φ(1) = 0.8413447460685429, erf(1/2) = 0.5204998778130465 (Abramowitz and Stegun, tables 26.1 and 7.1).
        assert_relative_eq!(Ops::gelu(&1.0f64), 0.841_344_746_068_542_9, max_relative = 1e-15);
        assert_relative_eq!(Ops::erf(&0.5f64), 0.520_499_877_813_046_5, max_relative = 1e-15);
        assert_relative_eq!(Ops::gelu(&1.0f32), 0.841_344_8, max_relative = 2e-7);
        // The tanh form differs from the exact one by less than 5e-4 everywhere, and does differ.
        for i in -40..=40 {
            let x = f64::from(i) / 8.0;
            assert!((Ops::gelu(&x) - Ops::gelu_tanh(&x)).abs() < 5e-4);
        }
        assert!((Ops::gelu(&2.0f64) - Ops::gelu_tanh(&2.0f64)).abs() > 1e-5);
        assert_relative_eq!(Ops::elu(&-1.0f64, 2.0), 2.0 * ((-1f64).exp() - 1.0), max_relative = 1e-15);
        assert_relative_eq!(Ops::silu(&2.0f64), 2.0 / (1.0 + (-2f64).exp()), max_relative = 1e-15);
    }

    #[test]
    fn tails_are_exact_and_finite() {
        assert_eq!((Ops::sigmoid(&800.0f64), Ops::sigmoid(&-800.0f64)), (1.0, 0.0));
        assert_relative_eq!(Ops::sigmoid(&-40.0f64), (-40f64).exp(), max_relative = 1e-15);
        assert_eq!((Ops::softplus(&800.0f64), Ops::softplus(&-800.0f64)), (800.0, 0.0));
        assert_relative_eq!(Ops::softplus(&-40.0f64), (-40f64).exp(), max_relative = 1e-15);
        assert_eq!((Ops::silu(&-800.0f64), Ops::gelu(&-800.0f64), Ops::gelu_tanh(&-800.0f64)), (0.0, 0.0, 0.0));
        assert_eq!((Ops::sigmoid(&200.0f32), Ops::softplus(&-200.0f32)), (1.0, 0.0));
        for x in [-800f64, 800.0] {
            for slope in [grad(|x| x.sigmoid(), &x), grad(|x| x.softplus(), &x), grad(|x| x.silu(), &x)] {
                assert!(slope.is_finite(), "at {x}");
            }
            assert!(grad(|x| x.gelu(), &x).is_finite() && grad(|x| x.gelu_tanh(), &x).is_finite());
        }
    }

    #[test]
    fn not_a_number_stays_one() {
        let nan = f64::NAN;
        for y in [nan.sigmoid(), Ops::softplus(&nan), Ops::silu(&nan), Ops::gelu(&nan), Ops::elu(&nan, 1.0)] {
            assert!(y.is_nan());
        }
    }
}
