//! The loops of [`Map`](super::Map) on tensors.

use crate::array::At;
use crate::dual::Dual;
use crate::kernel::fetch::ahead;
use crate::kernel::{Kernel, run_here, tensor};
use crate::ops::elementwise::Elementwise;
use crate::primitive::Kind;
use crate::real::Real;
use crate::sums::inner_here;
use crate::tensor::Tensor;

// Functions are copied before a loop, so that their numbers stay in registers, and the loop becomes vectors.

/// The work of one element of a function: curved ones cost several times what others do.
const fn weight<F: Elementwise>() -> usize {
    if matches!(F::KIND, Kind::General) { 4 } else { 1 }
}

/// f(x).
#[derive(Clone, Copy)]
struct Value<'a, F, T>(&'a F, &'a [T]);

impl<F: Elementwise, T: Real> Kernel for Value<'_, F, T> {
    type Item = T;
    const WEIGHT: usize = weight::<F>();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (f, x) = (*self.0, &self.1[from..from + out.len()]);
        for (o, &x) in out.iter_mut().zip(x) {
            *o = f.value(x);
        }
        0.0
    }
}

pub(super) fn value<T: Real>(f: &impl Elementwise, x: &Tensor<T>) -> Tensor<T> {
    tensor(x.shape(), Value(f, x.data())).0
}

/// d f′(x).
#[derive(Clone, Copy)]
struct TimesSlope<'a, F, T> {
    f: &'a F,
    x: &'a [T],
    y: &'a [T],
    d: &'a [T],
}

impl<F: Elementwise, T: Real> Kernel for TimesSlope<'_, F, T> {
    type Item = T;
    const WEIGHT: usize = weight::<F>();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (part, f) = (from..from + out.len(), *self.f);
        let (x, y, d) = (&self.x[part.clone()], &self.y[part.clone()], &self.d[part]);
        for (((o, x), y), &d) in out.iter_mut().zip(x).zip(y).zip(d) {
            *o = d * f.derivative(x, y);
        }
        0.0
    }
}

pub(super) fn times_slope<T: Real>(f: &impl Elementwise, x: &Tensor<T>, y: &Tensor<T>, d: &Tensor<T>) -> Tensor<T> {
    tensor(x.shape(), TimesSlope { f, x: x.data(), y: y.data(), d: d.data() }).0
}

/// f′(x) times what is there.
#[derive(Clone, Copy)]
struct OntoSlope<'a, F, T> {
    f: &'a F,
    x: &'a [T],
    y: &'a [T],
}

impl<F: Elementwise, T: Real> Kernel for OntoSlope<'_, F, T> {
    type Item = T;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (part, f) = (from..from + out.len(), *self.f);
        for ((o, x), y) in out.iter_mut().zip(&self.x[part.clone()]).zip(&self.y[part]) {
            *o = *o * f.derivative(x, y);
        }
        0.0
    }
}

/// Multiplies numbers by f′(x), on the current thread.
pub(super) fn times_slope_in_place<T: Real>(f: &impl Elementwise, x: &[T], y: &[T], out: &mut [T]) {
    run_here(OntoSlope { f, x, y }, 0, out);
}

/// ȳ f″(x) ẋ; also f′(x) ẋ with the sum of ȳ f″(x) ẋ².
#[derive(Clone, Copy)]
struct Curved<'a, F, T> {
    f: &'a F,
    x: &'a [T],
    y: &'a [T],
    ybar: &'a [T],
    dx: &'a [T],
}

impl<'a, F: Elementwise, T: Real> Curved<'a, F, T> {
    fn new(f: &'a F, at: &At<'a, Tensor<T>>, dx: &'a Tensor<T>) -> Self {
        Curved { f, x: at.x[0].data(), y: at.y.data(), ybar: at.ybar.data(), dx: dx.data() }
    }
}

/// (f′(x), f″(x)), by one dual number.
#[inline(always)]
fn slopes<F: Elementwise, T: Real>(f: &F, x: T, y: T) -> (T, T) {
    let slope = f.derivative(&x, &y);
    let d =
        f.derivative(&Dual { primal: x, tangent: Some(T::from_f64(1.0)) }, &Dual { primal: y, tangent: Some(slope) });
    (slope, d.tangent.unwrap_or_default())
}

impl<F: Elementwise, T: Real> Kernel for Curved<'_, F, T> {
    type Item = T;
    const WEIGHT: usize = weight::<F>();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (part, f) = (from..from + out.len(), *self.f);
        let (x, y, ybar, dx) = (&self.x[part.clone()], &self.y[part.clone()], &self.ybar[part.clone()], &self.dx[part]);
        for ((((o, &x), &y), &ybar), &dx) in out.iter_mut().zip(x).zip(y).zip(ybar).zip(dx) {
            *o = ybar * dx * slopes(&f, x, y).1;
        }
        0.0
    }
}

pub(super) fn curved<T: Real>(f: &impl Elementwise, at: &At<'_, Tensor<T>>, dx: &Tensor<T>) -> Tensor<T> {
    tensor(dx.shape(), Curved::new(f, at, dx)).0
}

/// f′(x) ȳ̇ + ȳ f″(x) ẋ.
#[derive(Clone, Copy)]
struct AdjointTangent<'a, F, T>(Curved<'a, F, T>, &'a [T]);

impl<F: Elementwise, T: Real> Kernel for AdjointTangent<'_, F, T> {
    type Item = T;
    const WEIGHT: usize = weight::<F>();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (part, f) = (from..from + out.len(), *self.0.f);
        let (x, y, ybar) = (&self.0.x[part.clone()], &self.0.y[part.clone()], &self.0.ybar[part.clone()]);
        let (dx, dybar) = (&self.0.dx[part.clone()], &self.1[part]);
        for (((((o, &x), &y), &ybar), &dx), &dybar) in out.iter_mut().zip(x).zip(y).zip(ybar).zip(dx).zip(dybar) {
            let (slope, curve) = slopes(&f, x, y);
            *o = dybar * slope + ybar * dx * curve;
        }
        0.0
    }
}

pub(super) fn adjoint_tangent<T: Real>(
    f: &impl Elementwise,
    at: &At<'_, Tensor<T>>,
    dx: &Tensor<T>,
    dybar: &Tensor<T>,
) -> Tensor<T> {
    tensor(dx.shape(), AdjointTangent(Curved::new(f, at, dx), dybar.data())).0
}

/// f′(x) ẋ, and Σ ȳ f″(x) ẋ² on the way.
#[derive(Clone, Copy)]
struct Contracted<'a, F, T>(Curved<'a, F, T>);

/// Elements whose terms are written down before they are summed: few enough to stay in the nearest cache.
const GROUP: usize = 256;

impl<F: Elementwise, T: Real> Kernel for Contracted<'_, F, T> {
    type Item = T;
    const WEIGHT: usize = weight::<F>();

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (part, f) = (from..from + out.len(), *self.0.f);
        let [x, y, ybar, dx] = [self.0.x, self.0.y, self.0.ybar, self.0.dx].map(|all| all[part.clone()].chunks(GROUP));
        let (mut sum, mut terms) = (0.0, [T::default(); GROUP]);
        let groups = (from..).step_by(GROUP).zip(out.chunks_mut(GROUP));
        for (((((at, out), x), y), ybar), dx) in groups.zip(x).zip(y).zip(ybar).zip(dx) {
            // Of x and y the function may read one alone.
            ahead([self.0.ybar, self.0.dx], at, out.len());
            let terms = &mut terms[..out.len()];
            for (((((o, t), &x), &y), &ybar), &dx) in
                out.iter_mut().zip(terms.iter_mut()).zip(x).zip(y).zip(ybar).zip(dx)
            {
                let (slope, curve) = slopes(&f, x, y);
                *o = slope * dx;
                *t = ybar * dx * curve;
            }
            sum += inner_here(terms, dx);
        }
        sum
    }
}

/// f′(x) ẋ and Σ ȳ f″(x) ẋ².
pub(super) fn contracted<T: Real>(f: &impl Elementwise, at: &At<'_, Tensor<T>>, dx: &Tensor<T>) -> (Tensor<T>, f64) {
    tensor(dx.shape(), Contracted(Curved::new(f, at, dx)))
}
