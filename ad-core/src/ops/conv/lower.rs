//! An image as a matrix whose columns are what a window sees at each place, and back.

use std::ops::Range;

use smallvec::SmallVec;

use super::geometry::Geometry;
use crate::ops::pool::{give, take};
use crate::real::Real;

/// What one position of the window sees of a channel.
struct Sight {
    /// The row of the lowered image.
    row: usize,
    channel: usize,
    /// The places down and across at which it is within the image.
    within: [Range<usize>; 2],
    /// The first pixel that it sees, down and across.
    first: [usize; 2],
}

/// Copies each position of the window over all places into a row of `columns`: (channel, down, across) × (places down, across);
/// zero where the window hangs over the edge. `image` is one group of one image.
#[inline(always)]
pub(super) fn lower<T: Real>(g: &Geometry, image: &[T], columns: &mut [T]) {
    let ([_, length], [height, width], [down, across]) = (g.places, g.image, g.window.stride);
    let places = g.places[0] * length;
    sights(
        g,
        #[inline(always)]
        |Sight { row, channel, within, first: [y, x] }| {
            let columns = &mut columns[row * places..][..places];
            let image = &image[channel * height * width..][..height * width];
            let (before, columns) = columns.split_at_mut(within[0].start * length);
            let (columns, after) = columns.split_at_mut(within[0].len() * length);
            before.fill(T::default());
            after.fill(T::default());
            let hangs = within[1].len() < length;
            let pixels = image[y * width..].chunks_exact(width).step_by(down);
            for (line, pixels) in columns.chunks_exact_mut(length).zip(pixels) {
                if hangs {
                    line[..within[1].start].fill(T::default());
                    line[within[1].end..].fill(T::default());
                }
                take(&mut line[within[1].start..within[1].end], &pixels[x..], across);
            }
        },
    );
}

/// Adds what each column holds to the pixels that it was read from: the adjoint of [`lower`].
#[inline(always)]
pub(super) fn raise_onto<T: Real>(g: &Geometry, columns: &[T], image: &mut [T]) {
    let ([_, length], [height, width], [down, across]) = (g.places, g.image, g.window.stride);
    let places = g.places[0] * length;
    sights(
        g,
        #[inline(always)]
        |Sight { row, channel, within, first: [y, x] }| {
            let columns = &columns[row * places..][within[0].start * length..within[0].end * length];
            let image = &mut image[channel * height * width..][..height * width];
            let pixels = image[y * width..].chunks_exact_mut(width).step_by(down);
            for (line, pixels) in columns.chunks_exact(length).zip(pixels) {
                give(&mut pixels[x..], &line[within[1].start..within[1].end], across);
            }
        },
    );
}

/// Calls `f` with what each position of the window sees of each channel, in the order of the lowered image's rows.
#[inline(always)]
fn sights(g: &Geometry, mut f: impl FnMut(Sight)) {
    // Told once for all channels: it takes divisions.
    let [down, across] = [0, 1].map(|axis| {
        let seen = |at| g.window.inside(axis, at, g.image[axis], g.places[axis]);
        (0..g.kernel[axis]).map(seen).collect::<SmallVec<[_; 8]>>()
    });
    let mut row = 0;
    for channel in 0..g.inputs {
        for (below, y) in &down {
            for (beside, x) in &across {
                f(Sight { row, channel, within: [below.clone(), beside.clone()], first: [*y, *x] });
                row += 1;
            }
        }
    }
}
