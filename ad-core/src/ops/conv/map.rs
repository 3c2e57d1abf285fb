//! Convolutions of tensors as matrix products: one for each image and group, of the weight by the lowered image.
//!
//! Images are shared out over threads; sums over the batch are by a fixed number of tasks, so that they do not depend on the number
//! of threads.

use super::geometry::Geometry;
use super::lower::{lower, raise_onto};
use crate::buffer::Buffer;
use crate::gemm::{Matrix, Onto, matmul_into};
use crate::kernel::{self, tensor_in_pieces};
use crate::ops::product::{Combined, Form, Forms, Motion, balance, far_bias};
use crate::parallel;
use crate::real::Real;
use crate::tensor::Tensor;

/// Tasks that a sum over the batch is cut into.
const TASKS: usize = 8;

impl Geometry {
    /// Images of a task.
    fn images(&self) -> usize {
        self.batch.div_ceil(TASKS).max(1)
    }

    /// Whether the lowered image is the image itself.
    fn pointwise(&self) -> bool {
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

/// b + Σ x ∗ w over the terms.
pub(super) fn output<T: Real>(g: &Geometry, bias: Option<&[T]>, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let p = g.product();
    let one = |piece: usize, z: &mut [T]| {
        let (mut scratch, mut onto) = (Buffer::stale(g.lowered()), g.started(z, bias, piece));
        for [x, w] in terms {
            let columns = g.columns(g.image_of(x, piece), &mut scratch);
            matmul_into(z, onto, g.weight_of(w.data(), piece), columns);
            onto = Onto::Present;
        }
        0.0
    };
    tensor_in_pieces(&g.output_shape(), p.rows * p.cols, g.weight(), one).0
}

/// The adjoint of the input, Σ over the terms (z, w).
pub(super) fn input<T: Real>(g: &Geometry, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let product = |out: &mut [T], piece: usize| {
        let mut onto = Onto::Nothing;
        for [z, w] in terms {
            matmul_into(out, onto, g.weight_of(w.data(), piece).transpose(), g.output_of(z, piece));
            onto = Onto::Present;
        }
    };
    let one = |piece: usize, image: &mut [T]| {
        if g.pointwise() {
            product(image, piece);
        } else {
            let mut columns = Buffer::stale(g.lowered());
            product(&mut columns, piece);
            image.fill(T::default());
            raise_onto(g, &columns, image);
        }
        0.0
    };
    tensor_in_pieces(&g.input_shape(), g.piece(), g.weight(), one).0
}

/// The adjoint of the weight, Σ over the batch and the terms (x, z).
pub(super) fn weight<T: Real>(g: &Geometry, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
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
pub(super) struct Moved<'a, T: Real> {
    pub(super) x: &'a Tensor<T>,
    pub(super) w: &'a Tensor<T>,
    pub(super) dx: &'a Tensor<T>,
    pub(super) dw: &'a Tensor<T>,
    pub(super) bias: Option<&'a [T]>,
    pub(super) dbias: Option<&'a [T]>,
    pub(super) z: &'a Tensor<T>,
    pub(super) zbar: &'a Tensor<T>,
}

impl<T: Real> Moved<'_, T> {
    /// ż and the curvature term 2⟨z̄, ẋ ∗ ẇ⟩.
    pub(super) fn advance(&self, g: &Geometry, forms: Forms) -> (Tensor<T>, f64) {
        let motion = Motion { moving: [true, true], curved: true, multiple: None };
        let two = g.product().form(forms, motion) == Form::TwoProduct;
        match balance([self.x.data(), self.w.data()], [self.dx.data(), self.dw.data()]) {
            Some(s) if two => self.two_product(g, s),
            _ => self.direct(g),
        }
    }

    fn direct(&self, g: &Geometry) -> (Tensor<T>, f64) {
        let p = g.product();
        let (dz, term) = tensor_in_pieces(&g.output_shape(), p.rows * p.cols, g.weight(), |piece, dz: &mut [T]| {
            let (mut scratch, mut c) = (Buffer::stale(g.lowered()), Buffer::stale(dz.len()));
            let (w, dw) = (g.weight_of(self.w.data(), piece), g.weight_of(self.dw.data(), piece));
            let onto = g.started(dz, self.dbias, piece);
            let moved = g.columns(g.image_of(self.dx, piece), &mut scratch);
            matmul_into(dz, onto, w, moved);
            matmul_into(&mut c, Onto::Nothing, dw, moved);
            let columns = g.columns(g.image_of(self.x, piece), &mut scratch);
            matmul_into(dz, Onto::Present, dw, columns);
            kernel::inner(&c, g.output_of(self.zbar, piece).data())
        });
        (dz, 2.0 * term)
    }

    /// With a power of two s that balances the sums: ż = [(x + sẋ) ∗ (w + sẇ) + b + sḃ − z]/s − s ẋ ∗ ẇ.
    fn two_product(&self, g: &Geometry, s: f64) -> (Tensor<T>, f64) {
        let (p, scale) = (g.product(), T::from_f64(s));
        let sum = |a: T, d: T| a + scale * d;
        let mut far = Buffer::stale(self.w.len());
        kernel::pairs(&mut far, self.w.data(), self.dw.data(), sum);
        let bias = far_bias(self.bias, self.dbias, scale);
        let (dz, term) = tensor_in_pieces(&g.output_shape(), p.rows * p.cols, g.weight(), |piece, dz: &mut [T]| {
            let (mut scratch, mut image) = (Buffer::stale(g.lowered()), Buffer::stale(g.piece()));
            let mut c = Buffer::stale(dz.len());
            let dx = g.image_of(self.dx, piece);
            kernel::pairs(&mut image, g.image_of(self.x, piece), dx, sum);
            let onto = g.started(dz, bias.as_deref(), piece);
            matmul_into(dz, onto, g.weight_of(&far, piece), g.columns(&image, &mut scratch));
            let dw = g.weight_of(self.dw.data(), piece);
            matmul_into(&mut c, Onto::Nothing, dw, g.columns(dx, &mut scratch));
            let (z, zbar) = (g.output_of(self.z, piece).data(), g.output_of(self.zbar, piece).data());
            kernel::run(&Combined { z, c: &c, zbar, s: scale }, dz)
        });
        (dz, 2.0 * term)
    }
}
