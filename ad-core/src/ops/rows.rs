//! Rows of exponentials: what softmax, its logarithm, log-sum-exp and cross-entropy compute where the numbers that belong
//! together lie side by side.

use crate::kernel::{self, Kernel, inner_here, sum_here, tensor_by_rows};
use crate::ops::Ops;
use crate::real::{Real, ln_in_parts};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// About how many numbers are worked on at a time: short rows together, so that vectors are full, and few enough to stay in the
/// nearest cache.
const GROUP: usize = 1024;

/// The length of the rows along an axis of this shape, if it is the last and they have elements.
pub(super) fn width(shape: &[usize], axis: usize) -> Option<usize> {
    (shape[axis] > 0 && axis + 1 == shape.len()).then_some(shape[axis])
}

/// What `f` makes of an array in rows along an axis, given their length; other axes than the last change places with it first.
pub(super) fn along<T: Real>(x: &Tensor<T>, axis: usize, f: impl Fn(&Tensor<T>, usize) -> Tensor<T>) -> Tensor<T> {
    if let Some(width) = width(x.shape(), axis) {
        return f(x, width);
    }
    let mut order: Shape = (0..x.rank()).collect();
    order.swap(axis, x.rank() - 1);
    f(&x.permute(&order), x.shape()[axis]).permute(&order)
}

/// What is subtracted from a row before its exponentials are taken: its maximum; 0 for −∞ alone, whose log-sum is −∞ and not NaN.
#[inline(always)]
pub(super) fn shift<T: Real>(row: &[T]) -> T {
    const LANES: usize = 16;
    let larger = |a: T, b: T| if b > a { b } else { a };
    let lowest = T::from_f64(f64::NEG_INFINITY);
    let (whole, rest) = row.as_chunks::<LANES>();
    let mut lanes = [lowest; LANES];
    for row in whole {
        for l in 0..LANES {
            lanes[l] = larger(lanes[l], row[l]);
        }
    }
    // Short rows have nothing in the lanes.
    let of_lanes = if whole.is_empty() { lowest } else { lanes.into_iter().fold(lowest, larger) };
    let top = rest.iter().copied().fold(of_lanes, larger);
    if top == lowest { T::default() } else { top }
}

/// e^(x − shift of its row), for rows of this width. For use within a kernel.
#[inline(always)]
fn exponentials_here<T: Real>(out: &mut [T], x: &[T], width: usize) {
    for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let shift = shift(row);
        out.iter_mut().zip(row).for_each(|(o, &x)| *o = x - shift);
    }
    out.iter_mut().for_each(|o| *o = o.exp());
}

/// log Σ e^x of a row, in two parts: its own rounding would be as large as that of what it is subtracted from.
#[derive(Clone, Copy)]
struct LogSum {
    high: f64,
    low: f64,
}

impl LogSum {
    /// From the shift and Σ e^(x − shift).
    #[inline(always)]
    fn new<T: Real>(shift: T, sum: f64) -> Self {
        let (high, low) = ln_in_parts(sum);
        let (high, rest) = two_sum(shift.to_f64(), high);
        LogSum { high, low: low + rest }
    }

    /// x − log Σ e^x, rounded once.
    #[inline(always)]
    fn taken_from<T: Real>(self, x: T) -> T {
        let (difference, rest) = two_sum(x.to_f64(), -self.high);
        T::from_f64(difference + (rest - self.low))
    }
}

/// a + b as it is rounded, and what rounding left out: nothing of an infinite sum, where the difference would be NaN.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    let rest = (a - (sum - of_b)) + (b - of_b);
    (sum, if sum.abs() < f64::INFINITY { rest } else { 0.0 })
}

/// Numbers in rows.
struct Rows<'a, T> {
    x: &'a [T],
    width: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    /// Whole rows of `out` with those of the numbers, [`GROUP`] numbers at a time.
    #[inline(always)]
    fn groups<'o>(&self, from: usize, out: &'o mut [T]) -> impl Iterator<Item = (&'o mut [T], &'a [T])> {
        let x = &self.x[from..from + out.len()];
        let group = (GROUP / self.width).max(1) * self.width;
        out.chunks_mut(group).zip(x.chunks(group))
    }
}

/// e^(x − shift).
struct Exponentials<'a, T>(Rows<'a, T>);

impl<T: Real> Kernel for Exponentials<'_, T> {
    type Item = T;
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        for (out, x) in self.0.groups(from, out) {
            exponentials_here(out, x, self.0.width);
        }
        0.0
    }
}

/// e^(x − shift of its row).
pub(super) fn exponentials<T: Real>(out: &mut [T], x: &[T], width: usize) {
    kernel::by_rows(&Exponentials(Rows { x, width }), out, width);
}

/// e^x / Σ e^x.
struct Shares<'a, T>(Rows<'a, T>);

impl<T: Real> Kernel for Shares<'_, T> {
    type Item = T;
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        for (out, x) in self.0.groups(from, out) {
            exponentials_here(out, x, self.0.width);
            for row in out.chunks_exact_mut(self.0.width) {
                let sum = T::from_f64(sum_here(row));
                row.iter_mut().for_each(|o| *o = *o / sum);
            }
        }
        0.0
    }
}

/// The softmax of each row.
pub(super) fn softmax<T: Real>(x: &Tensor<T>, width: usize) -> Tensor<T> {
    tensor_by_rows(x.shape(), width, &Shares(Rows { x: x.data(), width })).0
}

/// x − log Σ e^x.
struct LogShares<'a, T>(Rows<'a, T>);

impl<T: Real> Kernel for LogShares<'_, T> {
    type Item = T;
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        for (out, x) in self.0.groups(from, out) {
            exponentials_here(out, x, self.0.width);
            for (out, row) in out.chunks_exact_mut(self.0.width).zip(x.chunks_exact(self.0.width)) {
                let log_sum = LogSum::new(shift(row), sum_here(out));
                out.iter_mut().zip(row).for_each(|(o, &x)| *o = log_sum.taken_from(x));
            }
        }
        0.0
    }
}

/// The logarithm of the softmax of each row.
pub(super) fn log_softmax<T: Real>(x: &Tensor<T>, width: usize) -> Tensor<T> {
    tensor_by_rows(x.shape(), width, &LogShares(Rows { x: x.data(), width })).0
}

/// log Σ e^x, one number a row.
struct LogSums<'a, T>(Rows<'a, T>);

impl<T: Real> Kernel for LogSums<'_, T> {
    type Item = T;
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let mut powers = [T::default(); GROUP];
        let rows = self.0.x[from * self.0.width..].chunks_exact(self.0.width);
        for (out, row) in out.iter_mut().zip(rows) {
            let shift = shift(row);
            let mut sum = 0.0;
            for row in row.chunks(GROUP) {
                let powers = &mut powers[..row.len()];
                powers.iter_mut().zip(row).for_each(|(o, &x)| *o = (x - shift).exp());
                sum += sum_here(powers);
            }
            let LogSum { high, low } = LogSum::new(shift, sum);
            *out = T::from_f64(high + low);
        }
        0.0
    }
}

/// log Σ e^x of each row, in the place of the row; −∞ of rows of nothing.
pub(super) fn log_sums<T: Real>(x: &Tensor<T>, width: usize) -> Tensor<T> {
    let mut shape = Shape::from_slice(x.shape());
    *shape.last_mut().expect("rows have an axis") = 1;
    if width == 0 {
        return Tensor::full(&shape, T::from_f64(f64::NEG_INFINITY));
    }
    Tensor::filled(&shape, |out| {
        kernel::one_a_row(&LogSums(Rows { x: x.data(), width }), out, width);
    })
}

/// p ∘ (w − Σ p w), given w in `out`. For use within a kernel.
#[inline(always)]
fn centred_here<T: Real>(out: &mut [T], p: &[T]) {
    let mean = T::from_f64(inner_here(p, out));
    out.iter_mut().zip(p).for_each(|(o, &p)| *o = p * (*o - mean));
}

/// Softmaxes p with one array more, in rows.
struct Centred<'a, T> {
    p: Rows<'a, T>,
    d: &'a [T],
}

impl<T: Real> Kernel for Centred<'_, T> {
    type Item = T;
    const WEIGHT: usize = 2;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (part, width) = (from..from + out.len(), self.p.width);
        out.copy_from_slice(&self.d[part.clone()]);
        for (out, p) in out.chunks_exact_mut(width).zip(self.p.x[part].chunks_exact(width)) {
            centred_here(out, p);
        }
        0.0
    }
}

/// p ∘ (d − Σ p d) of each row: the derivative of softmax p along d.
pub(super) fn centred<T: Real>(p: &Tensor<T>, d: &Tensor<T>, width: usize) -> Tensor<T> {
    tensor_by_rows(p.shape(), width, &Centred { p: Rows { x: p.data(), width }, d: d.data() }).0
}

/// Softmaxes p, tangents ẋ and adjoints ȳ, in rows.
#[derive(Clone, Copy)]
pub(super) struct Moving<'a, T> {
    /// Softmaxes.
    pub(super) p: &'a [T],
    /// Tangents of their arguments.
    pub(super) dx: &'a [T],
    /// Adjoints.
    pub(super) ybar: &'a [T],
    /// The length of a row.
    pub(super) width: usize,
}

impl<'a, T: Real> Moving<'a, T> {
    /// The rows of a stretch of elements, (p, ẋ, ȳ) of each.
    #[inline(always)]
    fn rows(&self, from: usize, n: usize) -> impl Iterator<Item = (&'a [T], &'a [T], &'a [T])> {
        let [p, dx, ybar] = [self.p, self.dx, self.ybar].map(|all| all[from..from + n].chunks_exact(self.width));
        p.zip(dx).zip(ybar).map(|((p, dx), ybar)| (p, dx, ybar))
    }
}

/// ṗ, and Σ ȳ p″[ẋ, ẋ] on the way.
struct Contracted<'a, T>(Moving<'a, T>);

impl<T: Real> Kernel for Contracted<'_, T> {
    type Item = T;
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        let (mut sum, mut offs, mut terms) = (0.0, [T::default(); GROUP], [T::default(); GROUP]);
        let rows = self.0.rows(from, out.len());
        for (out, (p, dx, ybar)) in out.chunks_exact_mut(self.0.width).zip(rows) {
            let [of_dx, of_ybar] = [dx, ybar].map(|d| T::from_f64(inner_here(p, d)));
            let pieces = p.chunks(GROUP).zip(dx.chunks(GROUP)).zip(ybar.chunks(GROUP));
            for (out, ((p, dx), ybar)) in out.chunks_mut(GROUP).zip(pieces) {
                let (offs, terms) = (&mut offs[..out.len()], &mut terms[..out.len()]);
                offs.iter_mut().zip(dx).for_each(|(off, &dx)| *off = dx - of_dx);
                out.iter_mut().zip(p).zip(&*offs).for_each(|((o, &p), &off)| *o = p * off);
                terms.iter_mut().zip(&*out).zip(ybar).for_each(|((t, &o), &ybar)| *t = o * (ybar - of_ybar));
                sum += inner_here(terms, offs);
            }
        }
        sum
    }
}

/// ṗ = p ∘ (ẋ − Σ p ẋ), and ȳ·p″[ẋ, ẋ] = Σ (ȳ − Σ p ȳ) p (ẋ − Σ p ẋ)² over all rows.
///
/// With s = ẋ − Σ p ẋ, p″[ẋ, ẋ] is p ∘ (s² − Σ p s²). Subtracting the mean of ȳ in place of that of s² gives the same sum in fewer
/// steps.
pub(super) fn contracted<T: Real>(shape: &[usize], rows: Moving<'_, T>) -> (Tensor<T>, f64) {
    tensor_by_rows(shape, rows.width, &Contracted(rows))
}

/// The tangent of p ∘ (ȳ − Σ p ȳ).
struct Turned<'a, T> {
    rows: Moving<'a, T>,
    dybar: Option<&'a [T]>,
}

impl<T: Real> Kernel for Turned<'_, T> {
    type Item = T;
    const WEIGHT: usize = 4;

    #[inline(always)]
    fn run(&self, from: usize, out: &mut [T]) -> f64 {
        match self.dybar {
            Some(dybar) => out.copy_from_slice(&dybar[from..from + out.len()]),
            None => out.fill(T::default()),
        }
        let rows = self.rows.rows(from, out.len());
        for (out, (p, dx, ybar)) in out.chunks_exact_mut(self.rows.width).zip(rows) {
            let [of_dx, of_ybar] = [dx, ybar].map(|d| T::from_f64(inner_here(p, d)));
            for ((o, &dx), &ybar) in out.iter_mut().zip(dx).zip(ybar) {
                *o = *o + (dx - of_dx) * (ybar - of_ybar);
            }
            centred_here(out, p);
        }
        0.0
    }
}

/// The tangent of the adjoint x̄ = p ∘ (ȳ − Σ p ȳ), where ȳ moves by ȳ̇ (`None` is zero): p ∘ (w − Σ p w) of each row, with
/// w = ȳ̇ + (ẋ − Σ p ẋ) ∘ (ȳ − Σ p ȳ).
pub(super) fn turned<T: Real>(shape: &[usize], rows: Moving<'_, T>, dybar: Option<&[T]>) -> Tensor<T> {
    tensor_by_rows(shape, rows.width, &Turned { rows, dybar }).0
}

/// Σ p v² − (Σ p v)² = Σ p (v − mean)² for Σ p = 1, by the second form, which does not cancel.
pub(super) fn variance(pairs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    let mean: f64 = pairs.clone().map(|(p, v)| p * v).sum();
    pairs.map(|(p, v)| p * (v - mean) * (v - mean)).sum()
}
