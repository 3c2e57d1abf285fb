//! Convolutions of tensors as matrix products: one for each image and group, of the weight by the lowered image.
//!
//! Images are shared out over threads in a fixed number of tasks, so that sums over the batch do not depend on the number of
//! threads.

use super::geometry::Geometry;
use super::lower::{lower, raise_onto};
use crate::buffer::Buffer;
use crate::gemm::{Matrix, Onto, matmul_into};
use crate::kernel;
use crate::ops::product::{Combined, Form, Forms, Motion, balance, far_bias};
use crate::parallel;
use crate::real::Real;
use crate::tensor::Tensor;

/// Tasks that a batch is cut into.
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

    /// The pieces of an array with `size` numbers each, shared out over threads: `run` is given the number and the numbers of a
    /// task's pieces, and what it returns is added up in order.
    fn tasks<T: Real>(
        &self,
        out: &mut [T],
        size: usize,
        run: impl Fn(&mut dyn Iterator<Item = (usize, &mut [T])>) -> f64 + Sync,
    ) -> f64 {
        let pieces = self.images() * self.groups;
        let tasks = out.chunks_mut((pieces * size).max(1)).enumerate();
        let sums = parallel::map(tasks, |(task, out)| {
            run(&mut out.chunks_exact_mut(size).enumerate().map(|(i, out)| (task * pieces + i, out)))
        });
        sums.into_iter().sum()
    }
}

/// b + Σ x ∗ w over the terms.
pub(super) fn output<T: Real>(g: &Geometry, bias: Option<&[T]>, terms: &[[&Tensor<T>; 2]]) -> Tensor<T> {
    let p = g.product();
    Tensor::filled(&g.output_shape(), |z| {
        g.tasks(z, p.rows * p.cols, |pieces| {
            let mut scratch = Buffer::stale(g.lowered());
            for (piece, z) in pieces {
                let mut onto = g.started(z, bias, piece);
                for [x, w] in terms {
                    let columns = g.columns(g.image_of(x, piece), &mut scratch);
                    matmul_into(z, onto, g.weight_of(w.data(), piece), columns);
                    onto = Onto::Present;
                }
            }
            0.0
        });
    })
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
    Tensor::filled(&g.input_shape(), |x| {
        g.tasks(x, g.piece(), |pieces| {
            let mut columns = Buffer::stale(g.lowered());
            for (piece, image) in pieces {
                if g.pointwise() {
                    product(image, piece);
                } else {
                    product(&mut columns, piece);
                    image.fill(T::default());
                    raise_onto(g, &columns, image);
                }
            }
            0.0
        });
    })
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

impl Geometry {
    /// The form in which the products advance: direct or two-product.
    pub(super) fn form(&self, forms: Forms, moving: [bool; 2], curved: bool) -> (Form, Motion) {
        let motion = Motion { moving, curved, multiple: None };
        (self.product().form(forms, motion), motion)
    }
}

impl<T: Real> Moved<'_, T> {
    /// ż and the curvature term 2⟨z̄, ẋ ∗ ẇ⟩.
    pub(super) fn advance(&self, g: &Geometry, forms: Forms) -> (Tensor<T>, f64) {
        let two = g.form(forms, [true, true], true).0 == Form::TwoProduct;
        match balance([self.x.data(), self.w.data()], [self.dx.data(), self.dw.data()]) {
            Some(s) if two => self.two_product(g, s),
            _ => self.direct(g),
        }
    }

    fn direct(&self, g: &Geometry) -> (Tensor<T>, f64) {
        let p = g.product();
        let mut term = 0.0;
        let dz = Tensor::filled(&g.output_shape(), |dz| {
            term = g.tasks(dz, p.rows * p.cols, |pieces| {
                let (mut scratch, mut c) = (Buffer::stale(g.lowered()), Buffer::stale(p.rows * p.cols));
                let mut term = 0.0;
                for (piece, dz) in pieces {
                    let (w, dw) = (g.weight_of(self.w.data(), piece), g.weight_of(self.dw.data(), piece));
                    let onto = g.started(dz, self.dbias, piece);
                    let moved = g.columns(g.image_of(self.dx, piece), &mut scratch);
                    matmul_into(dz, onto, w, moved);
                    matmul_into(&mut c, Onto::Nothing, dw, moved);
                    let columns = g.columns(g.image_of(self.x, piece), &mut scratch);
                    matmul_into(dz, Onto::Present, dw, columns);
                    term += kernel::inner(&c, g.output_of(self.zbar, piece).data());
                }
                term
            });
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
        let mut term = 0.0;
        let dz = Tensor::filled(&g.output_shape(), |dz| {
            term = g.tasks(dz, p.rows * p.cols, |pieces| {
                let (mut scratch, mut image) = (Buffer::stale(g.lowered()), Buffer::stale(g.piece()));
                let (mut c, mut term) = (Buffer::stale(p.rows * p.cols), 0.0);
                for (piece, dz) in pieces {
                    let dx = g.image_of(self.dx, piece);
                    kernel::pairs(&mut image, g.image_of(self.x, piece), dx, sum);
                    let onto = g.started(dz, bias.as_deref(), piece);
                    matmul_into(dz, onto, g.weight_of(&far, piece), g.columns(&image, &mut scratch));
                    let dw = g.weight_of(self.dw.data(), piece);
                    matmul_into(&mut c, Onto::Nothing, dw, g.columns(dx, &mut scratch));
                    let (z, zbar) = (g.output_of(self.z, piece).data(), g.output_of(self.zbar, piece).data());
                    term += kernel::run(&Combined { z, c: &c, zbar, s: scale }, dz);
                }
                term
            });
        });
        (dz, 2.0 * term)
    }
}
