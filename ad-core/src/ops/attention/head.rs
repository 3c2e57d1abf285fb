//! One head of one sequence, on tensors.

use super::Attention;
use crate::gemm::{SmallSizes, Square, UNIT, small_into};
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
    /// Whether a query sees only the keys up to its own position.
    pub(super) causal: bool,
}

impl Sizes {
    /// Numbers of a position of the output.
    pub(super) fn width(&self) -> usize {
        self.heads * self.size
    }

    /// Floating-point operations of one product of all heads, (positions × size) by (size × positions), in the rules for any array.
    pub(super) fn product_flops(&self) -> u64 {
        2 * (self.batch * self.heads * self.positions * self.positions * self.size) as u64
    }

    /// Floating-point operations of one as it is computed on tensors: of whole units, and of a causal one those below the diagonal.
    pub(super) fn small_flops(&self) -> u64 {
        (self.batch * self.heads) as u64 * self.small().flops()
    }

    /// Positions and numbers with zeros added to whole units.
    pub(super) fn small(&self) -> SmallSizes {
        let [n, d] = [self.positions, self.size].map(|len| len.next_multiple_of(UNIT));
        SmallSizes { n, d, lower: self.causal }
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
/// loop over it. Each begins where a line of the cache does, as all are of whole units.
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

/// What a sequence holds of an array (batch, positions, parts · width): each part of each head as (positions × size), one after another, with zeros
/// to whole units. Of three parts the first is divided by √d.
///
/// Rows are read from the first to the last number, once for all heads, so that the processor fetches them ahead.
#[derive(Clone, Copy)]
pub(super) struct Sequence<'r, T>(&'r [T]);

impl<'r, T: Real> Sequence<'r, T> {
    /// How many numbers it has of an array with so many for a position.
    pub(super) fn numbers(s: &Sizes, width: usize) -> usize {
        let SmallSizes { n, d, .. } = s.small();
        width / s.size * n * d
    }

    #[inline(always)]
    pub(super) fn load(s: &Sizes, sequence: usize, x: &Tensor<T>, room: &mut Room<'r, T>) -> Self {
        let (Sizes { positions, size, heads, .. }, SmallSizes { n, d, .. }) = (*s, s.small());
        let (width, one) = (x.shape()[2], T::from_f64(1.0));
        let scale = if width == 3 * s.width() { T::from_f64(s.scale()) } else { one };
        let out = room.take(Self::numbers(s, width));
        if [n, d] != [positions, size] {
            out.fill(T::default());
        }
        for position in 0..positions {
            let [row] = rows::rows_of([x], sequence * positions + position);
            for (i, from) in row.chunks_exact(size).enumerate() {
                let factor = if i < heads { scale } else { one };
                for (out, x) in out[(i * n + position) * d..][..size].iter_mut().zip(from) {
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
    /// Of (positions × size), or its transpose.
    tall: usize,
    /// Of (positions × positions).
    square: usize,
}

impl Matrices {
    pub(super) const VALUE: Matrices = Matrices { tall: 2, square: 1 };
    pub(super) const TANGENT: Matrices = Matrices { tall: 3, square: 2 };
    pub(super) const COTANGENT: Matrices = Matrices { tall: 5, square: 2 };
    pub(super) const COTANGENT_TANGENT: Matrices = Matrices { tall: 7, square: 4 };
    pub(super) const ADVANCE: Matrices = Matrices { tall: 6, square: 3 };

    /// Numbers of all of them.
    pub(super) fn numbers(self, s: &Sizes) -> usize {
        let SmallSizes { n, d, .. } = s.small();
        self.tall * n * d + self.square * n * n
    }
}

/// A head of a sequence: its numbers Q/√d, K and V, and its shares P.
///
/// Of a causal head's (positions × positions) matrices there are blocks of [`UNIT`] on and below the diagonal, and no others; in blocks on it, shares and
/// what is multiplied by them are 0 above the diagonal.
pub(super) struct Head<'r, T: Real> {
    at: Place<'r>,
    small: SmallSizes,
    qkv: [&'r [T]; 3],
    /// Kᵀ.
    k_turned: &'r [T],
    p: &'r [T],
    room: Room<'r, T>,
}

impl Place<'_> {
    /// The head's numbers in one of the parts of an array.
    #[inline(always)]
    fn part<'r, T: Real>(&self, of: Sequence<'r, T>, part: usize) -> &'r [T] {
        let SmallSizes { n, d, .. } = self.s.small();
        &of.0[(part * self.s.heads + self.head) * n * d..][..n * d]
    }

    /// The three parts of the input or its tangent, the first divided by √d.
    #[inline(always)]
    fn three<'r, T: Real>(&self, of: Sequence<'r, T>) -> [&'r [T]; 3] {
        [self.part(of, 0), self.part(of, 1), self.part(of, 2)]
    }

    /// Replaces scores by shares. Keys in the last block of its row that come after a query, and those added to whole units, are left out of its
    /// maximum, and dropped after exponentials are taken: those of −∞ would be slow, as what rounds to 0 by underflow is.
    #[inline(always)]
    fn softmax<T: Real>(&self, scores: &mut [T]) {
        let (positions, small) = (self.s.positions, self.s.small());
        let lowest = T::from_f64(f64::NEG_INFINITY);
        // How much a query sees of the last block of its row.
        let seen = |query: usize| (if self.s.causal { query } else { positions - 1 }) % UNIT;
        let keys = self.of.keys.as_ref().map(|keys| &keys[self.sequence * positions..][..positions]);
        let (rows, beyond) = scores.split_at_mut(positions * small.n);
        beyond.fill(T::default());
        // Three loops, each over all rows: what one row waits for in one, the next does meanwhile.
        for (query, row) in rows.chunks_exact_mut(small.n).enumerate() {
            let row = &mut row[..small.within(query)];
            if let Some(keys) = keys {
                row.iter_mut().zip(keys).for_each(|(s, open)| *s = if *open { *s } else { lowest });
            }
            let (last, others) = row.as_chunks::<UNIT>().0.split_last().expect("rows are of whole blocks");
            let (mut lanes, seen) = (*last, seen(query));
            for (l, s) in lanes.iter_mut().enumerate() {
                *s = if l > seen { lowest } else { *s };
            }
            let shift = rows::shift_by_top(rows::top_of_blocks(lanes, others));
            for s in row.iter_mut() {
                *s = *s - shift;
            }
        }
        for (query, row) in rows.chunks_exact_mut(small.n).enumerate() {
            for s in &mut row[..small.within(query)] {
                *s = s.exp();
            }
        }
        for (query, row) in rows.chunks_exact_mut(small.n).enumerate() {
            let row = &mut row[..small.within(query)];
            // The whole block is written: what is written in part and then read as a vector has to be waited for.
            let (last, seen) =
                (row.as_chunks_mut::<UNIT>().0.last_mut().expect("rows are of whole blocks"), seen(query));
            for (l, s) in last.iter_mut().enumerate() {
                *s = if l > seen { T::default() } else { *s };
            }
            // A query that sees no key has exponentials of −∞ alone, and no shares.
            let [sum] = sums_of_row_here(
                [&*row],
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
        let mut head = Head { at, small: at.s.small(), qkv: at.three(x), k_turned: &[], p: &[], room };
        let [q, k, _] = head.qkv;
        head.k_turned = head.turned(k);
        let p = head.scores(&[[q, head.k_turned]]);
        at.softmax(p);
        head.p = p;
        head
    }

    /// The transpose of a (positions × size) matrix.
    #[inline(always)]
    fn turned(&mut self, a: &[T]) -> &'r [T] {
        let SmallSizes { n, d, .. } = self.small;
        let out = self.room.take(n * d);
        for (block, a) in a.chunks_exact(UNIT * d).enumerate() {
            let mut rows = [a; UNIT];
            for r in 0..UNIT {
                rows[r] = &a[r * d..][..d];
            }
            for (j, out) in out.chunks_exact_mut(n).enumerate() {
                let mut column = [T::default(); UNIT];
                for r in 0..UNIT {
                    column[r] = rows[r][j];
                }
                out[block * UNIT..][..UNIT].copy_from_slice(&column);
            }
        }
        out
    }

    /// P ∘ (v − Σ P ∘ v) in the place of v.
    #[inline(always)]
    fn spread(&self, v: &'r mut [T]) -> &'r [T] {
        let n = self.small.n;
        for (query, (v, p)) in v.chunks_exact_mut(n).zip(self.p.chunks_exact(n)).enumerate() {
            let within = self.small.within(query);
            rows::centred_here(&mut v[..within], &p[..within]);
        }
        v
    }

    /// Σ a b of (positions × size) by (size × positions) factors.
    #[inline(always)]
    fn scores(&mut self, factors: &[[&[T]; 2]]) -> &'r mut [T] {
        let out = self.room.take(self.small.n * self.small.n);
        small_into(out, Square::Result, self.small, factors);
        out
    }

    /// Σ a b, or Σ aᵀ b, of a (positions × positions) by a (positions × size) factor.
    #[inline(always)]
    fn mixed(&mut self, square: Square, factors: &[[&[T]; 2]]) -> &'r [T] {
        let out = self.room.take(self.small.n * self.small.d);
        small_into(out, square, self.small, factors);
        out
    }

    /// Stores such a sum times a factor as one of the parts in the sequence's stretch of the result.
    #[inline(always)]
    fn store(&mut self, out: &mut [T], [parts, part]: [usize; 2], scale: f64, square: Square, factors: &[[&[T]; 2]]) {
        let (from, s, scale) = (self.mixed(square, factors), self.at.s, T::from_f64(scale));
        let at = part * s.width() + self.at.head * s.size;
        for (out, from) in out.chunks_exact_mut(parts * s.width()).zip(from.chunks_exact(self.small.d)) {
            for (o, f) in out[at..at + s.size].iter_mut().zip(from) {
                *o = *f * scale;
            }
        }
    }

    /// O = P V.
    #[inline(always)]
    pub(super) fn value(mut self, out: &mut [T]) {
        let factors = [[self.p, self.qkv[2]]];
        self.store(out, [1, 0], 1.0, Square::First, &factors);
    }

    /// Ṡ, given the tangent of Q/√d and the transpose of that of K.
    #[inline(always)]
    fn scores_tangent(&mut self, dq: &[T], dk_turned: &[T]) -> &'r mut [T] {
        let factors = [[dq, self.k_turned], [self.qkv[0], dk_turned]];
        self.scores(&factors)
    }

    /// Ȯ = Ṗ V + P V̇.
    #[inline(always)]
    fn output_tangent(&mut self, dp: &[T], dv: &[T], out: &mut [T]) {
        let factors = [[dp, self.qkv[2]], [self.p, dv]];
        self.store(out, [1, 0], 1.0, Square::First, &factors);
    }

    #[inline(always)]
    pub(super) fn tangent(mut self, dx: Sequence<'r, T>, out: &mut [T]) {
        let [dq, dk, dv] = self.at.three(dx);
        let dk_turned = self.turned(dk);
        let scores = self.scores_tangent(dq, dk_turned);
        let dp = self.spread(scores);
        self.output_tangent(dp, dv, out);
    }

    /// P̄ = Ō Vᵀ.
    #[inline(always)]
    fn shares_adjoint(&mut self, obar: &[T], v_turned: &[T]) -> &'r mut [T] {
        self.scores(&[[obar, v_turned]])
    }

    /// Q̄ = S̄ K/√d, K̄ = S̄ᵀ Q/√d and V̄ = Pᵀ Ō.
    #[inline(always)]
    pub(super) fn cotangent(mut self, ybar: Sequence<'r, T>, out: &mut [T]) {
        let (obar, [q, k, v], p) = (self.at.part(ybar, 0), self.qkv, self.p);
        let v_turned = self.turned(v);
        let pbar = self.shares_adjoint(obar, v_turned);
        let sbar = self.spread(pbar);
        self.store(out, [3, 0], self.at.s.scale(), Square::First, &[[sbar, k]]);
        self.store(out, [3, 1], 1.0, Square::Turned, &[[sbar, q]]);
        self.store(out, [3, 2], 1.0, Square::Turned, &[[p, obar]]);
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
        let (n, [q, k, v], p) = (self.small.n, self.qkv, self.p);
        let ([dq, dk, dv], obar) = (self.at.three(dx), self.at.part(ybar, 0));
        let dobar = dybar.map(|dybar| self.at.part(dybar, 0));
        let [dk_turned, v_turned, dv_turned] = [self.turned(dk), self.turned(v), self.turned(dv)];
        let (dp, sbar) = (self.scores_tangent(dq, dk_turned), self.shares_adjoint(obar, v_turned));
        let dsbar = match dobar {
            Some(dobar) => self.scores(&[[obar, dv_turned], [dobar, v_turned]]),
            None => self.scores(&[[obar, dv_turned]]),
        };
        // Ṗ and S̄ in the places of Ṡ and P̄, and P ∘ (w − Σ P ∘ w) of w = P̄̇ + (Ṡ − Σ P ∘ Ṡ) ∘ (P̄ − Σ P ∘ P̄) in that of P̄̇.
        let squares = dp.chunks_exact_mut(n).zip(sbar.chunks_exact_mut(n)).zip(dsbar.chunks_exact_mut(n));
        for (query, (((dp, sbar), dsbar), p)) in squares.zip(p.chunks_exact(n)).enumerate() {
            let within = self.small.within(query);
            let (dp, sbar, dsbar, p) = (&mut dp[..within], &mut sbar[..within], &mut dsbar[..within], &p[..within]);
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
        self.store(out, [3, 0], self.at.s.scale(), Square::First, &[[dsbar, k], [sbar, dk]]);
        self.store(out, [3, 1], 1.0, Square::Turned, &[[dsbar, q], [sbar, dq]]);
        match dobar {
            Some(dobar) => self.store(out, [3, 2], 1.0, Square::Turned, &[[dp, obar], [p, dobar]]),
            None => self.store(out, [3, 2], 1.0, Square::Turned, &[[dp, obar]]),
        }
    }

    /// Ȯ, and the curvature term.
    #[inline(always)]
    pub(super) fn advance(mut self, dx: Sequence<'r, T>, ybar: Sequence<'r, T>, out: &mut [T]) -> f64 {
        let (n, [dq, dk, dv], obar) = (self.small.n, self.at.three(dx), self.at.part(ybar, 0));
        let [dk_turned, v_turned] = [self.turned(dk), self.turned(self.qkv[2])];
        let (dp, pbar) = (self.scores_tangent(dq, dk_turned), self.shares_adjoint(obar, v_turned));
        let (sbar, mut term) = (self.spread(pbar), 0.0);
        // Ṗ in the place of Ṡ.
        let squares = dp.chunks_exact_mut(n).zip(sbar.chunks_exact(n)).zip(self.p.chunks_exact(n));
        for (query, ((scores, sbar), p)) in squares.enumerate() {
            let within = self.small.within(query);
            let (scores, sbar, p) = (&mut scores[..within], &sbar[..within], &p[..within]);
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
        let by_scores = self.mixed(Square::First, &[[sbar, dk]]);
        let by_shares = self.mixed(Square::Turned, &[[dp, obar]]);
        term + 2.0 * (inner_here(by_scores, dq) + inner_here(by_shares, dv))
    }
}
