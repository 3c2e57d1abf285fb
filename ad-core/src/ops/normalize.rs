//! Rows brought to mean 0 and mean square 1.

use crate::array::{Array, At};
use crate::kernel::{inlined, tensor_in_pieces};
use crate::ops::rows::{row, rows_of};
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::sums::{sums_here, sums_of_row_here};
use crate::tensor::Tensor;

/// y = r c along the last axis: c = x − mean x if `centred`, else x, and r = 1/√(mean c² + ε).
///
/// The core of layer normalisation (Ba, Kiros and Hinton, arXiv 1607.06450), and where not centred of root-mean-square
/// normalisation (Zhang and Sennrich, arXiv 1910.07467). With a = ẋ − mean ẋ, or ẋ, and m = mean(y a):
///
/// ẏ = r (a − y m), ÿ = −2 r m ẏ − r y mean(ẏ a); the Jacobian is symmetric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalize {
    /// Whether the mean is subtracted.
    pub centred: bool,
    /// ε, above zero.
    pub epsilon: f64,
}

/// The work of a number of a row, in additions.
const WEIGHT: usize = 4;

/// The mean along the last axis, which keeps size 1.
fn mean_of_rows<A: Array>(x: &A) -> A {
    let n = x.shape().last().copied().unwrap_or(1);
    x.sum_keep(&[-1]).scale(1.0 / n as f64)
}

impl Normalize {
    /// x − mean x, or x.
    fn centre<A: Array>(&self, x: &A) -> A {
        if self.centred { x.minus(&mean_of_rows(x)) } else { x.clone() }
    }

    /// The Jacobian, which is symmetric, times v.
    fn product<A: Array>(&self, x: &A, y: &A, v: &A) -> A {
        let c = self.centre(x);
        let r = mean_of_rows(&(c.clone() * &c)).offset(self.epsilon).powf(-0.5);
        r * (self.centre(v) - mean_of_rows(&y.times(v)) * y)
    }

    /// The same on tensors.
    fn product_by_rows<T: Real>(&self, x: &Tensor<T>, y: &Tensor<T>, v: &Tensor<T>) -> Tensor<T> {
        self.by_rows(
            x,
            #[inline(always)]
            |i, out| {
                let [x, y, v] = rows_of([x, y, v], i);
                self.at(x, y).product(v).write(out);
                0.0
            },
        )
        .0
    }

    /// The tangent of the adjoint x̄ = J ȳ, with q = mean(y ȳ): J ȳ̇ where ȳ moves, and −r (m x̄ + q ẏ + mean(ẏ ȳ) y) where x does.
    fn adjoint_tangent<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: Option<&Tensor<T>>,
        dybar: Option<&Tensor<T>>,
    ) -> Tensor<T> {
        let (x, y, ybar) = (at.x[0], at.y, at.ybar);
        let moved = dx.map(|dx| (dx, at.dy.cloned().unwrap_or_else(|| self.product_by_rows(x, y, dx))));
        let row_by_row = inlined(
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                let [x, y, ybar] = rows_of([x, y, ybar], i);
                let at = self.at(x, y);
                match dybar {
                    Some(dybar) => at.product(row(dybar, i)).write(out),
                    None => out.fill(T::default()),
                }
                if let Some((dx, dy)) = &moved {
                    let (dx, dy, pulled) = (row(dx, i), row(dy, i), at.product(ybar));
                    let [m, dq] = sums_of_row_here(
                        [y, dx, dy, ybar],
                        #[inline(always)]
                        |[y, dx, dy, ybar]| [y * dx, dy * ybar],
                    );
                    let factor = |mean: f64| T::from_f64(-at.r * mean);
                    let n = y.len() as f64;
                    pulled.add_times(factor(m / n), out);
                    let (q, dq) = (factor(pulled.along), factor(dq / n));
                    for ((out, dy), y) in out.iter_mut().zip(dy).zip(y) {
                        *out = *out + q * *dy + dq * *y;
                    }
                }
                0.0
            },
        );
        self.by_rows(x, row_by_row).0
    }

    /// An array of the shape of `x`, and a sum, from row after row.
    fn by_rows<T: Real>(&self, x: &Tensor<T>, f: impl Fn(usize, &mut [T]) -> f64 + Copy + Sync) -> (Tensor<T>, f64) {
        tensor_in_pieces(x.shape(), x.shape().last().copied().unwrap_or(0), WEIGHT, f)
    }

    /// What is subtracted from a row, and r.
    ///
    /// Both come of one pass over d = x − x₀, which is 0 for a row of equal numbers: mean c² = mean d² − (mean d)². Cancellation loses
    /// a factor of the row's length at most, since x₀ is one of the n numbers: (mean d)² ≤ n mean c².
    #[inline(always)]
    fn centre_and_scale<T: Real>(&self, x: &[T]) -> (f64, f64) {
        let n = x.len() as f64;
        let first = if self.centred { x.first().map_or(0.0, |x| x.to_f64()) } else { 0.0 };
        let [sum, squares] = sums_here(
            [x],
            #[inline(always)]
            |[x]| {
                let d = x - first;
                [d, d * d]
            },
        );
        let mean = if self.centred { sum / n } else { 0.0 };
        (first + mean, 1.0 / (squares / n - mean * mean + self.epsilon).sqrt())
    }

    #[inline(always)]
    fn at<'a, T: Real>(&self, x: &[T], y: &'a [T]) -> Row<'a, T> {
        Row { y, r: self.centre_and_scale(x).1, centred: self.centred }
    }
}

/// A normalised row y, with its r.
struct Row<'a, T> {
    y: &'a [T],
    r: f64,
    centred: bool,
}

/// The Jacobian of a row times v: r (v − shift − y along), where along is mean(y v).
struct Product<'a, T> {
    y: &'a [T],
    v: &'a [T],
    r: f64,
    shift: f64,
    along: f64,
}

impl<'a, T: Real> Row<'a, T> {
    /// The Jacobian times v; mean(y v) is the mean with v centred too, since that of y is 0.
    #[inline(always)]
    fn product(&self, v: &'a [T]) -> Product<'a, T> {
        let [along, shift] = sums_of_row_here(
            [self.y, v],
            #[inline(always)]
            |[y, v]| [y * v, v],
        );
        let (along, shift) = (along / v.len() as f64, shift / v.len() as f64);
        Product { y: self.y, v, r: self.r, shift: if self.centred { shift } else { 0.0 }, along }
    }
}

impl<T: Real> Product<'_, T> {
    #[inline(always)]
    fn write(&self, out: &mut [T]) {
        let (r, shift, along) = (T::from_f64(self.r), T::from_f64(self.shift), T::from_f64(self.along));
        for ((out, v), y) in out.iter_mut().zip(self.v).zip(self.y) {
            *out = r * ((*v - shift) - along * *y);
        }
    }

    #[inline(always)]
    fn add_times(&self, factor: T, out: &mut [T]) {
        let (r, shift, along) = (T::from_f64(self.r), T::from_f64(self.shift), T::from_f64(self.along));
        let factor = factor * r;
        for ((out, v), y) in out.iter_mut().zip(self.v).zip(self.y) {
            *out = *out + factor * ((*v - shift) - along * *y);
        }
    }
}

impl Primitive for Normalize {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "normalize"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        assert!(x[0].rank() > 0, "normalize: a scalar has no last axis");
        let value = inlined(
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                let x = row(x[0], i);
                let (centre, r) = self.centre_and_scale(x);
                let (r, centre) = (T::from_f64(r), T::from_f64(centre));
                for (out, x) in out.iter_mut().zip(x) {
                    *out = (*x - centre) * r;
                }
                0.0
            },
        );
        self.by_rows(x[0], value).0
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(self.product(x[0], y, dx[0]?))
    }

    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.product(x[0], y, ybar));
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        Some(self.product_by_rows(x[0], y, dx[0]?))
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        out.add(0, || self.product_by_rows(x[0], y, ybar));
    }

    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        if dx[0].is_some() || dybar.is_some() {
            out.add(0, || self.adjoint_tangent(at, dx[0], dybar));
        }
    }

    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        self.vjp_tangent_fused(at, dx, None, out);
    }

    /// ẏ, and ȳ·ÿ = −2 r m ⟨ȳ, ẏ⟩ − r mean(ẏ a) ⟨ȳ, y⟩.
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (x, y, ybar, dx) = (node.x[0], node.y, node.ybar?, node.dx[0]?);
        let (dy, term) = self.by_rows(
            x,
            #[inline(always)]
            |i, dy| {
                let [x, y, ybar, dx] = rows_of([x, y, ybar, dx], i);
                let at = self.at(x, y);
                let product = at.product(dx);
                product.write(dy);
                // Where a differs from ẋ, the mean of ẏ is 0.
                // In double precision: of a direction of small numbers the square may leave the range of single precision.
                let [curved, by_tangent, by_value] = sums_here(
                    [&*dy, dx, ybar, y],
                    #[inline(always)]
                    |[dy, dx, ybar, y]| [dy * dx, ybar * dy, ybar * y],
                );
                -at.r * (2.0 * product.along * by_tangent + curved / dy.len() as f64 * by_value)
            },
        );
        Some((Some(dy), term))
    }

    recorded_as!(Normalize);
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;

    #[test]
    fn rows_have_mean_zero_and_mean_square_one() {
        let x = Tensor::from_vec(&[2, 3], vec![1.0, 2.0, 6.0, -1.0, 0.0, 1.0]);
        let y = x.normalize(true, 1e-300);
        // Row 0 has mean 3 and variance 14/3, row 1 mean 0 and variance 2/3.
        let (a, b) = ((14.0f64 / 3.0).sqrt(), (2.0f64 / 3.0).sqrt());
        for (y, want) in y.data().iter().zip([-2.0 / a, -1.0 / a, 3.0 / a, -1.0 / b, 0.0, 1.0 / b]) {
            assert_relative_eq!(*y, want, max_relative = 1e-15);
        }
        let y = x.normalize(false, 0.25);
        assert_relative_eq!(y.data()[2], 6.0 / (41.0f64 / 3.0 + 0.25).sqrt(), max_relative = 1e-15);
    }

    #[test]
    fn a_row_far_from_zero_and_one_that_begins_with_an_outlier_keep_their_scale() {
        let row = |f: &dyn Fn(usize) -> f64| Tensor::from_fn(&[1, 70], f);
        for x in [row(&|i| 1e8 + i as f64), row(&|i| if i == 0 { 1e6 } else { (i as f64).sin() })] {
            let n = x.len() as f64;
            let mean = x.data().iter().sum::<f64>() / n;
            let square = x.data().iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            for (y, v) in x.normalize(true, 1e-9).data().iter().zip(x.data()) {
                assert_relative_eq!(*y, (v - mean) / (square + 1e-9).sqrt(), max_relative = 1e-11, epsilon = 1e-13);
            }
        }
    }

    #[test]
    fn a_constant_row_is_zero() {
        let x = Tensor::full(&[1, 40], 3.0f32);
        assert_eq!(x.normalize(true, 1e-5).data(), [0.0; 40]);
    }
}
