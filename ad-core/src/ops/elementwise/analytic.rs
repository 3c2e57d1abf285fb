//! Smooth elementary functions.

use super::{elementwise, one_minus, real};
use crate::ops::Ops;

elementwise! {
    /// c·x for a fixed number c.
    Scale {
        /// The factor.
        c: f64
    }, "scale", Linear;
    value |p, x| x * real::<T>(p.c);
    derivative |p, x, _| A::full(x.shape(), p.c);
}

elementwise! {
    /// x + c for a fixed number c.
    Offset {
        /// The term.
        c: f64
    }, "offset", PiecewiseLinear;
    value |p, x| x + real::<T>(p.c);
    derivative |_, x, _| A::full(x.shape(), 1.0);
}

elementwise! {
    /// xⁿ for a fixed integer n; derivative n xⁿ⁻¹.
    Powi {
        /// The exponent.
        n: i32
    }, "powi", General;
    value |p, x| x.powi(p.n);
    derivative |p, x, _| match p.n {
        0 => A::full(x.shape(), 0.0),
        n => x.powi(n - 1).scale(n.into()),
    };
}

elementwise! {
    /// x²; derivative 2x. Apart from [`Powi`], whose exponent a loop over numbers asks for at each of them.
    Square, "square", General;
    value |_, x| x * x;
    derivative |_, x, _| x.scale(2.0);
}

elementwise! {
    /// xᵖ for a fixed real p and x ≥ 0; derivative p xᵖ⁻¹.
    Powf {
        /// The exponent.
        p: f64
    }, "powf", General;
    value |p, x| x.powf(real(p.p));
    derivative |p, x, _| if p.p == 0.0 { A::full(x.shape(), 0.0) } else { x.powf(p.p - 1.0).scale(p.p) };
}

elementwise! {
    /// eˣ; its own derivative.
    Exp, "exp", General;
    value |_, x| x.exp();
    derivative |_, _, y| y.clone();
}

elementwise! {
    /// eˣ − 1, accurate near 0; derivative y + 1.
    Expm1, "expm1", General;
    value |_, x| x.exp_m1();
    derivative |_, _, y| y.offset(1.0);
}

elementwise! {
    /// Natural logarithm; derivative 1/x.
    Log, "log", General;
    value |_, x| x.ln();
    derivative |_, x, _| x.powi(-1);
}

elementwise! {
    /// log(1 + x), accurate near 0; derivative 1/(1 + x).
    Log1p, "log1p", General;
    value |_, x| x.ln_1p();
    derivative |_, x, _| x.offset(1.0).powi(-1);
}

elementwise! {
    /// √x; derivative 1/(2y).
    Sqrt, "sqrt", General;
    value |_, x| x.sqrt();
    derivative |_, _, y| y.powi(-1).scale(0.5);
}

elementwise! {
    /// Hyperbolic tangent; derivative 1 − y².
    Tanh, "tanh", General;
    value |_, x| x.tanh();
    derivative |_, _, y| one_minus(&(y.clone() * y));
}

elementwise! {
    /// sin x; derivative cos x.
    Sin, "sin", General;
    value |_, x| x.sin();
    derivative |_, x, _| x.cos();
}

elementwise! {
    /// cos x; derivative −sin x.
    Cos, "cos", General;
    value |_, x| x.cos();
    derivative |_, x, _| x.sin().scale(-1.0);
}

elementwise! {
    /// Error function, 2/√π ∫₀ˣ e^(−t²) dt; derivative 2/√π e^(−x²).
    Erf, "erf", General;
    value |_, x| x.erf();
    derivative |_, x, _| (x.clone() * x).scale(-1.0).exp().scale(std::f64::consts::FRAC_2_SQRT_PI);
}
