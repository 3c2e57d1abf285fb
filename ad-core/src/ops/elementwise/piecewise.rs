//! Piecewise-linear and piecewise-constant functions. At a kink the derivative is PyTorch's choice, named with each.

use super::{elementwise, real};
use crate::ops::Ops;

elementwise! {
    /// max(x, 0); derivative 1 where x > 0, else 0 (at 0 too).
    Relu, "relu", PiecewiseLinear;
    value |_, x| if x > real(0.0) || x.to_f64().is_nan() { x } else { real(0.0) };
    derivative |_, x, _| x.step();
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
