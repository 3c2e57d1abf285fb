//! Convolutions of tensors as matrix products: one for each image and group, of the weight by what the window sees of the image.
//!
//! Images are shared out over threads; sums over the batch are by a fixed number of tasks, so that they do not depend on the number
//! of threads.

use smallvec::SmallVec;

use super::direct::Direct;
use super::geometry::Geometry;
use super::lower::{lower, raise_onto};
use crate::buffer::Buffer;
use crate::gemm::{Matrix, Onto, counted, matmul_into};
use crate::kernel::{self, inlined, pieces, tensor_in_pieces};
use crate::ops::product::{Form, Forms, Motion, balance, mean_squares, moved_bias};
use crate::parallel;
use crate::real::Real;
use crate::sums::inner_here;
use crate::tensor::Tensor;

/// Tasks that a sum over the batch is cut into.
const TASKS: usize = 8;

impl Geometry {
    /// Images of a task.
    fn images(&self) -> usize {
        self.batch.div_ceil(TASKS).max(1)
    }

    /// Whether the lowered image is the image itself.
    pub(super) fn pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.window.stride == [1, 1] && self.window.padding == [0, 0]
    }

    /// Numbers of a lowered image.
    fn lowered(&self) -> usize {
        let product = self.product();
        product.inner * product.cols
    }

    /// One group of one image of the input, counted through both.
    fn image_of<'a, T: Real>(&self, x: &'a Tensor<T>, piece: usize) -> &'a [T] {
        &x.data()[piece * self.piece()..][..self.piece()]
    }

    /// The same of the output, as (outputs × places).
    fn output_of<'a, T: Real>(&self, z: &'a Tensor<T>, piece: usize) -> Matrix<'a, T> {
        let p = self.product();
        Matrix::new(&z.data()[piece * p.rows * p.cols..][..p.rows * p.cols], p.rows, p.cols, false)
    }

    /// The weight of a piece's group, as (outputs × window).
    fn weight_of<'a, T: Real>(&self, w: &'a [T], piece: usize) -> Matrix<'a, T> {
        let (p, group) = (self.product(), piece % self.groups);
        Matrix::new(&w[group * p.rows * p.inner..][..p.rows * p.inner], p.rows, p.inner, false)
    }

    /// What the window sees of an image, as (window × places), in `scratch` where it is not the image itself.
    fn columns<'a, T: Real>(&self, image: &'a [T], scratch: &'a mut [T]) -> Matrix<'a, T> {
        let p = self.product();
        if self.pointwise() {
            return Matrix::new(image, p.inner, p.cols, false);
        }
        lower(self, image, scratch);
        Matrix::new(scratch, p.inner, p.cols, false)
    }

    /// Fills a piece of the output with a number for each output channel, if there is one, for products to be added to.
    fn started<'a, T: Real>(&self, z: &mut [T], bias: Option<&[T]>, piece: usize) -> Onto<'a, T> {
        let Some(bias) = bias else { return Onto::Nothing };
        let (p, group) = (self.product(), piece % self.groups);
        let bias = &bias[group * p.rows..][..p.rows];
        z.chunks_exact_mut(p.cols).zip(bias).for_each(|(row, b)| row.fill(*b));
        Onto::Present
    }

    /// The work of a number that is a sum over the window, in additions.
    fn weight(&self) -> usize {
        self.product().inner
    }
}

/// A convolution by given weights, to be applied to images one by one.
struct Weights<'a, T: Real> {
    g: &'a Geometry,
    w: &'a [T],
    /// Where images are read in place, how, and the weights as it takes them.
    direct: Option<(Direct<'a>, Buffer<T>)>,
}

impl<'a, T: Real> Weights<'a, T> {
    fn new(g: &'a Geometry, w: &'a [T]) -> Self {
        let direct = g.direct_output::<T>().map(|direct| {
            let weights = direct.by_fours(w);
            (direct, weights)
        });
        Weights { g, w, direct }
    }

    /// z = b + Σ x ∗ w over the terms, one or two, of one group of an image; all weights are of one geometry.
    #[inline(always)]
    fn output(z: &mut [T], bias: Option<&[T]>, terms: &[(&[T], &Self)], piece: usize) {
        let g = terms[0].1.g;
        let Some((direct, _)) = &terms[0].1.direct else { return Self::by_lowering(z, bias, terms, piece) };
        let mut scratch = [(); 2].map(|()| Buffer::stale(0));
        let mut framed: SmallVec<[[&[T]; 2]; 2]> = SmallVec::new();
        for ((image, weights), scratch) in terms.iter().zip(&mut scratch) {
            let Some((_, weights)) = &weights.direct else { unreachable!("weights of one geometry are read alike") };
            framed.push([direct.frame_of(image, scratch), weights]);
        }
        direct.output(z, bias, &framed, piece % g.groups);
        counted(terms.len() as u64 * g.product().flops());
    }

    fn by_lowering(z: &mut [T], bias: Option<&[T]>, terms: &[(&[T], &Self)], piece: usize) {
        let g = terms[0].1.g;
        let (mut scratch, mut onto) = (Buffer::stale(g.lowered()), g.started(z, bias, piece));
        for (image, weights) in terms {
            matmul_into(z, onto, g.weight_of(weights.w, piece), g.columns(image, &mut scratch));
            onto = Onto::Present;
        }
    }
}

/// The convolutions of one scalar. Not generic, so that all their loops are compiled in this crate, once, and not in each that uses them.
pub trait Convolve: Sized {
    /// b + Σ x ∗ w over the terms.
    fn conv_output(g: &Geometry, bias: Option<&[Self]>, terms: &[[&Tensor<Self>; 2]]) -> Tensor<Self>
    where
        Self: Real;
    /// The adjoint of the input, Σ over the terms (z, w).
    fn conv_input(g: &Geometry, terms: &[[&Tensor<Self>; 2]]) -> Tensor<Self>
    where
        Self: Real;
    /// The adjoint of the weight, Σ over the batch and the terms (x, z).
    fn conv_weight(g: &Geometry, terms: &[[&Tensor<Self>; 2]]) -> Tensor<Self>
    where
        Self: Real;
    /// ż and the curvature term 2⟨z̄, ẋ ∗ ẇ⟩.
    fn conv_advance(moved: &Moved<'_, Self>, g: &Geometry, forms: Forms) -> (Tensor<Self>, f64)
    where
        Self: Real;
}

macro_rules! convolve {
    ($($t:ty),*) => {$(
        impl Convolve for $t {
            fn conv_output(g: &Geometry, bias: Option<&[$t]>, terms: &[[&Tensor<$t>; 2]]) -> Tensor<$t> {
                output(g, bias, terms)
            }

            fn conv_input(g: &Geometry, terms: &[[&Tensor<$t>; 2]]) -> Tensor<$t> {
                input(g, terms)
            }

            fn conv_weight(g: &Geometry, terms: &[[&Tensor<$t>; 2]]) -> Tensor<$t> {
                weight(g, terms)
            }

            fn conv_advance(moved: &Moved<'_, $t>, g: &Geometry, forms: Forms) -> (Tensor<$t>, f64) {
                moved.advance(g, forms)
            }
        }
    )*};
}
convolve!(f32, f64);

fn output<T: Real>(g: &Geometry, bias: Option<&[T]>, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let p = g.product();
    let weights: SmallVec<[Weights<'_, T>; 2]> = terms.iter().map(|[_, w]| Weights::new(g, w.data())).collect();
    let one = inlined(
        #[inline(always)]
        |piece: usize, z: &mut [T]| {
            let images = terms.iter().map(|[x, _]| g.image_of(x, piece));
            let terms: SmallVec<[_; 2]> = images.zip(&weights).collect();
            Weights::output(z, bias, &terms, piece);
            0.0
        },
    );
    tensor_in_pieces(&g.output_shape(), p.rows * p.cols, g.weight(), one).0
}

fn input<T: Real>(g: &Geometry, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let Some(direct) = g.direct_input::<T>() else { return input_by_lowering(g, terms) };
    let weights: SmallVec<[Buffer<T>; 2]> = terms.iter().map(|[_, w]| direct.by_inputs(w.data())).collect();
    let one = inlined(
        #[inline(always)]
        |piece: usize, image: &mut [T]| {
            let adjoints = terms.iter().map(|[z, _]| g.output_of(z, piece).data());
            let terms: SmallVec<[[&[T]; 2]; 2]> = adjoints.zip(&weights).map(|(z, w)| [z, &**w]).collect();
            direct.input(image, &terms, piece % g.groups);
            counted(terms.len() as u64 * g.product().flops());
            0.0
        },
    );
    tensor_in_pieces(&g.input_shape(), g.piece(), g.weight(), one).0
}

fn input_by_lowering<T: Real>(g: &Geometry, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let product = |out: &mut [T], piece: usize| {
        let mut onto = Onto::Nothing;
        for [z, w] in terms {
            matmul_into(out, onto, g.weight_of(w.data(), piece).transpose(), g.output_of(z, piece));
            onto = Onto::Present;
        }
    };
    let one = inlined(
        #[inline(always)]
        |piece: usize, image: &mut [T]| {
            if g.pointwise() {
                product(image, piece);
            } else {
                let mut columns = Buffer::stale(g.lowered());
                product(&mut columns, piece);
                image.fill(T::default());
                raise_onto(g, &columns, image);
            }
            0.0
        },
    );
    tensor_in_pieces(&g.input_shape(), g.piece(), g.weight(), one).0
}

fn weight<T: Real>(g: &Geometry, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    match g.direct_weight::<T>() {
        Some(direct) => weight_directly(g, &direct, terms),
        None => weight_by_lowering(g, terms),
    }
}

fn weight_directly<T: Real>(g: &Geometry, direct: &Direct<'_>, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let (p, size) = (g.product(), direct.weight_sum::<T>());
    let tasks = g.batch.div_ceil(g.images());
    let mut sums = Buffer::stale(tasks * g.groups * size);
    let one = inlined(
        #[inline(always)]
        |task: usize, sums: &mut [T]| {
            sums.fill(T::default());
            let mut scratch = Buffer::stale(0);
            for image in task * g.images()..((task + 1) * g.images()).min(g.batch) {
                for (group, sum) in sums.chunks_exact_mut(size).enumerate() {
                    let piece = image * g.groups + group;
                    for [x, z] in terms {
                        let image = direct.frame_of(g.image_of(x, piece), &mut scratch);
                        direct.weight(sum, image, g.output_of(z, piece).data());
                    }
                }
            }
            counted(g.images().min(g.batch - task * g.images()) as u64 * (g.groups * terms.len()) as u64 * p.flops());
            0.0
        },
    );
    pieces(&mut sums, g.groups * size, g.images() * p.cols, one);
    Tensor::filled(&g.weight_shape(), |w| {
        w.fill(T::default());
        for sum in sums.chunks_exact(g.groups * size) {
            for (w, sum) in w.chunks_exact_mut(p.rows * p.inner).zip(sum.chunks_exact(size)) {
                direct.add_weight(w, sum);
            }
        }
    })
}

fn weight_by_lowering<T: Real>(g: &Geometry, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let (p, shape) = (g.product(), g.weight_shape());
    let size = p.rows * p.inner;
    let tasks = (0..g.batch).step_by(g.images());
    let mut sums = parallel::map(tasks, |from| {
        let (mut sum, mut scratch) = (Buffer::stale(g.groups * size), Buffer::stale(g.lowered()));
        for image in from..(from + g.images()).min(g.batch) {
            for (group, sum) in sum.chunks_exact_mut(size).enumerate() {
                let piece = image * g.groups + group;
                for (i, [x, z]) in terms.iter().enumerate() {
                    let onto = if image == from && i == 0 { Onto::Nothing } else { Onto::Present };
                    let columns = g.columns(g.image_of(x, piece), &mut scratch);
                    matmul_into(sum, onto, g.output_of(z, piece), columns.transpose());
                }
            }
        }
        sum
    })
    .into_iter();
    Tensor::filled(&shape, |w| match sums.next() {
        None => w.fill(T::default()),
        Some(first) => {
            w.copy_from_slice(&first);
            sums.for_each(|sum| kernel::onto(w, &sum, |w, s| w + s));
        }
    })
}

/// A convolution with the tangents of all that it reads, and the adjoint of its output.
pub struct Moved<'a, T: Real> {
    pub(super) x: &'a Tensor<T>,
    pub(super) w: &'a Tensor<T>,
    pub(super) dx: &'a Tensor<T>,
    pub(super) dw: &'a Tensor<T>,
    pub(super) bias: Option<&'a [T]>,
    pub(super) dbias: Option<&'a [T]>,
    pub(super) z: &'a Tensor<T>,
    pub(super) zbar: &'a Tensor<T>,
}

// Both forms loop over the products of an image: of two calls in a row, each inlined, the second was compiled to code that keeps its
// tile in memory.
impl<T: Real> Moved<'_, T> {
    fn advance(&self, g: &Geometry, forms: Forms) -> (Tensor<T>, f64) {
        let motion = Motion { moving: [true, true], curved: true, multiple: None };
        let two = g.product().form(forms, motion) == Form::TwoProduct;
        let scale = || balance(mean_squares([self.w, self.dw].map(Tensor::data)));
        match if two { scale() } else { None } {
            Some(s) => self.two_product(g, s),
            None => self.direct(g),
        }
    }

    fn direct(&self, g: &Geometry) -> (Tensor<T>, f64) {
        let (w, dw) = (Weights::new(g, self.w.data()), Weights::new(g, self.dw.data()));
        let one = inlined(
            #[inline(always)]
            |piece: usize, dz: &mut [T]| {
                let mut c = Buffer::stale(dz.len());
                let (x, dx) = (g.image_of(self.x, piece), g.image_of(self.dx, piece));
                let tangent: &[_] = &[(dx, &w), (x, &dw)];
                for (z, bias, terms) in [(&mut *dz, self.dbias, tangent), (&mut *c, None, &[(dx, &dw)])] {
                    Weights::output(z, bias, terms, piece);
                }
                inner_here(&c, g.output_of(self.zbar, piece).data())
            },
        );
        self.output(g, one)
    }

    /// With a power of two s of about ‖w‖/‖ẇ‖: ż = (x/s + ẋ) ∗ (w + sẇ) + b/s + ḃ − z/s − s ẋ ∗ ẇ.
    fn two_product(&self, g: &Geometry, s: f64) -> (Tensor<T>, f64) {
        let (scale, inverse) = (T::from_f64(s), T::from_f64(1.0 / s));
        let mut far = Buffer::stale(self.w.len());
        kernel::pairs(
            &mut far,
            self.w.data(),
            self.dw.data(),
            #[inline(always)]
            move |w, d| w + scale * d,
        );
        let (far, dw) = (Weights::new(g, &far), Weights::new(g, self.dw.data()));
        let bias = moved_bias(self.bias, self.dbias, inverse);
        let one = inlined(
            #[inline(always)]
            |piece: usize, dz: &mut [T]| {
                let (mut image, mut c) = (Buffer::stale(g.piece()), Buffer::stale(dz.len()));
                // Copies, which stay in registers.
                let (inverse, scale) = (inverse, scale);
                let (x, dx) = (g.image_of(self.x, piece), g.image_of(self.dx, piece));
                for ((image, x), d) in image.iter_mut().zip(x).zip(dx) {
                    *image = inverse * *x + *d;
                }
                for (z, bias, term) in [(&mut *dz, bias.as_deref(), (&*image, &far)), (&mut *c, None, (dx, &dw))] {
                    Weights::output(z, bias, &[term], piece);
                }
                let [z, zbar] = [self.z, self.zbar].map(|t| g.output_of(t, piece).data());
                for ((dz, z), c) in dz.iter_mut().zip(z).zip(c.iter()) {
                    *dz = *dz - (inverse * *z + scale * *c);
                }
                inner_here(&c, zbar)
            },
        );
        self.output(g, one)
    }

    /// ż and twice the sum, piece by piece.
    fn output(&self, g: &Geometry, one: impl Fn(usize, &mut [T]) -> f64 + Copy + Sync) -> (Tensor<T>, f64) {
        let p = g.product();
        let (dz, term) = tensor_in_pieces(&g.output_shape(), p.rows * p.cols, g.weight(), one);
        (dz, 2.0 * term)
    }
}
