//! Piecewise-linear and piecewise-constant functions. At a kink the derivative is PyTorch's choice, named with each.

use super::{elementwise, real};
use crate::ops::Ops;

elementwise! {
    /// max(x, 0); derivative 1 where x > 0, else 0 (at 0 too).
    Relu, "relu", PiecewiseLinear;
    value |_, x| if x > real(0.0) || x.to_f64().is_nan() { x } else { real(0.0) };
    // Of y, which the next operation reads, too, so that it is near then.
    derivative |_, _, y| y.step();
}

elementwise! {
    /// x where x > 0, else slope·x; derivative 1 or slope (at 0: slope).
    LeakyRelu {
        /// The slope on the negative side.
        slope: f64
    }, "leaky_relu", PiecewiseLinear;
    value |p, x| if x > real(0.0) { x } else { x * real::<T>(p.slope) };
    derivative |p, x, _| x.step().scale(1.0 - p.slope).offset(p.slope);
}

elementwise! {
    /// |x|; derivative sign(x), 0 at 0.
    Abs, "abs", PiecewiseLinear;
    value |_, x| x.abs();
    derivative |_, x, _| x.sign();
}

elementwise! {
    /// x held between two bounds; derivative 1 where lo ≤ x ≤ hi, else 0.
    Clamp {
        /// The lower bound.
        lo: f64,
        /// The upper bound.
        hi: f64
    }, "clamp", PiecewiseLinear;
    value |p, x| {
        let (lo, hi) = (real(p.lo), real(p.hi));
        if x < lo { lo } else if x > hi { hi } else { x }
    };
    derivative |p, x, _| {
        let (lo, hi) = (A::full(&[], p.lo), A::full(&[], p.hi));
        x.greater_equal(&lo) * x.less_equal(&hi)
    };
}

elementwise! {
    /// −1, 0 or 1; NaN stays NaN. The derivative is zero.
    Sign, "sign", Constant;
    value |_, x| {
        let zero = real::<T>(0.0);
        if x > zero { real(1.0) } else if x < zero { real(-1.0) } else { x }
    };
    derivative |_, x, _| A::full(x.shape(), 0.0);
}

elementwise! {
    /// 1 where x > 0, else 0. The derivative is zero.
    Step, "step", Constant;
    value |_, x| real(if x > real(0.0) { 1.0 } else { 0.0 });
    derivative |_, x, _| A::full(x.shape(), 0.0);
}

#[cfg(test)]
mod tests {
    use crate::Ops;
    use crate::transform::grad;

    #[test]
    fn kinks_follow_the_documented_choice() {
        assert_eq!(grad(|x| x.relu(), &0.0), 0.0);
        assert_eq!(grad(|x| x.leaky_relu(0.1), &0.0), 0.1);
        assert_eq!(grad(|x| x.abs(), &0.0), 0.0);
        assert_eq!(grad(|x| x.elu(0.5), &0.0), 0.5);
        let clamped = |x: f64| grad(|x| x.clamp(-1.0, 2.0), &x);
        assert_eq!((clamped(-1.0), clamped(2.0), clamped(-1.01), clamped(2.01)), (1.0, 1.0, 0.0, 0.0));
        let tie = grad(|x| x[0].maximum(&x[1]), &[1.0, 1.0][..]);
        assert_eq!(tie, vec![0.5, 0.5]);
        assert_eq!(grad(|x| x[0].minimum(&x[1]), &[1.0, 1.0][..]), vec![0.5, 0.5]);
    }

    #[test]
    fn not_a_number_stays_one() {
        let nan = f64::NAN;
        for y in [Ops::relu(&nan), nan.leaky_relu(0.1), Ops::abs(&nan), nan.sign(), Ops::clamp(&nan, -1.0, 1.0)] {
            assert!(y.is_nan());
        }
        assert!(Ops::maximum(&nan, &1.0).is_nan() && Ops::maximum(&1.0, &nan).is_nan());
        assert!(Ops::minimum(&nan, &1.0).is_nan() && Ops::minimum(&1.0, &nan).is_nan());
    }
}
