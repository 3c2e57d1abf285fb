//! Rows of exponentials: what softmax, its logarithm, log-sum-exp and cross-entropy compute where the numbers that belong
//! together lie side by side.

use crate::kernel::fetch::ahead;
use crate::kernel::{inlined, pieces, tensor_in_pieces};
use crate::ops::Ops;
use crate::real::{Real, ln_in_parts};
use crate::shape::Shape;
use crate::sums::{sum_here, sums_here, sums_of_row_here};
use crate::tensor::Tensor;

/// About how many numbers are worked on at a time: short rows together, so that vectors are full, and few enough to stay in the
/// nearest cache.
const GROUP: usize = 1024;

/// How many rows of this width are worked on at a time.
pub(super) fn rows_at_once(width: usize) -> usize {
    (GROUP / width.max(1)).max(1)
}

/// The length of the rows along an axis of this shape, if it is the last and they have elements.
pub(super) fn width(shape: &[usize], axis: usize) -> Option<usize> {
    (shape[axis] > 0 && axis + 1 == shape.len()).then_some(shape[axis])
}

/// Row `i` of the last axis.
#[inline(always)]
pub(super) fn row<T: Real>(t: &Tensor<T>, i: usize) -> &[T] {
    let n = t.shape().last().copied().unwrap_or(0);
    &t.data()[i * n..][..n]
}

/// Row `i` of each of the arrays, with memory [asked](ahead) for those some way beyond. For use within a kernel.
#[inline(always)]
pub(super) fn rows_of<T: Real, const N: usize>(arrays: [&Tensor<T>; N], i: usize) -> [&[T]; N] {
    let mut rows = [&[][..]; N];
    for k in 0..N {
        rows[k] = row(arrays[k], i);
        let n = rows[k].len();
        ahead([arrays[k].data()], i * n, n);
    }
    rows
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

/// Numbers of a row that are compared at once.
const LANES: usize = 16;

/// The larger of two numbers; the first where they cannot be compared.
#[inline(always)]
pub(super) fn larger<T: Real>(a: T, b: T) -> T {
    if b > a { b } else { a }
}

/// The maximum of the lanes, a power of two of them, and of the blocks; by halves in the end.
#[inline(always)]
pub(super) fn top_of_blocks<T: Real, const L: usize>(mut lanes: [T; L], blocks: &[[T; L]]) -> T {
    for block in blocks {
        for l in 0..L {
            lanes[l] = larger(lanes[l], block[l]);
        }
    }
    let mut n = L;
    while n > 1 {
        n /= 2;
        for l in 0..n {
            lanes[l] = larger(lanes[l], lanes[l + n]);
        }
    }
    lanes[0]
}

/// What is subtracted from a row with this maximum before its exponentials are taken: 0 for −∞ alone, whose log-sum is −∞ and not NaN.
#[inline(always)]
pub(super) fn shift_by_top<T: Real>(top: T) -> T {
    if top == T::from_f64(f64::NEG_INFINITY) { T::default() } else { top }
}

/// What is subtracted from a row before its exponentials are taken: its maximum; 0 for −∞ alone.
#[inline(always)]
pub(super) fn shift<T: Real>(row: &[T]) -> T {
    let lowest = T::from_f64(f64::NEG_INFINITY);
    let (whole, rest) = row.as_chunks::<LANES>();
    let mut top = rest.iter().copied().fold(lowest, larger);
    // Short rows have nothing in the lanes: those are not gone through.
    if !whole.is_empty() {
        top = larger(top, top_of_blocks([lowest; LANES], whole));
    }
    shift_by_top(top)
}

/// e^(x − shift of its row), for rows of this width. For use within a kernel.
#[inline(always)]
pub(super) fn exponentials_here<T: Real>(out: &mut [T], x: &[T], width: usize) {
    for (out, row) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let shift = shift(row);
        for (o, &x) in out.iter_mut().zip(row) {
            *o = x - shift;
        }
    }
    for o in out.iter_mut() {
        *o = o.exp();
    }
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

/// The work of an exponential, in additions.
pub(super) const EXPONENTIAL: usize = 4;

/// Calls `f` with the number of each row of x, the row, and its exponentials e^(x − shift) in `out`, which it may replace by what it makes
/// of them. Returns the sum of what it returns.
pub(super) fn with_exponentials<T: Real>(
    out: &mut [T],
    x: &[T],
    width: usize,
    f: impl Fn(usize, &[T], &mut [T]) -> f64 + Sync,
) -> f64 {
    let rows = rows_at_once(width);
    pieces(
        out,
        rows * width,
        EXPONENTIAL,
        #[inline(always)]
        |i, out| {
            let x = &x[i * rows * width..][..out.len()];
            exponentials_here(out, x, width);
            let mut sum = 0.0;
            for (r, (out, x)) in out.chunks_exact_mut(width).zip(x.chunks_exact(width)).enumerate() {
                sum += f(i * rows + r, x, out);
            }
            sum
        },
    )
}

/// An array like x from what `f` makes of each row of it in the place of its exponentials.
pub(super) fn from_exponentials<T: Real>(
    x: &Tensor<T>,
    width: usize,
    f: impl Fn(usize, &[T], &mut [T]) + Sync,
) -> Tensor<T> {
    Tensor::filled(x.shape(), |out| {
        with_exponentials(
            out,
            x.data(),
            width,
            #[inline(always)]
            |index, row, out| {
                f(index, row, out);
                0.0
            },
        );
    })
}

/// The softmax of each row.
pub(super) fn softmax<T: Real>(x: &Tensor<T>, width: usize) -> Tensor<T> {
    from_exponentials(
        x,
        width,
        #[inline(always)]
        |_, _, out| {
            let sum = T::from_f64(sum_here(out));
            for o in out.iter_mut() {
                *o = *o / sum;
            }
        },
    )
}

/// The logarithm of the softmax of each row, x − log Σ e^x.
pub(super) fn log_softmax<T: Real>(x: &Tensor<T>, width: usize) -> Tensor<T> {
    from_exponentials(
        x,
        width,
        #[inline(always)]
        |_, row, out| {
            let log_sum = LogSum::new(shift(row), sum_here(out));
            for (o, &x) in out.iter_mut().zip(row) {
                *o = log_sum.taken_from(x);
            }
        },
    )
}

/// log Σ e^x of each row, in the place of the row; −∞ of rows of nothing.
pub(super) fn log_sums<T: Real>(x: &Tensor<T>, width: usize) -> Tensor<T> {
    let mut shape = Shape::from_slice(x.shape());
    *shape.last_mut().expect("rows have an axis") = 1;
    if width == 0 {
        return Tensor::full(&shape, T::from_f64(f64::NEG_INFINITY));
    }
    let log_sum = inlined(
        #[inline(always)]
        |i: usize, out: &mut [T]| {
            let row = &x.data()[i * width..][..width];
            let (shift, mut sum, mut powers) = (shift(row), 0.0, [T::default(); GROUP]);
            for row in row.chunks(GROUP) {
                let powers = &mut powers[..row.len()];
                for (o, &x) in powers.iter_mut().zip(row) {
                    *o = (x - shift).exp();
                }
                sum += sum_here(powers);
            }
            let LogSum { high, low } = LogSum::new(shift, sum);
            out[0] = T::from_f64(high + low);
            0.0
        },
    );
    tensor_in_pieces(&shape, 1, EXPONENTIAL * width, log_sum).0
}

/// Σ p v of a row. For use within a kernel.
#[inline(always)]
pub(super) fn mean_here<T: Real>(p: &[T], v: &[T]) -> T {
    let [mean] = sums_of_row_here(
        [p, v],
        #[inline(always)]
        |[p, v]| [p * v],
    );
    T::from_f64(mean)
}

/// p ∘ (w − Σ p w) of a row, given w in `out`. For use within a kernel.
#[inline(always)]
pub(super) fn centred_here<T: Real>(out: &mut [T], p: &[T]) {
    let mean = mean_here(p, out);
    for (o, &p) in out.iter_mut().zip(p) {
        *o = p * (*o - mean);
    }
}

/// p ∘ (d − Σ p d) of each row: the derivative of softmax p along d.
pub(super) fn centred<T: Real>(p: &Tensor<T>, d: &Tensor<T>, width: usize) -> Tensor<T> {
    let row = inlined(
        #[inline(always)]
        |i: usize, out: &mut [T]| {
            out.copy_from_slice(&d.data()[i * width..][..width]);
            centred_here(out, &p.data()[i * width..][..width]);
            0.0
        },
    );
    tensor_in_pieces(p.shape(), width, 2, row).0
}

/// Softmaxes p, tangents ẋ of their arguments, and adjoints ȳ.
#[derive(Clone, Copy)]
pub(super) struct Moving<'a, T> {
    pub(super) p: &'a [T],
    pub(super) dx: &'a [T],
    pub(super) ybar: &'a [T],
    /// The length of a row.
    pub(super) width: usize,
}

impl<'a, T: Real> Moving<'a, T> {
    /// A row of each.
    #[inline(always)]
    fn row(&self, i: usize) -> Moving<'a, T> {
        let part = i * self.width..(i + 1) * self.width;
        Moving { p: &self.p[part.clone()], dx: &self.dx[part.clone()], ybar: &self.ybar[part], width: self.width }
    }

    /// p ∘ (w − Σ p w) of a row with w = ȳ̇ + (ẋ − Σ p ẋ) ∘ (ȳ − Σ p ȳ), given ȳ̇ in `out`. For use within a kernel.
    #[inline(always)]
    fn adjoint_tangent_here(self, out: &mut [T]) {
        let Moving { p, dx, ybar, .. } = self;
        let (of_dx, of_ybar) = (mean_here(p, dx), mean_here(p, ybar));
        for ((o, &dx), &ybar) in out.iter_mut().zip(dx).zip(ybar) {
            *o = *o + (dx - of_dx) * (ybar - of_ybar);
        }
        centred_here(out, p);
    }

    /// ṗ = p ∘ (ẋ − Σ p ẋ) of a row into `out`, and Σ (ȳ − Σ p ȳ) p (ẋ − Σ p ẋ)². For use within a kernel.
    #[inline(always)]
    fn contracted_here(self, out: &mut [T]) -> f64 {
        let Moving { p, dx, ybar, .. } = self;
        let (of_dx, of_ybar) = (mean_here(p, dx), mean_here(p, ybar));
        for ((o, &p), &dx) in out.iter_mut().zip(p).zip(dx) {
            *o = p * (dx - of_dx);
        }
        let (of_dx, of_ybar) = (of_dx.to_f64(), of_ybar.to_f64());
        // In double precision: of a direction of small numbers the square may leave the range of single precision.
        let [sum] = sums_here(
            [out, dx, ybar],
            #[inline(always)]
            |[dp, dx, ybar]| [dp * (dx - of_dx) * (ybar - of_ybar)],
        );
        sum
    }
}

/// ṗ = p ∘ (ẋ − Σ p ẋ), and ȳ·p″[ẋ, ẋ] = Σ (ȳ − Σ p ȳ) p (ẋ − Σ p ẋ)² over all rows.
///
/// With s = ẋ − Σ p ẋ, p″[ẋ, ẋ] is p ∘ (s² − Σ p s²). Subtracting the mean of ȳ in place of that of s² gives the same sum in fewer
/// steps.
pub(super) fn contracted<T: Real>(shape: &[usize], rows: Moving<'_, T>) -> (Tensor<T>, f64) {
    tensor_in_pieces(
        shape,
        rows.width,
        EXPONENTIAL,
        #[inline(always)]
        |i, out| rows.row(i).contracted_here(out),
    )
}

/// The tangent of the adjoint x̄ = p ∘ (ȳ − Σ p ȳ), where ȳ moves by ȳ̇ (`None` is zero): p ∘ (w − Σ p w) of each row, with
/// w = ȳ̇ + (ẋ − Σ p ẋ) ∘ (ȳ − Σ p ȳ).
pub(super) fn adjoint_tangent<T: Real>(shape: &[usize], rows: Moving<'_, T>, dybar: Option<&[T]>) -> Tensor<T> {
    let row = inlined(
        #[inline(always)]
        |i: usize, out: &mut [T]| {
            match dybar {
                Some(dybar) => out.copy_from_slice(&dybar[i * rows.width..][..rows.width]),
                None => out.fill(T::default()),
            }
            rows.row(i).adjoint_tangent_here(out);
            0.0
        },
    );
    tensor_in_pieces(shape, rows.width, EXPONENTIAL, row).0
}
