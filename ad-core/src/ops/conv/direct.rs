//! Convolutions that read images where they are, without lowering them: what a position of the window sees of the places is the image
//! from an offset on.
//!
//! Each product is one of small blocks of its result, held in registers (`tile.rs`):
//!
//! | result | vectors along | numbers that multiply them |
//! |---|---|---|
//! | output (outputs × places) | places of a row, read from the image at the window's offsets | weights, by fours of outputs |
//! | weight's adjoint (window × outputs) | outputs, of the output's adjoint turned | pixels, at the window's offsets |
//! | input's adjoint (pixels × inputs) | inputs, of the weight turned | the output's adjoint |
//!
//! What fits the registers depends on the processor, and is a constant where it is compiled:
//!
//! | constant | of a tile |
//! |---|---|
//! | `L` | numbers of a vector |
//! | `H` | vectors of 256 bits in one: 2 where it has 512, and there are twice as many registers, else 1 |
//! | `V` | vectors side by side |
//! | `R`, `K` | rows: places, or neighbouring positions of the window |
//! | `B`, `J` | tiles at once: rows of the window, or positions across it |
//!
//! Sums over the window, the places and the outputs run in one order, so nothing depends on how many threads there are.

use smallvec::SmallVec;

use super::geometry::Geometry;
use super::tile::{Tile, add, along, outer, vectors, vectors_mut};
use crate::buffer::Buffer;
use crate::kernel::{fuses, has_long_vectors, lanes};
use crate::real::Real;

/// Output channels that are computed at once.
const OUTPUTS: usize = 4;
/// Numbers of an image that stay in the processor's caches while it is read again for other outputs.
const CACHED: usize = 1 << 16;

/// Numbers of a vector along channels: long vectors are used where there are enough to fill them.
fn lanes_along<T>(channels: usize) -> usize {
    if has_long_vectors() && channels > lanes::<T>() { 2 * lanes::<T>() } else { lanes::<T>() }
}

/// Blocks of channels that are computed together, two vectors of them or one: the first channel of each, and how many. What is stored by such
/// blocks has room for whole vectors.
#[inline(always)]
fn blocks(channels: usize, lanes: usize) -> impl Iterator<Item = (usize, usize)> {
    let width = move |from: usize| if channels - from > lanes { 2 * lanes } else { lanes };
    (0..channels).step_by(2 * lanes).map(move |from| (from, width(from)))
}

/// Calls with a vector's length for the scalar, and how many short ones it is, as constants.
macro_rules! by_lanes {
    ($t:ty, $long:expr, $self:ident.$f:ident($($argument:expr),*)) => {
        match (size_of::<$t>() == 4, $long) {
            (true, true) => $self.$f::<$t, 16, 2>($($argument),*),
            (true, false) => $self.$f::<$t, 8, 1>($($argument),*),
            (false, true) => $self.$f::<$t, 8, 2>($($argument),*),
            (false, false) => $self.$f::<$t, 4, 1>($($argument),*),
        }
    };
}

/// A convolution's geometry with what is needed to read images in place.
pub(super) struct Direct<'a> {
    g: &'a Geometry,
    /// Height and width of the image with the zeros around it.
    frame: [usize; 2],
    /// Where each position of the window reads, counted from where the first one does.
    offsets: Vec<usize>,
    /// Where the first position of the window reads at each place, counted through a channel.
    at: Vec<usize>,
    /// Where the output's numbers of one place are.
    outputs: Vec<usize>,
}

/// Which of the three products are computed directly; by the sizes and the processor alone.
impl Geometry {
    fn direct(&self, suits: bool) -> Option<Direct<'_>> {
        let pixels = self.frame()[0] * self.frame()[1];
        let suits = suits && !self.pointwise() && self.inputs * pixels <= CACHED && self.places[1] > 0 && fuses();
        suits.then(|| Direct::new(self))
    }

    /// For outputs: vectors of places are read as they are.
    pub(super) fn direct_output<T: Real>(&self) -> Option<Direct<'_>> {
        self.direct(self.window.stride[1] == 1 && self.places[1] >= lanes::<T>())
    }

    /// For the adjoints of weights.
    pub(super) fn direct_weight<T: Real>(&self) -> Option<Direct<'_>> {
        self.direct(self.outputs >= lanes::<T>())
    }

    /// For the adjoints of inputs.
    pub(super) fn direct_input<T: Real>(&self) -> Option<Direct<'_>> {
        self.direct(self.inputs >= lanes::<T>())
    }

    /// Height and width of an image with the zeros around it.
    fn frame(&self) -> [usize; 2] {
        [0, 1].map(|a| self.image[a] + 2 * self.window.padding[a])
    }
}

impl<'a> Direct<'a> {
    fn new(g: &'a Geometry) -> Self {
        let ([height, width], [down, across]) = (g.frame(), g.window.dilation);
        let mut offsets = Vec::with_capacity(g.product().inner);
        for channel in 0..g.inputs {
            for (i, j) in (0..g.kernel[0]).flat_map(|i| (0..g.kernel[1]).map(move |j| (i, j))) {
                offsets.push(channel * height * width + i * down * width + j * across);
            }
        }
        let [below, beside] = g.window.stride;
        let at = (0..g.places[0]).flat_map(|y| (0..g.places[1]).map(move |x| y * below * width + x * beside)).collect();
        let outputs = (0..g.outputs).map(|o| o * g.product().cols).collect();
        Direct { g, frame: [height, width], offsets, at, outputs }
    }

    /// Numbers of an image with the zeros around it.
    pub(super) fn framed(&self) -> usize {
        self.g.inputs * self.frame[0] * self.frame[1]
    }

    /// An image with zeros around it: itself where there are none, or a copy in `scratch`.
    #[inline(always)]
    pub(super) fn frame_of<'b, T: Real>(&self, image: &'b [T], scratch: &'b mut Buffer<T>) -> &'b [T] {
        let ([height, width], [top, left]) = (self.g.image, self.g.window.padding);
        if [top, left] == [0, 0] {
            return image;
        }
        *scratch = Buffer::stale(self.framed());
        scratch.fill(T::default());
        let [tall, wide] = self.frame;
        for (to, from) in scratch.chunks_exact_mut(tall * wide).zip(image.chunks_exact(height * width)) {
            for (to, from) in to[top * wide..].chunks_exact_mut(wide).zip(from.chunks_exact(width)) {
                to[left..left + width].copy_from_slice(from);
            }
        }
        scratch
    }

    /// The weights of all groups, for [`output`](Direct::output): by fours of outputs, for each position of the window.
    pub(super) fn by_fours<T: Real>(&self, w: &[T]) -> Buffer<T> {
        let (inner, fours) = (self.offsets.len(), self.g.outputs.div_ceil(OUTPUTS));
        let mut out = Buffer::stale(self.g.groups * fours * inner * OUTPUTS);
        for (i, four) in out.chunks_exact_mut((inner * OUTPUTS).max(1)).enumerate() {
            let group = &w[i / fours * self.g.outputs * inner..][..self.g.outputs * inner];
            for (at, numbers) in four.chunks_exact_mut(OUTPUTS).enumerate() {
                for (o, number) in numbers.iter_mut().enumerate() {
                    *number = group.get((i % fours * OUTPUTS + o) * inner + at).copied().unwrap_or_default();
                }
            }
        }
        out
    }

    /// z = b + Σ x ∗ w over the terms, of one group of images in their frames with all weights [`by_fours`](Direct::by_fours).
    #[inline(always)]
    pub(super) fn output<T: Real>(&self, z: &mut [T], bias: Option<&[T]>, terms: &[[&[T]; 2]], group: usize) {
        by_lanes!(T, has_long_vectors(), self.output_by(z, bias, terms, group));
    }

    #[inline(always)]
    fn output_by<T: Real, const L: usize, const H: usize>(
        &self,
        z: &mut [T],
        bias: Option<&[T]>,
        terms: &[[&[T]; 2]],
        group: usize,
    ) {
        let (outputs, [_, length], piece) = (self.g.outputs, self.g.places, L / H);
        let (fours, places) = (outputs.div_ceil(OUTPUTS), z.len() / outputs);
        // Where pieces of places start, in the image and among the places; the last of a row ends where the row does.
        let of_place = |row: usize, x: usize| (self.at[row * length] + x, row * length + x);
        let of_row = |row: usize| (0..length).step_by(piece).map(move |x| of_place(row, x.min(length - piece)));
        let at: SmallVec<[(usize, usize); 128]> = (0..self.g.places[0]).flat_map(of_row).collect();
        for (four, z) in z.chunks_mut(OUTPUTS * places).enumerate() {
            let mut start = [T::default(); OUTPUTS];
            if let Some(bias) = bias {
                let bias = &bias[group * outputs + four * OUTPUTS..];
                start.iter_mut().zip(bias.iter().take(z.len() / places)).for_each(|(s, b)| *s = *b);
            }
            let weights = (group * fours + four) * self.offsets.len();
            let mut at = &at[..];
            // Long vectors come with twice as many registers.
            while H == 2 && at.len() > 4 {
                at = self.output_block::<T, L, H, 4>(z, start, terms, weights, at);
            }
            while !at.is_empty() {
                at = self.output_block::<T, L, H, 2>(z, start, terms, weights, at);
            }
        }
    }

    /// Computes the first pieces of places of four outputs whose weights begin at `weights`, and returns the other pieces. Fewer than fit
    /// are filled up with the last, again.
    #[inline(always)]
    fn output_block<'p, T: Real, const L: usize, const H: usize, const V: usize>(
        &self,
        z: &mut [T],
        start: [T; OUTPUTS],
        terms: &[[&[T]; 2]],
        weights: usize,
        at: &'p [(usize, usize)],
    ) -> &'p [(usize, usize)] {
        let (piece, places) = (L / H, self.g.product().cols);
        let mut pieces = [[at[0]; H]; V];
        for (i, to) in pieces.as_flattened_mut().iter_mut().enumerate() {
            *to = at[i.min(at.len() - 1)];
        }
        let reach = self.offsets.last().map_or(0, |last| last + piece);
        let mut tile: Tile<T, L, OUTPUTS, V> = start.map(|start| [[start; L]; V]);
        for [image, numbers] in terms {
            let left = &numbers.as_chunks::<OUTPUTS>().0[weights..];
            let mut right = [[&image[..0]; H]; V];
            for v in 0..V {
                for h in 0..H {
                    right[v][h] = &image[pieces[v][h].0..][..reach];
                }
            }
            tile = along(tile, left, &self.offsets, right);
        }
        for (z, tile) in z.chunks_exact_mut(places).zip(&tile) {
            for (pieces, vector) in pieces.iter().zip(tile) {
                for ((_, place), numbers) in pieces.iter().zip(vector.chunks_exact(piece)) {
                    z[*place..][..piece].copy_from_slice(numbers);
                }
            }
        }
        &at[at.len().min(V * H)..]
    }

    /// Numbers of the sum that [`weight`](Direct::weight) adds to.
    pub(super) fn weight_sum<T: Real>(&self) -> usize {
        self.offsets.len() * self.g.outputs.next_multiple_of(lanes_along::<T>(self.g.outputs))
    }

    /// Adds the weight's adjoint of one group of an image in its frame, and of the output's adjoint, to a sum of its own layout.
    #[inline(always)]
    pub(super) fn weight<T: Real>(&self, sum: &mut [T], image: &[T], zbar: &[T]) {
        by_lanes!(T, lanes_along::<T>(self.g.outputs) > lanes::<T>(), self.weight_by(sum, image, zbar));
    }

    #[inline(always)]
    fn weight_by<T: Real, const L: usize, const H: usize>(&self, sum: &mut [T], image: &[T], zbar: &[T]) {
        let (outputs, positions) = (self.g.outputs, self.offsets.len());
        let mut turned = Buffer::stale(zbar.len() / outputs * 2 * L);
        for (from, width) in blocks(outputs, L) {
            let block = &mut sum[from * positions..][..width * positions];
            let turned = &mut turned[..zbar.len() / outputs * width];
            columns::<T, L>(turned, zbar, outputs, from, width);
            if width > L {
                self.weight_block::<T, L, 2, H>(vectors_mut(block), image, vectors(turned));
            } else {
                self.weight_block::<T, L, 1, H>(vectors_mut(block), image, vectors(turned));
            }
        }
    }

    /// By rows of the window where they are of a usual length, else position by position; as many at once as there are registers for, of which
    /// a position takes `V`, and long vectors come with twice as many.
    #[inline(always)]
    fn weight_block<T: Real, const L: usize, const V: usize, const H: usize>(
        &self,
        sum: &mut [[[T; L]; V]],
        image: &[T],
        zbar: &[[[T; L]; V]],
    ) {
        let neighbours = if self.g.window.dilation[1] == 1 { self.g.kernel[1] } else { 1 };
        match (neighbours, V * 2 / H) {
            (5, 1) => self.weight_rows::<T, L, V, 5, 3>(sum, image, zbar),
            (5, 2) => self.weight_rows::<T, L, V, 5, 2>(sum, image, zbar),
            (5, _) => self.weight_rows::<T, L, V, 5, 1>(sum, image, zbar),
            (3, 1) => self.weight_rows::<T, L, V, 3, 5>(sum, image, zbar),
            (3, 2) => self.weight_rows::<T, L, V, 3, 3>(sum, image, zbar),
            (3, _) => self.weight_rows::<T, L, V, 3, 2>(sum, image, zbar),
            _ => self.weight_rows::<T, L, V, 1, 5>(sum, image, zbar),
        }
    }

    /// By `B` times `K` neighbouring positions of the window at once.
    #[inline(always)]
    fn weight_rows<T: Real, const L: usize, const V: usize, const K: usize, const B: usize>(
        &self,
        sum: &mut [[[T; L]; V]],
        image: &[T],
        zbar: &[[[T; L]; V]],
    ) {
        let (mut at, mut rest) = (0, sum.as_chunks_mut::<K>().0);
        while !rest.is_empty() {
            let (now, later) = rest.split_at_mut(if rest.len() < B { 1 } else { B });
            if now.len() == B {
                self.weight_tile::<T, L, V, K, B>(now, image, zbar, at);
            } else {
                self.weight_tile::<T, L, V, K, 1>(now, image, zbar, at);
            }
            (at, rest) = (at + now.len(), later);
        }
    }

    /// Adds the adjoints of `B` times `K` positions of the window, from the one on that is `at` times `K`.
    #[inline(always)]
    fn weight_tile<T: Real, const L: usize, const V: usize, const K: usize, const B: usize>(
        &self,
        sums: &mut [[[[T; L]; V]; K]],
        image: &[T],
        zbar: &[[[T; L]; V]],
        at: usize,
    ) {
        let reach = self.at.last().map_or(0, |last| last + K);
        let mut left = [image; B];
        for (b, left) in left.iter_mut().enumerate() {
            *left = &image[self.offsets[(at + b) * K]..][..reach];
        }
        let [tiles] = outer([[[[[T::default(); L]; V]; K]; B]], left, &self.at, [zbar]);
        for b in 0..B {
            add(&mut sums[b], &tiles[b]);
        }
    }

    /// The sum that [`weight`](Direct::weight) made, as (outputs × window), added to what is there.
    pub(super) fn add_weight<T: Real>(&self, w: &mut [T], sum: &[T]) {
        let (positions, outputs) = (self.offsets.len(), self.g.outputs);
        for (from, width) in blocks(outputs, lanes_along::<T>(outputs)) {
            let block = &sum[from * positions..][..width * positions];
            for (o, w) in w.chunks_exact_mut(positions).skip(from).take(width).enumerate() {
                w.iter_mut().zip(block.iter().skip(o).step_by(width)).for_each(|(w, s)| *w = *w + *s);
            }
        }
    }

    /// The weights of all groups, for [`input`](Direct::input): by vectors of inputs, for each position down and across the window and
    /// each output.
    pub(super) fn by_inputs<T: Real>(&self, w: &[T]) -> Buffer<T> {
        let (outputs, inner, inputs) = (self.g.outputs, self.offsets.len(), self.g.inputs);
        let (lanes, window) = (lanes_along::<T>(inputs), self.g.kernel[0] * self.g.kernel[1]);
        let size = window * outputs * inputs.next_multiple_of(lanes);
        let mut out = Buffer::stale(self.g.groups * size);
        for (out, w) in out.chunks_exact_mut(size.max(1)).zip(w.chunks_exact((outputs * inner).max(1))) {
            for (from, width) in blocks(inputs, lanes) {
                let block = &mut out[from * window * outputs..][..width * window * outputs];
                for (i, numbers) in block.chunks_exact_mut(width).enumerate() {
                    let (at, o) = (i / outputs, i % outputs);
                    for (c, number) in (from..).zip(numbers) {
                        *number = if c < inputs { w[o * inner + c * window + at] } else { T::default() };
                    }
                }
            }
        }
        out
    }

    /// The input's adjoint of one group of an image, Σ over the terms of the output's adjoint and all weights
    /// [`by_inputs`](Direct::by_inputs).
    #[inline(always)]
    pub(super) fn input<T: Real>(&self, image: &mut [T], terms: &[[&[T]; 2]], group: usize) {
        by_lanes!(T, lanes_along::<T>(self.g.inputs) > lanes::<T>(), self.input_by(image, terms, group));
    }

    #[inline(always)]
    fn input_by<T: Real, const L: usize, const H: usize>(&self, image: &mut [T], terms: &[[&[T]; 2]], group: usize) {
        let (outputs, inputs) = (self.g.outputs, self.g.inputs);
        let window = self.g.kernel[0] * self.g.kernel[1] * outputs;
        let pixels = self.frame[0] * self.frame[1];
        let mut turned = Buffer::stale(pixels * 2 * L);
        let group = group * window * inputs.next_multiple_of(L);
        for (from, width) in blocks(inputs, L) {
            let turned = &mut turned[..pixels * width];
            turned.fill(T::default());
            for [zbar, weights] in terms {
                let weights = &weights[group + from * window..][..window * width];
                if width > L {
                    self.input_block::<T, L, 2, 1, H>(vectors_mut(turned), zbar, vectors(weights));
                } else {
                    self.input_block::<T, L, 1, 2, H>(vectors_mut(turned), zbar, vectors(weights));
                }
            }
            self.unframe(image, turned, from, width);
        }
    }

    /// By `J` positions across the window at once.
    #[inline(always)]
    fn input_block<T: Real, const L: usize, const V: usize, const J: usize, const H: usize>(
        &self,
        frame: &mut [[[T; L]; V]],
        zbar: &[T],
        weights: &[[[T; L]; V]],
    ) {
        for (y, frame) in frame.chunks_exact_mut(self.frame[1]).enumerate() {
            let mut j = 0;
            while j < self.g.kernel[1] {
                if j + J <= self.g.kernel[1] {
                    self.input_row::<T, L, V, J, H>(frame, zbar, weights, [y, j]);
                    j += J;
                } else {
                    self.input_row::<T, L, V, 1, H>(frame, zbar, weights, [y, j]);
                    j += 1;
                }
            }
        }
    }

    /// What `J` positions across the window from j on give to the pixels of row y, by four or eight places at once.
    #[inline(always)]
    fn input_row<T: Real, const L: usize, const V: usize, const J: usize, const H: usize>(
        &self,
        frame: &mut [[[T; L]; V]],
        zbar: &[T],
        weights: &[[[T; L]; V]],
        [y, j]: [usize; 2],
    ) {
        let ([_, length], mut x) = (self.g.places, 0);
        while x < length {
            let at = [y, j, x];
            x += match length - x {
                8.. if H == 2 => self.input_tile::<T, L, 8, V, J>(frame, zbar, weights, at),
                4.. => self.input_tile::<T, L, 4, V, J>(frame, zbar, weights, at),
                _ => self.input_tile::<T, L, 1, V, J>(frame, zbar, weights, at),
            }
        }
    }

    /// What `R` places of a row from x on give, by `J` positions across the window from j on, to the pixels of row y; the number of
    /// places.
    #[inline(always)]
    fn input_tile<T: Real, const L: usize, const R: usize, const V: usize, const J: usize>(
        &self,
        frame: &mut [[[T; L]; V]],
        zbar: &[T],
        weights: &[[[T; L]; V]],
        [y, j, x]: [usize; 3],
    ) -> usize {
        let ([rows, length], outputs) = (self.g.places, self.g.outputs);
        let (window, [down, across]) = (self.g.window, self.g.kernel);
        let reach = self.outputs.last().map_or(0, |last| last + 1);
        let mut tiles = [[[[[T::default(); L]; V]]; R]; J];
        for i in 0..down {
            let at = y.checked_sub(i * window.dilation[0]);
            let Some(at) = at.filter(|at| at % window.stride[0] == 0 && at / window.stride[0] < rows) else {
                continue;
            };
            let mut left = [zbar; R];
            for (r, left) in left.iter_mut().enumerate() {
                *left = &zbar[at / window.stride[0] * length + x + r..][..reach];
            }
            let mut right = [weights; J];
            for (p, right) in right.iter_mut().enumerate() {
                *right = &weights[(i * across + j + p) * outputs..][..outputs];
            }
            tiles = outer(tiles, left, &self.outputs, right);
        }
        for p in 0..J {
            let frame = &mut frame[(j + p) * window.dilation[1] + x * window.stride[1]..];
            for r in 0..R {
                add(&mut frame[r * window.stride[1]..], &tiles[p][r]);
            }
        }
        R
    }

    /// Writes channels from one on from their pixels, turned, without those of the zeros around the image.
    #[inline(always)]
    fn unframe<T: Real>(&self, image: &mut [T], turned: &[T], from: usize, width: usize) {
        let ([height, across], [top, left]) = (self.g.image, self.g.window.padding);
        for (c, image) in image.chunks_exact_mut(height * across).skip(from).take(width).enumerate() {
            for (y, row) in image.chunks_exact_mut(across).enumerate() {
                let first = ((y + top) * self.frame[1] + left) * width + c;
                row.iter_mut().zip(turned[first..].iter().step_by(width)).for_each(|(to, from)| *to = *from);
            }
        }
    }
}

/// So many columns from one on of the transpose of a matrix with so many rows, zeros beyond the last.
#[inline(always)]
fn columns<T: Real, const L: usize>(out: &mut [T], matrix: &[T], rows: usize, from: usize, width: usize) {
    let length = matrix.len() / rows;
    // By short stretches of each row: what is written stays in the nearest cache.
    for (i, out) in out.chunks_mut(L * width).enumerate() {
        for c in 0..width {
            let stretch = if from + c < rows { &matrix[(from + c) * length + i * L..] } else { &[] };
            match stretch.first_chunk::<L>() {
                Some(stretch) if out.len() == L * width => {
                    for l in 0..L {
                        out[l * width + c] = stretch[l];
                    }
                }
                _ => {
                    let of_row = stretch.iter().copied().chain(std::iter::repeat(T::default()));
                    out[c..].iter_mut().step_by(width).zip(of_row).for_each(|(to, from)| *to = from);
                }
            }
        }
    }
}
