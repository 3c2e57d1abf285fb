//! An image as a matrix whose columns are what a window sees at each place, and back.

use super::geometry::Geometry;
use crate::ops::pool::{give, take};
use crate::real::Real;

/// Copies each position of the window over all places into a row of `columns`: (channel, down, across) × (places down, across);
/// zero where the window hangs over the edge. `image` is one group of one image.
pub(super) fn lower<T: Real>(g: &Geometry, image: &[T], columns: &mut [T]) {
    rows(g, |row, channel, [i, j]| {
        let columns = &mut columns[row * g.places[0] * g.places[1]..][..g.places[0] * g.places[1]];
        let image = &image[channel * g.image[0] * g.image[1]..][..g.image[0] * g.image[1]];
        let (down, mut y) = g.window.inside(0, i, g.image[0], g.places[0]);
        let (across, x) = g.window.inside(1, j, g.image[1], g.places[1]);
        for (place, line) in columns.chunks_exact_mut(g.places[1]).enumerate() {
            if !down.contains(&place) {
                line.fill(T::default());
                continue;
            }
            line[..across.start].fill(T::default());
            line[across.end..].fill(T::default());
            let line = &mut line[across.clone()];
            let pixels = &image[y * g.image[1]..][..g.image[1]];
            y += g.window.stride[0];
            take(line, &pixels[x..], g.window.stride[1]);
        }
    });
}

/// Adds what each column holds to the pixels that it was read from: the adjoint of [`lower`].
pub(super) fn raise_onto<T: Real>(g: &Geometry, columns: &[T], image: &mut [T]) {
    rows(g, |row, channel, [i, j]| {
        let columns = &columns[row * g.places[0] * g.places[1]..][..g.places[0] * g.places[1]];
        let image = &mut image[channel * g.image[0] * g.image[1]..][..g.image[0] * g.image[1]];
        let (down, mut y) = g.window.inside(0, i, g.image[0], g.places[0]);
        let (across, x) = g.window.inside(1, j, g.image[1], g.places[1]);
        for line in columns.chunks_exact(g.places[1]).take(down.end).skip(down.start) {
            let line = &line[across.clone()];
            let pixels = &mut image[y * g.image[1]..][..g.image[1]];
            y += g.window.stride[0];
            give(&mut pixels[x..], line, g.window.stride[1]);
        }
    });
}

/// Calls `f` with the number, channel and position of each row of the lowered image.
fn rows(g: &Geometry, mut f: impl FnMut(usize, usize, [usize; 2])) {
    let mut row = 0;
    for channel in 0..g.inputs {
        for i in 0..g.kernel[0] {
            for j in 0..g.kernel[1] {
                f(row, channel, [i, j]);
                row += 1;
            }
        }
    }
}
