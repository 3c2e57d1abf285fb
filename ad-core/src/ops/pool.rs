//! Maxima and means over windows of images.

use std::ops::Range;

use smallvec::SmallVec;

use crate::array::{Array, Base};
use crate::kernel::{inlined, tensor_in_pieces};
use crate::ops::conv::Window;
use crate::ops::layout::linear_of_one;
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Cotangents, Kind, Primitive};
use crate::real::Real;
use crate::shape::{Shape, count};
use crate::tensor::Tensor;

/// The windows of a pooling over the last two axes of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooling {
    /// Height and width of the window.
    pub kernel: [usize; 2],
    /// How it moves.
    pub window: Window,
}

/// The largest number in each window of x (…, height, width), giving (…, down, across).
///
/// Of equal ones the first, by rows, takes the derivative, as in PyTorch's `max_pool2d`. Padding is −∞: never the largest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool(pub Pooling);

/// The mean of each window of x (…, height, width), giving (…, down, across); padding counts as zeros, as in PyTorch's
/// `avg_pool2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeanPool(pub Pooling);

/// The adjoint of [`MeanPool`] for images of the given size: the numbers of a place shared out equally over its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeanPoolAdjoint {
    /// The windows.
    pub of: Pooling,
    /// Height and width of the images.
    pub image: [usize; 2],
}

/// What a position of the window reads at a row of places.
struct Stretch {
    /// The places of the row at which it is within the image.
    across: Range<usize>,
    /// The first pixel, counted through the image.
    pixel: usize,
}

/// For each position of the window along an axis, the places at which it is within the image, and the first pixel it sees.
type Seen = SmallVec<[(Range<usize>, usize); 4]>;

/// The sizes of a pooling.
struct Geometry {
    of: Pooling,
    image: [usize; 2],
    places: [usize; 2],
    /// Down and across.
    seen: [Seen; 2],
}

impl Pooling {
    /// Windows of this size side by side.
    pub fn square(kernel: usize) -> Self {
        Pooling { kernel: [kernel; 2], window: Window { stride: [kernel; 2], ..Window::default() } }
    }

    #[track_caller]
    fn geometry(self, op: &str, shape: &[usize]) -> Geometry {
        let Pooling { kernel, window } = self;
        let half = (0..2).all(|a| 2 * window.padding[a] <= kernel[a]);
        match *shape {
            [.., h, w] if half => match window.places([h, w], kernel) {
                Some(places) => {
                    // Told once for all images: it takes divisions.
                    let along = |axis: usize, i| window.inside(axis, i, [h, w][axis], places[axis]);
                    let seen = [0, 1].map(|axis| (0..kernel[axis]).map(|i| along(axis, i)).collect());
                    Geometry { of: self, image: [h, w], places, seen }
                }
                None => panic!("{op}: a window of {kernel:?} by {window:?} does not fit shape {shape:?}"),
            },
            _ if !half => panic!("{op}: padding {:?} is more than half of the window {kernel:?}", window.padding),
            _ => panic!("{op}: shape {shape:?} has no height and width"),
        }
    }
}

impl Geometry {
    /// `shape` with other last two axes.
    fn shape(&self, shape: &[usize], last: [usize; 2]) -> Shape {
        let mut out = Shape::from_slice(shape);
        let rank = out.len();
        out[rank - 2..].copy_from_slice(&last);
        out
    }

    /// The numbers of an image, and of its places.
    fn sizes(&self) -> [usize; 2] {
        [count(&self.image), count(&self.places)]
    }

    /// Calls `f` with every row of places, and for each with the positions of the window, in order.
    #[inline(always)]
    fn for_each(&self, mut f: impl FnMut(usize, Stretch)) {
        let (stride, width) = (self.of.window.stride[0], self.image[1]);
        for down in 0..self.places[0] {
            for (rows, first) in &self.seen[0] {
                if !rows.contains(&down) {
                    continue;
                }
                let y = first + (down - rows.start) * stride;
                for (across, x) in &self.seen[1] {
                    f(down, Stretch { across: across.clone(), pixel: y * width + x });
                }
            }
        }
    }

    /// Whether windows are of two by two pixels, side by side.
    fn by_twos(&self) -> bool {
        self.of == Pooling::square(2)
    }

    /// The two rows of pixels, in pairs, that each row of places sees, where windows are [`by_twos`](Geometry::by_twos).
    #[inline(always)]
    fn pairs<'a, T>(&self, image: &'a [T]) -> impl Iterator<Item = [&'a [[T; 2]]; 2]> {
        let width = self.image[1];
        image.chunks_exact(2 * width).map(
            #[inline(always)]
            move |rows| [rows[..width].as_chunks().0, rows[width..].as_chunks().0],
        )
    }
}

impl MaxPool {
    /// For each place, the position in x, all axes together, of the number that it takes.
    fn taken<T: Real>(&self, x: &Tensor<T>, y: &Tensor<T>) -> Vec<usize> {
        let g = self.0.geometry("max_pool", x.shape());
        let ([pixels, places], stride) = (g.sizes(), g.of.window.stride[1]);
        let mut taken = vec![usize::MAX; y.len()];
        for (image, taken) in taken.chunks_exact_mut(places).enumerate() {
            g.for_each(
                #[inline(always)]
                |down, Stretch { across, pixel }| {
                    for (o, place) in across.enumerate().map(|(o, place)| (o, down * g.places[1] + place)) {
                        let at = image * pixels + pixel + o * stride;
                        if taken[place] == usize::MAX && takes(x.data()[at], y.data()[image * places + place]) {
                            taken[place] = at;
                        }
                    }
                },
            );
        }
        taken
    }
}

/// Whether a number of the window is its maximum.
#[inline(always)]
fn takes<T: Real>(x: T, y: T) -> bool {
    #[allow(clippy::eq_op, reason = "NaN alone differs from itself, and no branch is taken")]
    let is_nan = x != x;
    (x == y) | is_nan
}

impl Primitive for MaxPool {
    const KIND: Kind = Kind::PiecewiseLinear;

    fn name(&self) -> &'static str {
        "max_pool"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let g = self.0.geometry("max_pool", x[0].shape());
        let lowest = T::from_f64(f64::NEG_INFINITY);
        over_places(
            &g,
            x[0],
            lowest,
            #[inline(always)]
            |place, pixel| {
                #[allow(clippy::eq_op, reason = "NaN alone differs from itself, and no branch is taken")]
                let is_nan = pixel != pixel;
                if (pixel > place) | is_nan { pixel } else { place }
            },
        )
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let dx = dx[0]?;
        let taken = self.taken(&x[0].primal().to_tensor(), &y.primal().to_tensor());
        Some(dx.reshape(&[count(dx.shape())]).gather(0, &taken).reshape(y.shape()))
    }

    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || {
            let taken = self.taken(&x[0].primal().to_tensor(), &y.primal().to_tensor());
            let places = ybar.reshape(&[count(ybar.shape())]);
            places.scatter_add(0, &taken, count(x[0].shape())).reshape(x[0].shape())
        });
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        let (g, dx) = (self.0.geometry("max_pool", x[0].shape()), dx[0]?);
        let ([pixels, places], stride) = (g.sizes(), g.of.window.stride[1]);
        let tangent = inlined(
            #[inline(always)]
            |image: usize, dy: &mut [T]| {
                let [x, dx] = [x[0], dx].map(|t| &t.data()[image * pixels..][..pixels]);
                let y = &y.data()[image * places..][..places];
                if g.by_twos() {
                    tangent_by_twos(&g, [x, dx], y, dy);
                    return 0.0;
                }
                let mut seen = [(); 2].map(|()| vec![T::default(); g.places[1]]);
                // Numbers, not flags: a comparison then fills as many lanes as what it is about.
                let one = T::from_f64(1.0);
                let mut open = vec![one; places];
                g.for_each(
                    #[inline(always)]
                    |down, Stretch { across, pixel }| {
                        let row = down * g.places[1] + across.start..down * g.places[1] + across.end;
                        let [x_seen, dx_seen] = seen.each_mut().map(|seen| &mut seen[..row.len()]);
                        take(x_seen, &x[pixel..], stride);
                        take(dx_seen, &dx[pixel..], stride);
                        let at = dy[row.clone()].iter_mut().zip(&mut open[row.clone()]).zip(&y[row]);
                        for (((dy, open), y), (x, dx)) in at.zip(x_seen.iter().zip(dx_seen.iter())) {
                            let hit = (*open == one) & takes(*x, *y);
                            *dy = if hit { *dx } else { *dy };
                            *open = if hit { T::default() } else { *open };
                        }
                    },
                );
                0.0
            },
        );
        Some(tensor_in_pieces(y.shape(), places, g.weight(), tangent).0)
    }

    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let g = self.0.geometry("max_pool", x[0].shape());
        let ([pixels, places], stride) = (g.sizes(), g.of.window.stride[1]);
        let cotangent = inlined(
            #[inline(always)]
            |image: usize, xbar: &mut [T]| {
                let x = &x[0].data()[image * pixels..][..pixels];
                let [y, ybar] = [y, ybar].map(|t| &t.data()[image * places..][..places]);
                if g.by_twos() {
                    cotangent_by_twos(&g, x, [y, ybar], xbar);
                    return 0.0;
                }
                let (mut seen, mut open) = (vec![T::default(); g.places[1]], ybar.to_vec());
                xbar.fill(T::default());
                g.for_each(
                    #[inline(always)]
                    |down, Stretch { across, pixel }| {
                        let row = down * g.places[1] + across.start..down * g.places[1] + across.end;
                        let seen = &mut seen[..row.len()];
                        take(seen, &x[pixel..], stride);
                        // What is seen is replaced by what it is owed; what a place has given it cannot give again.
                        for ((seen, open), y) in seen.iter_mut().zip(&mut open[row.clone()]).zip(&y[row]) {
                            let hit = takes(*seen, *y);
                            *seen = if hit { *open } else { T::default() };
                            *open = if hit { T::default() } else { *open };
                        }
                        give(&mut xbar[pixel..], seen, stride);
                    },
                );
                0.0
            },
        );
        out.add(0, || tensor_in_pieces(x[0].shape(), pixels, g.weight(), cotangent).0);
    }

    recorded_as!(MaxPool);
}

/// The tangent of the largest of two by two pixels.
#[inline(always)]
fn tangent_by_twos<T: Real>(g: &Geometry, [x, dx]: [&[T]; 2], y: &[T], dy: &mut [T]) {
    let length = g.places[1];
    let rows = y.chunks_exact(length).zip(dy.chunks_exact_mut(length));
    for ((y, dy), ([upper, lower], [d_upper, d_lower])) in rows.zip(g.pairs(x).zip(g.pairs(dx))) {
        // The last that is looked at takes precedence, so from the last to the first, row by row. Both numbers of a pair are read, whichever is
        // taken: a loop that reads only that does not become vectors.
        for (((y, dy), below), [left, right]) in y.iter().zip(&mut *dy).zip(lower).zip(d_lower) {
            let (left, right) = (*left, *right);
            *dy = if takes(below[0], *y) { left } else { right };
        }
        for (((y, dy), above), [left, right]) in y.iter().zip(dy).zip(upper).zip(d_upper) {
            let (left, right, lower) = (*left, *right, *dy);
            let found = if takes(above[1], *y) { right } else { lower };
            *dy = if takes(above[0], *y) { left } else { found };
        }
    }
}

/// What a pixel is owed of the adjoint of a place.
#[inline(always)]
fn owed<T: Real>(takes: bool, open: T) -> T {
    if takes { open } else { T::default() }
}

/// The adjoint of two by two pixels from that of the largest.
#[inline(always)]
fn cotangent_by_twos<T: Real>(g: &Geometry, x: &[T], [y, ybar]: [&[T]; 2], xbar: &mut [T]) {
    let ([_, width], [down, length]) = (g.image, g.places);
    if width != 2 * length {
        xbar.fill(T::default());
    }
    xbar[down * 2 * width..].fill(T::default());
    let rows = y.chunks_exact(length).zip(ybar.chunks_exact(length));
    for (((y, ybar), [upper, lower]), xbar) in rows.zip(g.pairs(x)).zip(xbar.chunks_exact_mut(2 * width)) {
        let (to_upper, to_lower) = xbar.split_at_mut(width);
        // What a pixel takes no later one can. Row by row: of six rows read and written at once the compiler does not make vectors.
        for (((y, open), above), to) in y.iter().zip(ybar).zip(upper).zip(to_upper.as_chunks_mut::<2>().0) {
            let first = takes(above[0], *y);
            let second = takes(above[1], *y) & !first;
            *to = [owed(first, *open), owed(second, *open)];
        }
        let both = upper.iter().zip(lower);
        for (((y, open), (above, below)), to) in y.iter().zip(ybar).zip(both).zip(to_lower.as_chunks_mut::<2>().0) {
            let taken = takes(above[0], *y) | takes(above[1], *y);
            let third = takes(below[0], *y) & !taken;
            let fourth = takes(below[1], *y) & !(taken | third);
            *to = [owed(third, *open), owed(fourth, *open)];
        }
    }
}

impl Geometry {
    /// The work of a number of the image or of the places, in additions.
    fn weight(&self) -> usize {
        let [pixels, places] = self.sizes();
        (count(&self.of.kernel) * places).div_ceil(pixels.max(1)) * 4
    }
}

/// Folds what each place sees, in order, onto `start`.
fn over_places<T: Real>(g: &Geometry, x: &Tensor<T>, start: T, fold: impl Fn(T, T) -> T + Sync) -> Tensor<T> {
    let ([pixels, places], stride) = (g.sizes(), g.of.window.stride[1]);
    let folded = inlined(
        #[inline(always)]
        |image: usize, out: &mut [T]| {
            let x = &x.data()[image * pixels..][..pixels];
            if g.by_twos() {
                for (out, [upper, lower]) in out.chunks_exact_mut(g.places[1]).zip(g.pairs(x)) {
                    for ((out, [a, b]), [c, d]) in out.iter_mut().zip(upper).zip(lower) {
                        *out = fold(fold(fold(fold(start, *a), *b), *c), *d);
                    }
                }
                return 0.0;
            }
            let mut seen = vec![T::default(); g.places[1]];
            out.fill(start);
            g.for_each(
                #[inline(always)]
                |down, Stretch { across, pixel }| {
                    let seen = &mut seen[..across.len()];
                    take(seen, &x[pixel..], stride);
                    let row = &mut out[down * g.places[1]..][across];
                    for (place, pixel) in row.iter_mut().zip(seen.iter()) {
                        *place = fold(*place, *pixel);
                    }
                },
            );
            0.0
        },
    );
    tensor_in_pieces(&g.shape(x.shape(), g.places), places, 2 * count(&g.of.kernel), folded).0
}

/// Every `stride`-th number of `from`.
#[inline(always)]
pub(crate) fn take<T: Real>(to: &mut [T], from: &[T], stride: usize) {
    match stride {
        // A call to copy some ten numbers takes longer than to copy them.
        1 if to.len() < 64 => {
            let (eights, rest) = to.as_chunks_mut::<8>();
            let (eights_from, rest_from) = from[..8 * eights.len() + rest.len()].as_chunks::<8>();
            for (to, from) in eights.iter_mut().zip(eights_from) {
                *to = *from;
            }
            for (to, from) in rest.iter_mut().zip(rest_from) {
                *to = *from;
            }
        }
        1 => to.copy_from_slice(&from[..to.len()]),
        2 => {
            // A pair is read at a time, of which the last may be half.
            let (pairs, _) = from.as_chunks::<2>();
            let n = pairs.len().min(to.len());
            for (to, pair) in to[..n].iter_mut().zip(pairs) {
                *to = pair[0];
            }
            if n < to.len() {
                to[n] = from[2 * n];
            }
        }
        _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
    }
}

/// Adds to every `stride`-th number of `to`.
#[inline(always)]
pub(crate) fn give<T: Real>(to: &mut [T], from: &[T], stride: usize) {
    match stride {
        1 => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = *to + *from;
            }
        }
        2 => {
            let n = (to.len() / 2).min(from.len());
            let (pairs, last) = to.split_at_mut(2 * n);
            let (pairs, _) = pairs.as_chunks_mut::<2>();
            for (pair, from) in pairs.iter_mut().zip(from) {
                pair[0] = pair[0] + *from;
            }
            last.iter_mut().zip(&from[n..]).for_each(|(to, from)| *to = *to + *from);
        }
        _ => to.iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to = *to + *from),
    }
}

linear_of_one!(
    MeanPool,
    "mean_pool",
    |p, x| {
        let g = p.0.geometry("mean_pool", x.shape());
        let share = T::from_f64(1.0 / count(&p.0.kernel) as f64);
        over_places(
            &g,
            x,
            T::default(),
            #[inline(always)]
            move |place, pixel| place + share * pixel,
        )
    },
    |p, shape, ybar| {
        let &[.., h, w] = shape else { unreachable!("a pooled array has a height and a width") };
        A::apply(MeanPoolAdjoint { of: p.0, image: [h, w] }, &[ybar])
    }
);

linear_of_one!(
    MeanPoolAdjoint,
    "mean_pool_adjoint",
    |p, y| {
        let &[.., down, across] = y.shape() else { panic!("mean_pool_adjoint: shape {:?} has no places", y.shape()) };
        let g = p.of.geometry("mean_pool_adjoint", &p.image);
        assert!(g.places == [down, across], "mean_pool_adjoint: {:?} places, not {:?}", g.places, y.shape());
        let ([pixels, places], stride) = (g.sizes(), g.of.window.stride[1]);
        let share = T::from_f64(1.0 / count(&p.of.kernel) as f64);
        let shared = inlined(
            #[inline(always)]
            |image: usize, out: &mut [T]| {
                let shares: Vec<T> = y.data()[image * places..][..places].iter().map(|y| share * *y).collect();
                out.fill(T::default());
                g.for_each(
                    #[inline(always)]
                    |down, Stretch { across, pixel }| {
                        give(&mut out[pixel..], &shares[down * g.places[1]..][across], stride);
                    },
                );
                0.0
            },
        );
        tensor_in_pieces(&g.shape(y.shape(), p.image), pixels, g.weight(), shared).0
    },
    |p, _shape, ybar| A::apply(MeanPool(p.of), &[ybar])
);
