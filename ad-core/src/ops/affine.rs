//! The scale and shift that follow rows in normalisation layers.

use smallvec::SmallVec;

use crate::array::{Array, At};
use crate::kernel::{column_sums_of, inlined, tensor_in_pieces};
use crate::ops::binary::sum;
use crate::ops::rows::{row, rows_of};
use crate::ops::{Forms, Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::sums::sums_here;
use crate::tensor::Tensor;

/// y = x ∘ γ + β, with γ and β along the last axis of x (…, n).
///
/// Bilinear in x and γ, linear in β.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affine;

/// Pairs of an array of rows and what is multiplied with it, which are summed.
type Terms<'a, T> = SmallVec<[[&'a Tensor<T>; 2]; 2]>;

/// Those of the terms that are there.
fn terms<T: Real>(terms: [Option<[&Tensor<T>; 2]>; 2]) -> Terms<'_, T> {
    terms.into_iter().flatten().collect()
}

impl Affine {
    /// The length of a row.
    #[track_caller]
    fn check(x: &[usize], gain: &[usize], offset: Option<&[usize]>) -> usize {
        match (x, gain, offset) {
            (&[.., n], &[m], None) if n == m => n,
            (&[.., n], &[m], Some(&[k])) if n == m && n == k => n,
            _ => panic!("affine: input {x:?}, gain {gain:?} and offset {offset:?} do not fit (…, n), (n), (n)"),
        }
    }

    /// Σ over rows of the terms ȳ ∘ x: what the gain receives. `None` without terms.
    fn gain_adjoint<T: Real>(gain: &[usize], terms: &Terms<'_, T>) -> Option<Tensor<T>> {
        match terms[..] {
            [] => None,
            [[ybar, x]] => Some(Tensor::filled(gain, |sums| {
                column_sums_of(
                    sums,
                    [ybar, x].map(Tensor::data),
                    #[inline(always)]
                    |[ybar, x]| ybar * x,
                );
            })),
            [[ybar, x], [other_ybar, other_x], ..] => Some(Tensor::filled(gain, |sums| {
                column_sums_of(
                    sums,
                    [ybar, x, other_ybar, other_x].map(Tensor::data),
                    #[inline(always)]
                    |[a, x, b, y]| a * x + b * y,
                );
            })),
        }
    }

    /// Σ of the terms x ∘ γ, in the shape of x. `None` without terms.
    fn summed<T: Real>(terms: &Terms<'_, T>) -> Option<Tensor<T>> {
        let shape = terms.first()?[0].shape();
        let (sum, _) = tensor_in_pieces(
            shape,
            shape.last().copied().unwrap_or(0),
            2,
            #[inline(always)]
            |i, out| {
                Affine::rows(terms, None, i, out);
                0.0
            },
        );
        Some(sum)
    }

    /// Σ of the terms x ∘ γ, and β, from row after row.
    #[inline(always)]
    fn rows<T: Real>(terms: &[[&Tensor<T>; 2]], offset: Option<&Tensor<T>>, i: usize, out: &mut [T]) {
        match offset {
            Some(offset) => out.copy_from_slice(offset.data()),
            None => out.fill(T::default()),
        }
        for [x, gain] in terms {
            let [x] = rows_of([*x], i);
            for ((out, x), gain) in out.iter_mut().zip(x).zip(gain.data()) {
                *out = *out + *x * *gain;
            }
        }
    }
}

impl Primitive for Affine {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "affine"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let n = Affine::check(x[0].shape(), x[1].shape(), x.get(2).map(|b| b.shape()));
        let value = inlined(
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                Affine::rows(&[[x[0], x[1]]], x.get(2).copied(), i, out);
                0.0
            },
        );
        tensor_in_pieces(x[0].shape(), n, 2, value).0
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let product = sum(dx[0].map(|d| d.times(x[1])), dx[1].map(|d| x[0].times(d)));
        sum(product, dx.get(2).copied().flatten().map(|d| d.broadcast_to(y.shape())))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || ybar.times(x[1]));
        out.add(1, || ybar.times(x[0]).sum_to(x[1].shape()));
        if x.len() > 2 {
            out.add(2, || ybar.sum_to(x[2].shape()));
        }
    }

    /// x̄ = ȳ ∘ γ, γ̄ = Σ rows ȳ ∘ x, β̄ = Σ rows ȳ.
    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        _y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        out.add_if_some(0, || Affine::summed(&terms([Some([ybar, x[1]]), None])));
        out.add_if_some(1, || Affine::gain_adjoint(x[1].shape(), &terms([Some([ybar, x[0]]), None])));
        if x.len() > 2 {
            out.add(2, || ybar.sum_to(x[2].shape()));
        }
    }

    /// ȳ̇ ∘ γ + ȳ ∘ γ̇, Σ rows (ȳ̇ ∘ x + ȳ ∘ ẋ), Σ rows ȳ̇.
    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let (x, gain, ybar) = (at.x[0], at.x[1], at.ybar);
        out.add_if_some(0, || Affine::summed(&terms([dybar.map(|d| [d, gain]), dx[1].map(|d| [ybar, d])])));
        let to_gain = || Affine::gain_adjoint(gain.shape(), &terms([dybar.map(|d| [d, x]), dx[0].map(|d| [ybar, d])]));
        out.add_if_some(1, to_gain);
        if let (Some(dybar), Some(offset)) = (dybar, at.x.get(2)) {
            out.add(2, || dybar.sum_to(offset.shape()));
        }
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        self.advance_fused(&Advance { x, y, ybar: None, dx, multiples: &[], forms: Forms::Cheapest })?.0
    }

    /// ẋ ∘ γ + x ∘ γ̇ + β̇ and 2⟨ȳ, ẋ ∘ γ̇⟩.
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let Advance { x, y, ybar, dx, .. } = *node;
        let terms = terms([dx[0].map(|d| [d, x[1]]), dx[1].map(|d| [x[0], d])]);
        let offset = dx.get(2).copied().flatten();
        let n = Affine::check(x[0].shape(), x[1].shape(), None);
        let (dy, term) = tensor_in_pieces(
            y.shape(),
            n,
            4,
            #[inline(always)]
            |i, dy| {
                Affine::rows(&terms, offset, i, dy);
                let (Some(dx), Some(gain), Some(ybar)) = (dx[0], dx[1], ybar) else { return 0.0 };
                let [ybar] = rows_of([ybar], i);
                let [curved] = sums_here(
                    [row(dx, i), ybar, gain.data()],
                    #[inline(always)]
                    |[dx, ybar, gain]| [dx * gain * ybar],
                );
                curved
            },
        );
        Some((Some(dy), 2.0 * term))
    }

    recorded_as!(Affine);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "affine: input [2, 3], gain [2] and offset Some([3]) do not fit (…, n), (n), (n)")]
    fn a_gain_of_another_length_is_refused() {
        let x = Tensor::full(&[2, 3], 1.0);
        x.affine(&Tensor::full(&[2], 1.0), Some(&Tensor::full(&[3], 0.0)));
    }
}
