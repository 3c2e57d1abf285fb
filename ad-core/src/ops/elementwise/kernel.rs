//! The loops of [`Map`](super::Map) on tensors: vectorised for the processor that they run on, shared out over threads
//! where they are long, and equal bit for bit for any number of threads.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::array::At;
use crate::dual::Dual;
use crate::ops::elementwise::Elementwise;
use crate::real::{Real, lane_sum};
use crate::tensor::Tensor;

/// Elements that one task works on. Results depend on it (sums are by chunk), so it is fixed.
const CHUNK: usize = 1 << 13;

/// A loop over a stretch of elements, compiled for every level of vector instructions.
trait Kernel: Sync {
    /// What one stretch gives.
    type Output: Send;
    /// The loop over elements `from..to`.
    fn run(&self, from: usize, to: usize) -> Self::Output;
}

/// One stretch of a kernel, as `pulp` dispatches it.
struct Stretch<'a, K>(&'a K, usize, usize);

impl<K: Kernel> WithSimd for Stretch<'_, K> {
    type Output = K::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> K::Output {
        self.0.run(self.1, self.2)
    }
}

/// Runs a kernel on `n` elements in chunks, and returns what each gave, in order.
fn by_chunk<K: Kernel>(kernel: &K, n: usize) -> Vec<K::Output> {
    let arch = Arch::new();
    let chunks = n.div_ceil(CHUNK).max(1);
    let run = |i: usize| arch.dispatch(Stretch(kernel, i * CHUNK, n.min((i + 1) * CHUNK)));
    if chunks < 4 || rayon::current_num_threads() == 1 {
        (0..chunks).map(run).collect()
    } else {
        (0..chunks).into_par_iter().map(run).collect()
    }
}

/// Runs a kernel that gives the elements of a tensor.
fn tensor<T: Real>(shape: &[usize], kernel: &impl Kernel<Output = Vec<T>>) -> Tensor<T> {
    let n = crate::shape::count(shape);
    let mut chunks = by_chunk(kernel, n);
    let data = if chunks.len() == 1 { chunks.swap_remove(0) } else { chunks.concat() };
    Tensor::from_vec(shape, data)
}

/// f(x).
struct Value<'a, F, T>(&'a F, &'a [T]);

impl<F: Elementwise, T: Real> Kernel for Value<'_, F, T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run(&self, from: usize, to: usize) -> Vec<T> {
        let mut out = vec![T::default(); to - from];
        for (o, &x) in out.iter_mut().zip(&self.1[from..to]) {
            *o = self.0.value(x);
        }
        out
    }
}

pub(super) fn value<T: Real>(f: &impl Elementwise, x: &Tensor<T>) -> Tensor<T> {
    tensor(x.shape(), &Value(f, x.data()))
}

/// d f′(x).
struct TimesSlope<'a, F, T> {
    f: &'a F,
    x: &'a [T],
    y: &'a [T],
    d: &'a [T],
}

impl<F: Elementwise, T: Real> Kernel for TimesSlope<'_, F, T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run(&self, from: usize, to: usize) -> Vec<T> {
        let (x, y, d) = (&self.x[from..to], &self.y[from..to], &self.d[from..to]);
        let mut out = vec![T::default(); to - from];
        for (((o, x), y), &d) in out.iter_mut().zip(x).zip(y).zip(d) {
            *o = d * self.f.derivative(x, y);
        }
        out
    }
}

pub(super) fn times_slope<T: Real>(f: &impl Elementwise, x: &Tensor<T>, y: &Tensor<T>, d: &Tensor<T>) -> Tensor<T> {
    tensor(x.shape(), &TimesSlope { f, x: x.data(), y: y.data(), d: d.data() })
}

/// ȳ f″(x) ẋ, and its contraction with ẋ.
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

/// f″(x), by one dual number.
#[inline(always)]
fn second<F: Elementwise, T: Real>(f: &F, x: T, y: T) -> T {
    let slope = f.derivative(&x, &y);
    let d =
        f.derivative(&Dual { primal: x, tangent: Some(T::from_f64(1.0)) }, &Dual { primal: y, tangent: Some(slope) });
    d.tangent.unwrap_or_default()
}

impl<F: Elementwise, T: Real> Kernel for Curved<'_, F, T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run(&self, from: usize, to: usize) -> Vec<T> {
        let (x, y, ybar, dx) = (&self.x[from..to], &self.y[from..to], &self.ybar[from..to], &self.dx[from..to]);
        let mut out = vec![T::default(); to - from];
        for ((((o, &x), &y), &ybar), &dx) in out.iter_mut().zip(x).zip(y).zip(ybar).zip(dx) {
            *o = ybar * dx * second(self.f, x, y);
        }
        out
    }
}

pub(super) fn curved<T: Real>(f: &impl Elementwise, at: &At<'_, Tensor<T>>, dx: &Tensor<T>) -> Tensor<T> {
    tensor(dx.shape(), &Curved::new(f, at, dx))
}

/// Σ ȳ f″(x) ẋ².
struct Contracted<'a, F, T>(Curved<'a, F, T>);

impl<F: Elementwise, T: Real> Kernel for Contracted<'_, F, T> {
    type Output = f64;

    #[inline(always)]
    fn run(&self, from: usize, to: usize) -> f64 {
        let terms = self.0.run(from, to);
        let dx = &self.0.dx[from..to];
        lane_sum(terms.len(), |i| terms[i].to_f64() * dx[i].to_f64())
    }
}

pub(super) fn contracted<T: Real>(f: &impl Elementwise, at: &At<'_, Tensor<T>>, dx: &Tensor<T>) -> f64 {
    by_chunk(&Contracted(Curved::new(f, at, dx)), dx.len()).into_iter().sum()
}
