//! The squared error of regression in one primitive.

use std::ops::Range;

use crate::array::{Array, At};
use crate::kernel::{pairs, pieces};
use crate::ops::{Forms, Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::sums::sums_here;
use crate::tensor::Tensor;

/// A multiple c of the squared distance of two arrays of one shape, as c = 1/N of N elements makes the mean squared error.
///
/// ```text
///   f = c ‖x − y‖²                      summed in double precision
///   ḟ = 2c ⟨x − y, ẋ − ẏ⟩
///   ∂f/∂x = 2c (x − y) = −∂f/∂y
///   f″[(ẋ, ẏ), (ẋ, ẏ)] = 2c ‖ẋ − ẏ‖²
/// ```
///
/// Each is one pass over memory, where the difference, its square and their sum as primitives of their own take three.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SquaredError {
    /// The factor c.
    pub factor: f64,
}

/// Numbers whose sums are one task's.
const PIECE: usize = 1 << 13;

/// Sums over `n` numbers from those over stretches of them, in order.
fn in_pieces<const N: usize>(n: usize, sums: impl Fn(Range<usize>) -> [f64; N] + Copy + Sync) -> [f64; N] {
    let mut found = vec![[0.0; N]; n.div_ceil(PIECE)];
    pieces(
        &mut found,
        1,
        PIECE,
        #[inline(always)]
        |i, found| {
            found[0] = sums(i * PIECE..n.min((i + 1) * PIECE));
            0.0
        },
    );
    found.iter().fold([0.0; N], |sum, found| std::array::from_fn(|i| sum[i] + found[i]))
}

impl SquaredError {
    #[track_caller]
    fn check(x: &[usize], y: &[usize]) {
        assert!(x == y, "squared_error: arrays of shapes {x:?} and {y:?}");
    }

    /// ⟨x − y, d⟩ and ‖d‖² of the tangent d of the difference.
    fn along<T: Real>(x: &[&Tensor<T>], d: &Tensor<T>) -> [f64; 2] {
        let [x, y, d] = [x[0], x[1], d].map(Tensor::data);
        in_pieces(
            d.len(),
            #[inline(always)]
            |part| {
                sums_here(
                    [&x[part.clone()], &y[part.clone()], &d[part]],
                    #[inline(always)]
                    |[x, y, d]| [(x - y) * d, d * d],
                )
            },
        )
    }
}

/// ẋ − ẏ; `None` where neither moves.
fn difference<A: Array>(dx: Option<&A>, dy: Option<&A>) -> Option<A> {
    match (dx, dy) {
        (Some(dx), Some(dy)) => Some(dx.minus(dy)),
        (Some(dx), None) => Some(dx.clone()),
        (None, dy) => dy.map(|dy| dy.scale(-1.0)),
    }
}

impl Primitive for SquaredError {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "squared_error"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        SquaredError::check(x[0].shape(), x[1].shape());
        let [x, y] = [x[0].data(), x[1].data()];
        let [sum] = in_pieces(
            x.len(),
            #[inline(always)]
            |part| {
                sums_here(
                    [&x[part.clone()], &y[part]],
                    #[inline(always)]
                    |[x, y]| [(x - y) * (x - y)],
                )
            },
        );
        Tensor::scalar(T::from_f64(self.factor * sum))
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let moved = difference(dx[0], dx[1])?;
        Some((x[0].minus(x[1]) * moved).sum_all().scale(2.0 * self.factor))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        for (i, c) in [self.factor, -self.factor].into_iter().enumerate() {
            out.add(i, || x[0].minus(x[1]).scale(2.0 * c) * ybar);
        }
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        _y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let twice = 2.0 * self.factor * ybar.item().to_f64();
        for (i, c) in [twice, -twice].into_iter().enumerate() {
            let c = T::from_f64(c);
            let of = |out: &mut [T]| {
                pairs(
                    out,
                    x[0].data(),
                    x[1].data(),
                    #[inline(always)]
                    move |x, y| c * (x - y),
                )
            };
            out.add(i, || Tensor::filled(x[0].shape(), of));
        }
    }

    /// ±2c ȳ (ẋ − ẏ).
    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let Some(moved) = difference(dx[0], dx[1]) else { return };
        let twice = 2.0 * self.factor * at.ybar.item().to_f64();
        out.add(0, || moved.scale(twice));
        out.add(1, || moved.scale(-twice));
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        self.advance_fused(&Advance { x, y, ybar: None, dx, multiples: &[], forms: Forms::Cheapest })?.0
    }

    /// 2c ⟨x − y, ẋ − ẏ⟩ and ȳ 2c ‖ẋ − ẏ‖².
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let [slope, square] = SquaredError::along(node.x, &difference(node.dx[0], node.dx[1])?);
        let ybar = node.ybar.map_or(0.0, |ybar| ybar.item().to_f64());
        let twice = 2.0 * self.factor;
        Some((Some(Tensor::scalar(T::from_f64(twice * slope))), ybar * twice * square))
    }

    recorded_as!(SquaredError);
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::operator::HessianOperator;
    use crate::transform::grad;

    fn numbers(n: usize, step: f64) -> Tensor<f64> {
        Tensor::from_fn(&[n], |i| (step * i as f64).sin())
    }

    /// By its parts, over more and fewer numbers than a task has.
    #[test]
    fn it_is_the_sum_of_squared_differences() {
        for n in [0, 1, 15, 1000, 3 * PIECE + 5] {
            let (x, y) = (numbers(n, 0.7), numbers(n, 1.3));
            let of_parts = |x: &Tensor<f64>| x.minus(&y).square().sum_all().scale(0.3).item();
            assert_relative_eq!(x.squared_error(&y, 0.3).item(), of_parts(&x), max_relative = 1e-13);
            let g = grad(|x| x.squared_error(&Array::constant(&y), 0.3), &x);
            assert_eq!(g.data(), x.minus(&y).scale(0.6).data());
            let v = numbers(n, 2.1);
            let h = HessianOperator::new(|x| x.squared_error(&Array::constant(&y), 0.3), &x);
            let c = h.curvature(&v);
            assert_relative_eq!(c.total, 0.6 * v.square().sum_all().item(), max_relative = 1e-13);
            assert_relative_eq!(c.slope, g.times(&v).sum_all().item(), max_relative = 1e-12, epsilon = 1e-12);
        }
    }

    /// Squares of single-precision numbers whose sum leaves its range are summed in double precision.
    #[test]
    fn sums_may_be_larger_than_their_numbers() {
        let x = Tensor::<f32>::full(&[4], 1e19);
        let y = Tensor::full(&[4], -1e19);
        assert_eq!(x.squared_error(&y, 1e-30).item(), 1.6e9);
    }

    #[test]
    #[should_panic(expected = "squared_error: arrays of shapes [2] and [1]")]
    fn shapes_are_not_broadcast() {
        numbers(2, 1.0).squared_error(&numbers(1, 1.0), 1.0);
    }
}
