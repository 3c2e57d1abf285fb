//! One head of one sequence, on tensors.

use super::Attention;
use crate::gemm::{Matrix, Onto, matmul_into};
use crate::kernel::inlined;
use crate::ops::rows::{self, Moving};
use crate::real::Real;
use crate::sums::{inner_here, sums_of_row_here};
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

/// Room for the matrices of one head after another: one buffer for all, since to get a buffer for each and to give it back takes longer than
/// many a loop over it.
pub(super) struct Room<'r, T>(&'r mut [T]);

impl<'r, T: Real> Room<'r, T> {
    /// Room in this buffer.
    pub(super) fn new(buffer: &'r mut [T]) -> Self {
        Room(buffer)
    }

    /// Numbers of no particular value.
    #[inline(always)]
    fn take(&mut self, len: usize) -> &'r mut [T] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(len);
        self.0 = rest;
        taken
    }
}

/// How many matrices a visit to a head needs room for.
#[derive(Clone, Copy)]
pub(super) struct Matrices {
    /// Of (positions × size).
    tall: usize,
    /// Of (positions × positions).
    square: usize,
}

impl Matrices {
    pub(super) const VALUE: Matrices = Matrices { tall: 4, square: 1 };
    pub(super) const TANGENT: Matrices = Matrices { tall: 7, square: 3 };
    pub(super) const COTANGENT: Matrices = Matrices { tall: 7, square: 3 };
    pub(super) const COTANGENT_TANGENT: Matrices = Matrices { tall: 11, square: 6 };
    pub(super) const ADVANCE: Matrices = Matrices { tall: 10, square: 5 };

    /// Numbers of all of them.
    pub(super) fn numbers(self, s: &Sizes) -> usize {
        s.positions * (self.tall * s.size + self.square * s.positions)
    }
}

/// A head of a sequence: its numbers Q/√d, K and V, and its shares P.
pub(super) struct Head<'r, T: Real> {
    at: Place<'r>,
    qkv: [&'r [T]; 3],
    p: &'r [T],
    room: Room<'r, T>,
}

/// Adjoints within a head that the output's gives: P̄ and S̄.
struct Adjoints<'r, T> {
    obar: &'r [T],
    pbar: &'r [T],
    sbar: &'r [T],
}

/// Tangents within a head: those of Q/√d, K and V, and Ṡ.
struct Tangents<'r, T> {
    qkv: [&'r [T]; 3],
    scores: &'r [T],
}

impl Place<'_> {
    /// The three parts of the input or its tangent, the first divided by √d.
    #[inline(always)]
    fn three<'r, T: Real>(&self, x: &Tensor<T>, room: &mut Room<'r, T>) -> [&'r [T]; 3] {
        let scale = T::from_f64(self.s.scale());
        let q = self.loaded(x, [3, 0], room);
        for q in q.iter_mut() {
            *q = *q * scale;
        }
        [q, self.loaded(x, [3, 1], room), self.loaded(x, [3, 2], room)]
    }

    /// The head's numbers in one of the `parts` of an array (batch, positions, parts · width), as (positions × size).
    #[inline(always)]
    fn loaded<'r, T: Real>(&self, x: &Tensor<T>, [parts, part]: [usize; 2], room: &mut Room<'r, T>) -> &'r mut [T] {
        let Sizes { positions, size, .. } = self.s;
        let width = parts * self.s.width();
        let rows = x.data()[self.sequence * positions * width..].chunks_exact(width);
        let from = part * self.s.width() + self.head * size;
        let out = room.take(positions * size);
        for (out, row) in out.chunks_exact_mut(size).zip(rows) {
            for (out, x) in out.iter_mut().zip(&row[from..from + size]) {
                *out = *x;
            }
        }
        out
    }

    /// The way back, into the stretch of the sequence, times a factor.
    #[inline(always)]
    fn store<T: Real>(&self, out: &mut [T], [parts, part]: [usize; 2], scale: f64, from: &[T]) {
        let (size, scale) = (self.s.size, T::from_f64(scale));
        let at = part * self.s.width() + self.head * size;
        for (out, from) in out.chunks_exact_mut(parts * self.s.width()).zip(from.chunks_exact(size)) {
            for (o, f) in out[at..at + size].iter_mut().zip(from) {
                *o = *f * scale;
            }
        }
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

    /// Σ a bᵀ of (positions × size) factors.
    #[inline(always)]
    fn scores<'b, 'r, T: Real>(
        &self,
        factors: impl Iterator<Item = [&'b [T]; 2]>,
        room: &mut Room<'r, T>,
    ) -> &'r mut [T] {
        let out = room.take(self.s.positions * self.s.positions);
        let mut onto = Onto::Nothing;
        for [a, b] in factors {
            matmul_into(out, onto, self.tall(a), self.tall(b).transpose());
            onto = Onto::Present;
        }
        out
    }

    /// Σ a b, or aᵀ b, of a (positions × positions) by a (positions × size) factor.
    #[inline(always)]
    fn mixed<'b, 'r, T: Real>(
        &self,
        turned: bool,
        factors: impl Iterator<Item = [&'b [T]; 2]>,
        room: &mut Room<'r, T>,
    ) -> &'r [T] {
        let out = room.take(self.s.positions * self.s.size);
        let mut onto = Onto::Nothing;
        for [a, b] in factors {
            let a = if turned { self.square(a).transpose() } else { self.square(a) };
            matmul_into(out, onto, a, self.tall(b));
            onto = Onto::Present;
        }
        out
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
            let (none, one) = (T::default(), T::from_f64(1.0));
            let share = if sum > none { one / sum } else { none };
            for s in row.iter_mut() {
                *s = *s * share;
            }
        }
    }
}

impl<'r, T: Real> Head<'r, T> {
    #[inline(always)]
    pub(super) fn new(at: Place<'r>, x: &Tensor<T>, mut room: Room<'r, T>) -> Self {
        let qkv = at.three(x, &mut room);
        let p = at.scores([[qkv[0], qkv[1]]].into_iter(), &mut room);
        at.softmax(p);
        Head { at, qkv, p, room }
    }

    /// A (positions × positions) array from what `f` makes of each row, and a sum.
    #[inline(always)]
    fn rows(&mut self, mut f: impl FnMut(usize, &mut [T]) -> f64) -> (&'r [T], f64) {
        let n = self.at.s.positions;
        let (out, mut sum) = (self.room.take(n * n), 0.0);
        for (i, row) in out.chunks_exact_mut(n).enumerate() {
            sum += f(i, row);
        }
        (out, sum)
    }

    /// P ∘ (v − Σ P ∘ v).
    #[inline(always)]
    fn spread(&mut self, v: &[T]) -> &'r [T] {
        let (n, p) = (self.at.s.positions, self.p);
        let row = inlined(
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                out.copy_from_slice(&v[i * n..][..n]);
                rows::centred_here(out, &p[i * n..][..n]);
                0.0
            },
        );
        self.rows(row).0
    }

    /// P with tangents of the scores and the adjoint of P.
    #[inline(always)]
    fn moving(&self, scores: &'r [T], pbar: &'r [T]) -> Moving<'r, T> {
        Moving { p: self.p, dx: scores, ybar: pbar, width: self.at.s.positions }
    }

    /// Σ a bᵀ.
    #[inline(always)]
    fn scores<'b>(&mut self, factors: impl Iterator<Item = [&'b [T]; 2]>) -> &'r mut [T] {
        self.at.scores(factors, &mut self.room)
    }

    /// Stores Σ a b, or Σ aᵀ b, of a (positions × positions) by a (positions × size) factor times a number, as one of the parts of `out`.
    #[inline(always)]
    fn store<'b>(
        &mut self,
        out: &mut [T],
        part: [usize; 2],
        scale: f64,
        turned: bool,
        factors: impl Iterator<Item = [&'b [T]; 2]>,
    ) {
        let product = self.mixed(turned, factors);
        self.at.store(out, part, scale, product);
    }

    /// Σ a b, or Σ aᵀ b, of a (positions × positions) by a (positions × size) factor.
    #[inline(always)]
    fn mixed<'b>(&mut self, turned: bool, factors: impl Iterator<Item = [&'b [T]; 2]>) -> &'r [T] {
        self.at.mixed(turned, factors, &mut self.room)
    }

    /// O = P V.
    #[inline(always)]
    pub(super) fn value(mut self, out: &mut [T]) {
        let factors = [[self.p, self.qkv[2]]];
        self.store(out, [1, 0], 1.0, false, factors.into_iter());
    }

    #[inline(always)]
    fn tangents(&mut self, dx: &Tensor<T>) -> Tangents<'r, T> {
        let qkv = self.at.three(dx, &mut self.room);
        let factors = [[qkv[0], self.qkv[1]], [self.qkv[0], qkv[1]]];
        Tangents { qkv, scores: self.scores(factors.into_iter()) }
    }

    /// Ȯ = Ṗ V + P V̇.
    #[inline(always)]
    fn output_tangent(&mut self, dp: &[T], dv: &[T], out: &mut [T]) {
        let factors = [[dp, self.qkv[2]], [self.p, dv]];
        self.store(out, [1, 0], 1.0, false, factors.into_iter());
    }

    #[inline(always)]
    pub(super) fn tangent(mut self, dx: &Tensor<T>, out: &mut [T]) {
        let d = self.tangents(dx);
        let dp = self.spread(d.scores);
        self.output_tangent(dp, d.qkv[2], out);
    }

    #[inline(always)]
    fn adjoints(&mut self, ybar: &Tensor<T>) -> Adjoints<'r, T> {
        let obar: &[T] = self.at.loaded(ybar, [1, 0], &mut self.room);
        let factors = [[obar, self.qkv[2]]];
        let pbar = self.scores(factors.into_iter());
        let sbar = self.spread(pbar);
        Adjoints { obar, pbar, sbar }
    }

    /// Q̄ = S̄ K/√d, K̄ = S̄ᵀ Q/√d and V̄ = Pᵀ Ō.
    #[inline(always)]
    pub(super) fn cotangent(mut self, ybar: &Tensor<T>, out: &mut [T]) {
        let Adjoints { obar, sbar, .. } = self.adjoints(ybar);
        let ([q, k, _], p) = (self.qkv, self.p);
        self.store(out, [3, 0], self.at.s.scale(), false, [[sbar, k]].into_iter());
        self.store(out, [3, 1], 1.0, true, [[sbar, q]].into_iter());
        self.store(out, [3, 2], 1.0, true, [[p, obar]].into_iter());
    }

    /// The derivative of [`cotangent`](Head::cotangent): that of S̄ as of softmax's adjoint, with P̄̇ = Ō̇Vᵀ + ŌV̇ᵀ, and the product
    /// rule for the rest.
    #[inline(always)]
    pub(super) fn cotangent_tangent(
        mut self,
        dx: &Tensor<T>,
        ybar: &Tensor<T>,
        dybar: Option<&Tensor<T>>,
        out: &mut [T],
    ) {
        let (n, [q, k, v], p) = (self.at.s.positions, self.qkv, self.p);
        let (d, bar) = (self.tangents(dx), self.adjoints(ybar));
        let [dq, dk, dv] = d.qkv;
        let dobar: Option<&[T]> = match dybar {
            Some(dybar) => Some(self.at.loaded(dybar, [1, 0], &mut self.room)),
            None => None,
        };
        let moved = dobar.map(|dobar| [dobar, v]);
        let dsbar = self.scores([[bar.obar, dv]].into_iter().chain(moved));
        let moving = self.moving(d.scores, bar.pbar);
        for (i, row) in dsbar.chunks_exact_mut(n).enumerate() {
            moving.row(i).adjoint_tangent_here(row);
        }
        let (sbar, dsbar) = (bar.sbar, &*dsbar);
        self.store(out, [3, 0], self.at.s.scale(), false, [[dsbar, k], [sbar, dk]].into_iter());
        self.store(out, [3, 1], 1.0, true, [[dsbar, q], [sbar, dq]].into_iter());
        let dp = self.spread(d.scores);
        let moved = dobar.map(|dobar| [p, dobar]);
        self.store(out, [3, 2], 1.0, true, [[dp, bar.obar]].into_iter().chain(moved));
    }

    /// Ȯ, and the curvature term.
    #[inline(always)]
    pub(super) fn advance(mut self, dx: &Tensor<T>, ybar: &Tensor<T>, out: &mut [T]) -> f64 {
        let (n, p) = (self.at.s.positions, self.p);
        let (d, bar) = (self.tangents(dx), self.adjoints(ybar));
        let [dq, dk, dv] = d.qkv;
        let row = inlined(
            #[inline(always)]
            |i: usize, dp: &mut [T]| {
                let (p, scores, sbar) = (&p[i * n..][..n], &d.scores[i * n..][..n], &bar.sbar[i * n..][..n]);
                let mean = rows::mean_here(p, scores);
                for ((dp, p), scores) in dp.iter_mut().zip(p).zip(scores) {
                    *dp = *p * (*scores - mean);
                }
                let [term] = sums_of_row_here(
                    [sbar, scores],
                    #[inline(always)]
                    |[sbar, scores]| [sbar * (scores - mean) * (scores - mean)],
                );
                term.to_f64()
            },
        );
        let (dp, of_softmax) = self.rows(row);
        self.output_tangent(dp, dv, out);
        let by_scores = self.mixed(false, [[bar.sbar, dk]].into_iter());
        let by_values = self.mixed(false, [[dp, dv]].into_iter());
        of_softmax + 2.0 * (inner_here(by_scores, dq) + inner_here(by_values, bar.obar))
    }
}
