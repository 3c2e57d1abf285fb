//! One head of one sequence, on tensors.

use super::Attention;
use crate::gemm::{Matrix, Onto, matmul_into};
use crate::ops::rows;
use crate::real::Real;
use crate::sums::{inner_here, sums_here, sums_of_row_here};
use crate::tensor::Tensor;

/// The sizes of an attention.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) positions: usize,
    pub(super) heads: usize,
    /// Numbers of a head's query, d.
    pub(super) size: usize,
}

impl Sizes {
    /// Numbers of a position of the output.
    pub(super) fn width(&self) -> usize {
        self.heads * self.size
    }

    /// Floating-point operations of one product of all heads, (positions × size) by (size × positions).
    pub(super) fn product_flops(&self) -> u64 {
        2 * (self.batch * self.heads * self.positions * self.positions * self.size) as u64
    }
}

/// Which head of which sequence.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) of: &'a Attention,
    pub(super) s: Sizes,
    pub(super) sequence: usize,
    pub(super) head: usize,
}

/// Room for matrices, handed out one after another from one buffer: to get a buffer for each and to give it back takes longer than many a
/// loop over it. Each begins where a line of the cache does.
pub(super) struct Room<'r, T>(&'r mut [T]);

impl<'r, T: Real> Room<'r, T> {
    /// Room in this buffer.
    pub(super) fn new(buffer: &'r mut [T]) -> Self {
        Room(buffer)
    }

    /// Numbers of no particular value.
    #[inline(always)]
    fn take(&mut self, len: usize) -> &'r mut [T] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(whole_lines(len));
        self.0 = rest;
        &mut taken[..len]
    }
}

/// The numbers of whole lines of the cache, of 16 in single precision, that hold so many.
pub(super) fn whole_lines(len: usize) -> usize {
    len.next_multiple_of(16)
}

/// What a sequence holds of an array (batch, positions, parts · width): each part of each head as (positions × size), one after another. Of three
/// parts the first is divided by √d.
///
/// Rows are read from the first to the last number, once for all heads, so that the processor fetches them ahead.
#[derive(Clone, Copy)]
pub(super) struct Sequence<'r, T>(&'r [T]);

impl<'r, T: Real> Sequence<'r, T> {
    #[inline(always)]
    pub(super) fn load(s: &Sizes, sequence: usize, x: &Tensor<T>, room: &mut Room<'r, T>) -> Self {
        let Sizes { positions, size, heads, .. } = *s;
        let (width, one) = (x.shape()[2], T::from_f64(1.0));
        let scale = if width == 3 * s.width() { T::from_f64(s.scale()) } else { one };
        let out = room.take(positions * width);
        for (position, row) in x.data()[sequence * positions * width..][..out.len()].chunks_exact(width).enumerate() {
            for (i, from) in row.chunks_exact(size).enumerate() {
                let factor = if i < heads { scale } else { one };
                for (out, x) in out[(i * positions + position) * size..][..size].iter_mut().zip(from) {
                    *out = *x * factor;
                }
            }
        }
        Sequence(out)
    }

    /// No array.
    pub(super) fn none() -> Self {
        Sequence(&[])
    }
}

/// How many matrices a visit to a head needs room for, beside what it reads.
#[derive(Clone, Copy)]
pub(super) struct Matrices {
    /// Of (positions × size).
    tall: usize,
    /// Of (positions × positions).
    square: usize,
}

impl Matrices {
    pub(super) const VALUE: Matrices = Matrices { tall: 1, square: 1 };
    pub(super) const TANGENT: Matrices = Matrices { tall: 1, square: 2 };
    pub(super) const COTANGENT: Matrices = Matrices { tall: 3, square: 2 };
    pub(super) const COTANGENT_TANGENT: Matrices = Matrices { tall: 3, square: 4 };
    pub(super) const ADVANCE: Matrices = Matrices { tall: 3, square: 3 };

    /// Numbers of all of them.
    pub(super) fn numbers(self, s: &Sizes) -> usize {
        self.tall * whole_lines(s.positions * s.size) + self.square * whole_lines(s.positions * s.positions)
    }
}

/// A head of a sequence: its numbers Q/√d, K and V, and its shares P.
pub(super) struct Head<'r, T: Real> {
    at: Place<'r>,
    qkv: [&'r [T]; 3],
    p: &'r [T],
    room: Room<'r, T>,
}

impl Place<'_> {
    /// The head's numbers in one of the parts of an array.
    #[inline(always)]
    fn part<'r, T: Real>(&self, of: Sequence<'r, T>, part: usize) -> &'r [T] {
        let numbers = self.s.positions * self.s.size;
        &of.0[(part * self.s.heads + self.head) * numbers..][..numbers]
    }

    /// The three parts of the input or its tangent, the first divided by √d.
    #[inline(always)]
    fn three<'r, T: Real>(&self, of: Sequence<'r, T>) -> [&'r [T]; 3] {
        [self.part(of, 0), self.part(of, 1), self.part(of, 2)]
    }

    /// A (positions × size) matrix.
    #[inline(always)]
    fn tall<'b, T: Real>(&self, data: &'b [T]) -> Matrix<'b, T> {
        Matrix::new(data, self.s.positions, self.s.size, false)
    }

    /// A (positions × positions) matrix.
    #[inline(always)]
    fn square<'b, T: Real>(&self, data: &'b [T]) -> Matrix<'b, T> {
        Matrix::new(data, self.s.positions, self.s.positions, false)
    }

    /// Replaces scores by shares. The exponentials of all rows are one loop; those of keys that a query does not see are dropped after
    /// it: setting their scores to −∞ before would be slower.
    #[inline(always)]
    fn softmax<T: Real>(&self, scores: &mut [T]) {
        let n = self.s.positions;
        let lowest = T::from_f64(f64::NEG_INFINITY);
        let seen = |query: usize| if self.of.causal { query + 1 } else { n };
        let keys = self.of.keys.as_ref().map(|keys| &keys[self.sequence * n..][..n]);
        for (query, row) in scores.chunks_exact_mut(n).enumerate() {
            if let Some(keys) = keys {
                row.iter_mut().zip(keys).for_each(|(s, open)| *s = if *open { *s } else { lowest });
            }
            let top = rows::shift(&row[..seen(query)]);
            for s in row.iter_mut() {
                *s = *s - top;
            }
        }
        for s in scores.iter_mut() {
            *s = s.exp();
        }
        for (query, row) in scores.chunks_exact_mut(n).enumerate() {
            row[seen(query)..].fill(T::default());
            // A query that sees no key has exponentials of −∞ alone, and no shares.
            let [sum] = sums_of_row_here(
                [row],
                #[inline(always)]
                |[s]| [s],
            );
            let share = if sum > 0.0 { T::from_f64(1.0 / sum) } else { T::default() };
            for s in row.iter_mut() {
                *s = *s * share;
            }
        }
    }
}

impl<'r, T: Real> Head<'r, T> {
    #[inline(always)]
    pub(super) fn new(at: Place<'r>, x: Sequence<'r, T>, room: Room<'r, T>) -> Self {
        let mut head = Head { at, qkv: at.three(x), p: &[], room };
        let [q, k, _] = head.qkv;
        let p = head.scores([[q, k]].into_iter());
        at.softmax(p);
        head.p = p;
        head
    }

    /// P ∘ (v − Σ P ∘ v) in the place of v.
    #[inline(always)]
    fn spread(&self, v: &'r mut [T]) -> &'r [T] {
        let n = self.at.s.positions;
        for (v, p) in v.chunks_exact_mut(n).zip(self.p.chunks_exact(n)) {
            rows::centred_here(v, p);
        }
        v
    }

    /// Σ a bᵀ of (positions × size) factors.
    #[inline(always)]
    fn scores<'b>(&mut self, factors: impl Iterator<Item = [&'b [T]; 2]>) -> &'r mut [T] {
        let at = &self.at;
        let (out, mut onto) = (self.room.take(at.s.positions * at.s.positions), Onto::Nothing);
        for [a, b] in factors {
            matmul_into(out, onto, at.tall(a), at.tall(b).transpose());
            onto = Onto::Present;
        }
        out
    }

    /// Σ a b, or Σ aᵀ b, of a (positions × positions) by a (positions × size) factor.
    #[inline(always)]
    fn mixed<'b>(&mut self, turned: bool, factors: impl Iterator<Item = [&'b [T]; 2]>) -> &'r [T] {
        let at = &self.at;
        let (out, mut onto) = (self.room.take(at.s.positions * at.s.size), Onto::Nothing);
        for [a, b] in factors {
            let a = if turned { at.square(a).transpose() } else { at.square(a) };
            matmul_into(out, onto, a, at.tall(b));
            onto = Onto::Present;
        }
        out
    }

    /// Stores such a sum times a factor as one of the parts in the sequence's stretch of the result.
    #[inline(always)]
    fn store<'b>(
        &mut self,
        out: &mut [T],
        [parts, part]: [usize; 2],
        scale: f64,
        turned: bool,
        factors: impl Iterator<Item = [&'b [T]; 2]>,
    ) {
        let (from, s, scale) = (self.mixed(turned, factors), self.at.s, T::from_f64(scale));
        let at = part * s.width() + self.at.head * s.size;
        for (out, from) in out.chunks_exact_mut(parts * s.width()).zip(from.chunks_exact(s.size)) {
            for (o, f) in out[at..at + s.size].iter_mut().zip(from) {
                *o = *f * scale;
            }
        }
    }

    /// O = P V.
    #[inline(always)]
    pub(super) fn value(mut self, out: &mut [T]) {
        let factors = [[self.p, self.qkv[2]]];
        self.store(out, [1, 0], 1.0, false, factors.into_iter());
    }

    /// Ṡ, given the tangents of Q/√d and K.
    #[inline(always)]
    fn scores_tangent(&mut self, dq: &[T], dk: &[T]) -> &'r mut [T] {
        let factors = [[dq, self.qkv[1]], [self.qkv[0], dk]];
        self.scores(factors.into_iter())
    }

    /// Ȯ = Ṗ V + P V̇.
    #[inline(always)]
    fn output_tangent(&mut self, dp: &[T], dv: &[T], out: &mut [T]) {
        let factors = [[dp, self.qkv[2]], [self.p, dv]];
        self.store(out, [1, 0], 1.0, false, factors.into_iter());
    }

    #[inline(always)]
    pub(super) fn tangent(mut self, dx: Sequence<'r, T>, out: &mut [T]) {
        let [dq, dk, dv] = self.at.three(dx);
        let scores = self.scores_tangent(dq, dk);
        let dp = self.spread(scores);
        self.output_tangent(dp, dv, out);
    }

    /// P̄ = Ō Vᵀ.
    #[inline(always)]
    fn shares_adjoint(&mut self, obar: &[T]) -> &'r mut [T] {
        let factors = [[obar, self.qkv[2]]];
        self.scores(factors.into_iter())
    }

    /// Q̄ = S̄ K/√d, K̄ = S̄ᵀ Q/√d and V̄ = Pᵀ Ō.
    #[inline(always)]
    pub(super) fn cotangent(mut self, ybar: Sequence<'r, T>, out: &mut [T]) {
        let (obar, [q, k, _], p) = (self.at.part(ybar, 0), self.qkv, self.p);
        let pbar = self.shares_adjoint(obar);
        let sbar = self.spread(pbar);
        self.store(out, [3, 0], self.at.s.scale(), false, [[sbar, k]].into_iter());
        self.store(out, [3, 1], 1.0, true, [[sbar, q]].into_iter());
        self.store(out, [3, 2], 1.0, true, [[p, obar]].into_iter());
    }

    /// The derivative of [`cotangent`](Head::cotangent): that of S̄ as of softmax's adjoint, with P̄̇ = Ō̇Vᵀ + ŌV̇ᵀ, and the product
    /// rule for the rest.
    #[inline(always)]
    pub(super) fn cotangent_tangent(
        mut self,
        dx: Sequence<'r, T>,
        ybar: Sequence<'r, T>,
        dybar: Option<Sequence<'r, T>>,
        out: &mut [T],
    ) {
        let (n, [q, k, v], p) = (self.at.s.positions, self.qkv, self.p);
        let ([dq, dk, dv], obar) = (self.at.three(dx), self.at.part(ybar, 0));
        let dobar = dybar.map(|dybar| self.at.part(dybar, 0));
        let (dp, sbar) = (self.scores_tangent(dq, dk), self.shares_adjoint(obar));
        let moved = dobar.map(|dobar| [dobar, v]);
        let dsbar = self.scores([[obar, dv]].into_iter().chain(moved));
        // Ṗ and S̄ in the places of Ṡ and P̄, and P ∘ (w − Σ P ∘ w) of w = P̄̇ + (Ṡ − Σ P ∘ Ṡ) ∘ (P̄ − Σ P ∘ P̄) in that of P̄̇.
        let squares = dp.chunks_exact_mut(n).zip(sbar.chunks_exact_mut(n)).zip(dsbar.chunks_exact_mut(n));
        for (((dp, sbar), dsbar), p) in squares.zip(p.chunks_exact(n)) {
            let (of_scores, of_adjoint) = (rows::mean_here(p, dp), rows::mean_here(p, sbar));
            for (((d, b), w), p) in dp.iter_mut().zip(sbar).zip(&mut *dsbar).zip(p) {
                let (off, bar_off) = (*d - of_scores, *b - of_adjoint);
                *w = *w + off * bar_off;
                *d = *p * off;
                *b = *p * bar_off;
            }
            rows::centred_here(dsbar, p);
        }
        let (dp, sbar, dsbar) = (&*dp, &*sbar, &*dsbar);
        self.store(out, [3, 0], self.at.s.scale(), false, [[dsbar, k], [sbar, dk]].into_iter());
        self.store(out, [3, 1], 1.0, true, [[dsbar, q], [sbar, dq]].into_iter());
        let moved = dobar.map(|dobar| [p, dobar]);
        self.store(out, [3, 2], 1.0, true, [[dp, obar]].into_iter().chain(moved));
    }

    /// Ȯ, and the curvature term.
    #[inline(always)]
    pub(super) fn advance(mut self, dx: Sequence<'r, T>, ybar: Sequence<'r, T>, out: &mut [T]) -> f64 {
        let (n, [dq, dk, dv], obar) = (self.at.s.positions, self.at.three(dx), self.at.part(ybar, 0));
        let (dp, pbar) = (self.scores_tangent(dq, dk), self.shares_adjoint(obar));
        let (sbar, mut term) = (self.spread(pbar), 0.0);
        // Ṗ in the place of Ṡ.
        for ((scores, sbar), p) in dp.chunks_exact_mut(n).zip(sbar.chunks_exact(n)).zip(self.p.chunks_exact(n)) {
            let mean = rows::mean_here(p, scores);
            // In double precision: of a direction of small numbers the square may leave the range of single precision.
            let of_scores = mean.to_f64();
            let [of_row] = sums_here(
                [sbar, scores],
                #[inline(always)]
                |[sbar, scores]| [sbar * (scores - of_scores) * (scores - of_scores)],
            );
            term += of_row;
            for (scores, p) in scores.iter_mut().zip(p) {
                *scores = *p * (*scores - mean);
            }
        }
        let dp = &*dp;
        self.output_tangent(dp, dv, out);
        let by_scores = self.mixed(false, [[sbar, dk]].into_iter());
        let by_values = self.mixed(false, [[dp, dv]].into_iter());
        term + 2.0 * (inner_here(by_scores, dq) + inner_here(by_values, obar))
    }
}
