//! Elementary functions with about twice the digits of `f64`, as references for tests; slow, and only as general as tests
//! need.

/// A number with twice the precision: the sum of two.
pub(crate) type Double = (f64, f64);

const ONE: Double = (1.0, 0.0);
const TWO: Double = (2.0, 0.0);
/// 2/√π.
const FRAC_2_SQRT_PI: Double = (std::f64::consts::FRAC_2_SQRT_PI, 1.533_545_961_316_588e-17);

fn two_sum(a: f64, b: f64) -> Double {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

pub(crate) fn add(a: Double, b: Double) -> Double {
    let (s, e) = two_sum(a.0, b.0);
    two_sum(s, e + a.1 + b.1)
}

pub(crate) fn sub(a: Double, b: Double) -> Double {
    add(a, (-b.0, -b.1))
}

pub(crate) fn mul(a: Double, b: Double) -> Double {
    let p = a.0 * b.0;
    let e = a.0.mul_add(b.0, -p) + (a.0 * b.1 + a.1 * b.0);
    two_sum(p, e)
}

pub(crate) fn div(a: Double, b: Double) -> Double {
    let q = a.0 / b.0;
    let rest = sub(a, mul((q, 0.0), b));
    let q2 = rest.0 / b.0;
    let rest = sub(rest, mul((q2, 0.0), b));
    add(two_sum(q, q2), (rest.0 / b.0, 0.0))
}

/// eˣ − 1 for x ≥ 0: the series at x/2ᵏ ≤ 1/16, squared back: (1 + s)² − 1 = 2s + s².
fn grown_m1(x: Double) -> Double {
    let halvings = (x.0 * 16.0).max(1.0).log2().ceil() as i32;
    let scale = 0.5f64.powi(halvings);
    let r = (x.0 * scale, x.1 * scale);
    let mut s = (0.0, 0.0);
    for k in (1..=18).rev() {
        s = mul(div(r, (f64::from(k), 0.0)), add(ONE, s));
    }
    for _ in 0..halvings {
        s = add(mul(TWO, s), mul(s, s));
    }
    s
}

/// eˣ − 1, for −700 ≤ x ≤ 700.
pub(crate) fn exp_m1(x: Double) -> Double {
    if x.0 >= 0.0 {
        return grown_m1(x);
    }
    // By the inverse, which does not cancel: −s/(1 + s) for e⁻ˣ = 1 + s.
    let s = grown_m1((-x.0, -x.1));
    let (high, low) = div(s, add(ONE, s));
    (-high, -low)
}

/// eˣ, for −700 ≤ x ≤ 700.
pub(crate) fn exp(x: Double) -> Double {
    if x.0 >= 0.0 { add(ONE, grown_m1(x)) } else { div(ONE, add(ONE, grown_m1((-x.0, -x.1)))) }
}

/// log(1 + x), for −1 < x < e⁷⁰⁰: one step of Newton's method, which doubles the digits of the platform's.
pub(crate) fn ln_1p(x: Double) -> Double {
    let y = (x.0.ln_1p(), 0.0);
    let e = exp_m1(y);
    add(y, div(sub(x, e), add(ONE, e)))
}

/// tanh x, for |x| ≤ 350.
pub(crate) fn tanh(x: Double) -> Double {
    let e = exp_m1(mul(TWO, x));
    div(e, add(e, TWO))
}

/// 1/(1 + e⁻ˣ), for |x| ≤ 700.
pub(crate) fn sigmoid(x: Double) -> Double {
    if x.0 < 0.0 { div(exp(x), add(ONE, exp(x))) } else { div(ONE, add(ONE, exp((-x.0, -x.1)))) }
}

/// max(x, 0) + log(1 + e^−|x|), for |x| ≤ 700.
pub(crate) fn softplus(x: f64) -> Double {
    add((x.max(0.0), 0.0), ln_1p(exp((-x.abs(), 0.0))))
}

/// erf x for |x| ≤ 6.5, by the series 2/√π e^(−x²) Σ 2ᵏ x²ᵏ⁺¹/(1·3·5⋯(2k + 1)), whose terms are of one sign; ±1 beyond, to
/// 4·10⁻²⁰.
pub(crate) fn erf(x: Double) -> Double {
    if x.0.abs() > 6.5 {
        return (x.0.signum(), 0.0);
    }
    let square = mul(x, x);
    let (mut term, mut sum) = (x, x);
    let mut k = 1.0;
    while term.0.abs() > 1e-33 * sum.0.abs() {
        term = div(mul(term, mul(TWO, square)), (2.0 * k + 1.0, 0.0));
        sum = add(sum, term);
        k += 1.0;
    }
    mul(mul(FRAC_2_SQRT_PI, exp((-square.0, -square.1))), sum)
}

/// |found − want| in units in the last place of `want`.
pub(crate) fn ulps(found: f64, want: Double) -> f64 {
    let spacing = f64::from_bits(want.0.abs().to_bits() + 1) - want.0.abs();
    (((found - want.0) - want.1) / spacing).abs()
}

/// |found − want|.
pub(crate) fn distance(found: f64, want: Double) -> f64 {
    ((found - want.0) - want.1).abs()
}

#[test]
fn values_have_twice_the_digits() {
    // From a computation with 60 digits, the second number being what the first leaves.
    let near = |found: Double, want: Double| {
        let off = sub(found, want).0.abs();
        assert!(off < 1e-29 * want.0.abs(), "{found:?} is not {want:?}, by {off:e}");
    };
    near(exp((1.5, 0.0)), (4.4816890703380645, 3.0481759556536343e-16));
    near(exp((-40.25, 0.0)), (3.3086216207858244e-18, 1.3601916932590803e-34));
    near(exp_m1((0.0625, 0.0)), (0.06449445891785943, -2.2934210303960824e-18));
    near(exp_m1((-3.5, 0.0)), (-0.9698026165776815, 2.0689080689883753e-17));
    near(ln_1p((0.375, 0.0)), (0.3184537311185346, 2.7114779367326236e-17));
    near(ln_1p((-0.875, 0.0)), (-2.0794415416798357, -1.8059370687790465e-16));
    near(tanh((0.25, 0.0)), (0.24491866240370913, -1.6036228849882693e-18));
    near(sigmoid((-2.5, 0.0)), (0.07585818002124355, 5.328066821693456e-18));
    near(erf((0.375, 0.0)), (0.4041169094348223, -1.5094497806256517e-17));
    near(erf((-1.5, 0.0)), (-0.9661051464753108, 3.3867031441680696e-17));
    near(erf((4.25, 0.0)), (0.9999999981494259, 9.86675034192752e-19));
    near(softplus(2.5), (2.5788897342925496, -1.6971384488584093e-17));
}
