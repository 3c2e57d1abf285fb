//! Multi-head self-attention.

mod generic;
mod head;

use std::sync::Arc;

use crate::array::{Array, At};
use crate::buffer::Buffer;
use crate::kernel::tensor_in_pieces;
use crate::levels::Levels;
use crate::ops::recorded_as;
use crate::primitive::{Advance, Cotangents, Kind, Primitive, Visit};
use crate::real::Real;
use crate::tensor::Tensor;

use head::{Head, Matrices, Place, Room, Sequence, Sizes};

/// Self-attention of the queries, keys and values that x (batch, positions, 3 · width) holds one after another, each cut into
/// heads of width / heads numbers; gives (batch, positions, width).
///
/// In each head O = P V with P = softmax(Q Kᵀ/√d) along the keys that a query may see. A query that sees none gives zeros.
/// Vaswani et al., *Attention is all you need*, arXiv 1706.03762, section 3.2.
///
/// Scores are computed head by head and kept for none: what a sweep needs of them it computes again, which costs less than
/// memory. On tensors, positions and the numbers of a head are rounded up to multiples of 16, and where attention is causal, keys that come after a query cost
/// nothing but for those in one block of 16 with it.
///
/// With S the scores, a dot for tangents, and a bar for adjoints:
///
/// ```text
///   Ṡ = (Q̇Kᵀ + QK̇ᵀ)/√d     Ṗ = P ∘ (Ṡ − Σ P ∘ Ṡ)       Ȯ = ṖV + PV̇
///   P̄ = ŌVᵀ                 S̄ = P ∘ (P̄ − Σ P ∘ P̄)       V̄ = PᵀŌ   Q̄ = S̄K/√d   K̄ = S̄ᵀQ/√d
///   Ō·Ö = 2⟨S̄K̇, Q̇/√d⟩ + ⟨S̄, D²⟩ + 2⟨ṖᵀŌ, V̇⟩            with D = Ṡ − Σ P ∘ Ṡ
/// ```
///
/// where sums are along the keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention {
    /// Number of heads; divides the width.
    pub heads: usize,
    /// Whether a query sees only the keys up to its own position.
    pub causal: bool,
    /// Which keys may be seen, (batch × positions); all of them where absent.
    pub keys: Option<Arc<[bool]>>,
}

impl Attention {
    /// Attention of this many heads to all keys.
    pub fn new(heads: usize) -> Self {
        Attention { heads, causal: false, keys: None }
    }

    /// Attention of this many heads to the keys up to the query's own position.
    pub fn causal(heads: usize) -> Self {
        Attention { causal: true, ..Attention::new(heads) }
    }

    #[track_caller]
    fn sizes(&self, shape: &[usize]) -> Sizes {
        let &[batch, positions, all] = shape else {
            panic!("attention: shape {shape:?} is not (batch, positions, 3 · width)");
        };
        let width = all / 3;
        let fits = self.heads > 0 && all == 3 * width && width.is_multiple_of(self.heads) && width > 0;
        assert!(
            fits,
            "attention of {} heads: the last axis of {shape:?} is not three times a multiple of them",
            self.heads
        );
        if let Some(keys) = &self.keys {
            assert!(keys.len() == batch * positions, "attention: {} keys' flags for shape {shape:?}", keys.len());
        }
        Sizes { batch, positions, heads: self.heads, size: width / self.heads, causal: self.causal }
    }

    /// An array (batch, positions, last), and a sum, from each head of each sequence: `f` is given the head, with room for so many matrices,
    /// what its sequence holds of each array, the input first, and the sequence's part of the result.
    fn by_heads<T: Real, const N: usize>(
        &self,
        arrays: [&Tensor<T>; N],
        last: usize,
        matrices: Matrices,
        f: impl Fn(Head<'_, T>, [Sequence<'_, T>; N], &mut [T]) -> f64 + Sync,
    ) -> (Tensor<T>, f64) {
        let s = self.sizes(arrays[0].shape());
        let read: usize = arrays.iter().map(|array| Sequence::<T>::numbers(&s, array.shape()[2])).sum();
        tensor_in_pieces(
            &[s.batch, s.positions, last],
            s.positions * last,
            4 * s.positions,
            #[inline(always)]
            |sequence, out| {
                let (mut sum, mut buffer) = (0.0, Buffer::stale(read + matrices.numbers(&s)));
                let (to_load, for_heads) = buffer.split_at_mut(read);
                let (mut room, mut loaded) = (Room::new(to_load), [Sequence::none(); N]);
                // Not by the array's `map`, which would not be inlined, hence not vectorised as its kernel is.
                for i in 0..N {
                    loaded[i] = Sequence::load(&s, sequence, arrays[i], &mut room);
                }
                for head in 0..s.heads {
                    let head = Head::new(Place { of: self, s, head, sequence }, loaded[0], Room::new(for_heads));
                    sum += f(head, loaded, out);
                }
                sum
            },
        )
    }

    /// The adjoint of the input.
    fn cotangent<T: Real>(&self, x: &Tensor<T>, ybar: &Tensor<T>) -> Tensor<T> {
        self.by_heads(
            [x, ybar],
            x.shape()[2],
            Matrices::COTANGENT,
            #[inline(always)]
            |head, [_, ybar], out| {
                head.cotangent(ybar, out);
                0.0
            },
        )
        .0
    }

    /// The tangent of that adjoint, given x, ẋ, ȳ and, where it moves, ȳ̇.
    fn cotangent_tangent<T: Real, const N: usize>(&self, arrays: [&Tensor<T>; N]) -> Tensor<T> {
        self.by_heads(
            arrays,
            arrays[0].shape()[2],
            Matrices::COTANGENT_TANGENT,
            #[inline(always)]
            |head, read, out| {
                head.cotangent_tangent(read[1], read[2], read.get(3).copied(), out);
                0.0
            },
        )
        .0
    }
}

impl Primitive for Attention {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "attention"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let width = self.sizes(x[0].shape()).width();
        self.by_heads(
            [x[0]],
            width,
            Matrices::VALUE,
            #[inline(always)]
            |head, _, out| {
                head.value(out);
                0.0
            },
        )
        .0
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        Some(self.tangent(x[0], dx[0]?))
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.adjoint(x[0], ybar));
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        let dx = dx[0]?;
        let (dy, _) = self.by_heads(
            [x[0], dx],
            y.shape()[2],
            Matrices::TANGENT,
            #[inline(always)]
            |head, [_, dx], out| {
                head.tangent(dx, out);
                0.0
            },
        );
        Some(dy)
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        _y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        out.add(0, || self.cotangent(x[0], ybar));
    }

    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let x = at.x[0];
        out.add_if_some(0, || match (dx[0], dybar) {
            (None, None) => None,
            (None, Some(dybar)) => Some(self.cotangent(x, dybar)),
            (Some(dx), None) => Some(self.cotangent_tangent([x, dx, at.ybar])),
            (Some(dx), Some(dybar)) => Some(self.cotangent_tangent([x, dx, at.ybar, dybar])),
        });
    }

    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        self.vjp_tangent_fused(at, dx, None, out);
    }

    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (dx, ybar) = (node.dx[0]?, node.ybar?);
        let (dy, term) = self.by_heads(
            [node.x[0], dx, ybar],
            node.y.shape()[2],
            Matrices::ADVANCE,
            #[inline(always)]
            |head, [_, dx, ybar], out| head.advance(dx, ybar, out),
        );
        Some((Some(dy), term))
    }

    /// In products of a head's scores, (positions × size) by (size × positions), as far as they are computed.
    fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64 {
        let products = match *visit {
            Visit::Value => 2,
            Visit::Tangent { .. } | Visit::Cotangents { .. } | Visit::Advance { curved: false, .. } => 5,
            Visit::CotangentTangents { moving: &[false, ..], .. } => 5,
            Visit::CotangentTangents { carried: false, .. } => 10,
            Visit::CotangentTangents { .. } => 12,
            Visit::Advance { .. } => 8,
        };
        products * self.sizes(shapes[0]).small_flops()
    }

    fn nested_flops(&self, shapes: &[&[usize]], inputs: &[Levels]) -> Option<(Levels, u64)> {
        let x = inputs[0];
        Some((x.function(), nested_flops(x, 3, &self.sizes(shapes[0]))))
    }

    recorded_as!(Attention);
}

/// Operations of attention on duals of so many levels, of an input with these parts.
fn nested_flops(x: Levels, levels: u8, s: &Sizes) -> u64 {
    let Some(outermost) = levels.checked_sub(1) else { return 2 * s.small_flops() };
    let (x, tangent) = x.split(outermost);
    nested_flops(x, outermost, s) + tangent.map_or(0, |dx| tangent_flops(x, dx, outermost, s))
}

/// Operations of a tangent on duals of so many levels: of the fused one on tensors, else of the [rule](Attention::tangent).
fn tangent_flops(x: Levels, dx: Levels, levels: u8, s: &Sizes) -> u64 {
    if levels == 0 {
        return 5 * s.small_flops();
    }
    let (scores, first) = x.product(x);
    let p = scores.function();
    let (moved, second) = dx.product(x);
    // Twice: that of the keys, too.
    let spread = p.product(moved | p.product(moved).0).0;
    (first + 2 * second + spread.product(x).1 + p.product(dx).1) * s.product_flops()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;

    use super::*;
    use crate::ops::Ops;
    use crate::{check, curvature, hvp};

    /// Positions beyond the lanes that sums are interleaved in, and not a multiple of them.
    const POSITIONS: usize = 37;

    /// To all keys, causal, and with keys hidden, so that the first query sees none.
    fn kinds() -> [Attention; 3] {
        let open: Vec<bool> = (0..POSITIONS).map(|i| i % 3 != 0).collect();
        [Attention::new(2), Attention::causal(1), Attention { keys: Some(open.into()), ..Attention::causal(2) }]
    }

    fn wave(step: f64) -> Tensor<f64> {
        wave_of(&[1, POSITIONS, 6], step)
    }

    fn wave_of(shape: &[usize], step: f64) -> Tensor<f64> {
        Tensor::from_fn(shape, |i| (step * i as f64 + 0.4).sin())
    }

    /// Σ y².
    fn squares<A: Array>(attention: &Attention, x: &A) -> A {
        A::apply(attention.clone(), &[x]).square().sum_all()
    }

    #[test]
    fn rows_longer_than_the_lanes_pass_the_checks() {
        for attention in kinds() {
            check::primitive(&attention, &[wave(1.7)]).unwrap();
        }
    }

    /// Whole units and a bit more or less of positions and of a head's numbers, and several sequences.
    #[test]
    fn sizes_about_whole_units_pass_the_checks() {
        for (batch, positions, size) in [(2, 16, 1), (1, 17, 2), (1, 3, 17), (1, 2, 33)] {
            for attention in [Attention::new(1), Attention::causal(1)] {
                check::primitive(&attention, &[wave_of(&[batch, positions, 3 * size], 1.7)]).unwrap();
            }
        }
    }

    #[test]
    fn a_query_that_sees_nothing_gives_zeros_and_has_no_derivative() {
        let attention = Attention { keys: Some([false; 20].into()), ..Attention::new(1) };
        let x = wave_of(&[1, 20, 6], 1.7);
        let (y, gradient, hv) = hvp(|x| squares(&attention, x), &x, &wave_of(&[1, 20, 6], 0.9));
        assert_eq!(y, Tensor::scalar(0.0));
        assert!(gradient.data().iter().chain(hv.data()).all(|d| *d == 0.0));
    }

    /// Also along a direction whose squares leave the range of single precision.
    #[test]
    fn single_precision_agrees_with_double() {
        for attention in kinds() {
            for scale in [1.0, 1e-24] {
                let (x, v) = (wave(1.7), wave(0.9).scale(scale));
                let (x32, v32) = (x.cast::<f32>(), v.cast::<f32>());
                let double = curvature(|x| squares(&attention, x), &x, &v).total;
                let single = curvature(|x| squares(&attention, x), &x32, &v32).total;
                assert_relative_eq!(single, double, max_relative = 1e-4, epsilon = 0.0);

                let double = hvp(|x| squares(&attention, x), &x, &v).2;
                let single = hvp(|x| squares(&attention, x), &x32, &v32).2;
                for (single, double) in single.data().iter().zip(double.data()) {
                    assert_relative_eq!(f64::from(*single), *double, max_relative = 1e-3, epsilon = 1e-5 * scale);
                }
            }
        }
    }
}
