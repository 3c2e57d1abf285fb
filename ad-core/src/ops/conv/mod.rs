//! Convolution over images, and its two adjoints.
//!
//! With ⟨z̄, x ∗ w⟩ = ⟨x̄(z̄, w), x⟩ = ⟨w̄(x, z̄), w⟩ the three are one trilinear form: each is bilinear, and its adjoints are the
//! other two. So derivatives of any order stay among them.
//!
//! The convolution is a matrix product for each image and group (`map.rs`), of the weight by the matrix whose columns are what the
//! window sees at each place, and in the curvature sweep it takes the direct or the two-product form, as layers do. Where vectors fit
//! the sizes that matrix is read from the image in place (`direct.rs`), otherwise the image is lowered to it (`lower.rs`): one group
//! of one image at a time, so that it fits the caches.

mod direct;
mod geometry;
mod lower;
mod map;
#[cfg(test)]
mod tests;
mod tile;

pub use geometry::Window;
pub use map::Convolve;

use geometry::Geometry;

use crate::array::{Array, At};
use crate::ops::binary::sum;
use crate::ops::product::{Form, Forms};
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive, Visit};
use crate::real::Real;
use crate::tensor::Tensor;

/// z = x ∗ w + b: cross-correlation, as in neural networks, of x (batch, channels, height, width) with w (outputs, channels / groups,
/// height, width); b (outputs) if given. Gives (batch, outputs, down, across).
///
/// `z[n, o, p] = b[o] + Σ w[o, c, i] x[n, c, p·stride + i·dilation − padding]` over c and i, x being zero outside of the image. Output
/// channels are cut into as many groups as input channels, and each reads its own.
///
/// Bilinear in x and w, linear in b. PyTorch's `conv2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// How the window moves.
    pub window: Window,
    /// Groups of channels.
    pub groups: usize,
}

/// The adjoint of [`Conv`] with respect to its input: from z̄ and w, x̄ of images of the given size; a transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvInput {
    /// The convolution.
    pub of: Conv,
    /// Height and width of its input.
    pub image: [usize; 2],
}

/// The adjoint of [`Conv`] with respect to its weight: from x and z̄, w̄ of kernels of the given size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvWeight {
    /// The convolution.
    pub of: Conv,
    /// Height and width of its kernels.
    pub kernel: [usize; 2],
}

impl Conv {
    #[track_caller]
    fn geometry(&self, x: &[usize], w: &[usize]) -> Geometry {
        Geometry::new(self.window, self.groups, x, w)
    }

    fn input<A: Array>(self, x: &A, zbar: &A, w: &A) -> A {
        A::apply(ConvInput { of: self, image: last_two(x.shape()) }, &[zbar, w])
    }

    fn weight<A: Array>(self, w: &A, x: &A, zbar: &A) -> A {
        A::apply(ConvWeight { of: self, kernel: last_two(w.shape()) }, &[x, zbar])
    }
}

fn last_two(shape: &[usize]) -> [usize; 2] {
    [shape[shape.len() - 2], shape[shape.len() - 1]]
}

/// The terms φ(ẋ, w) and φ(x, ẇ) that are there.
fn product_rule<'a, T: Real>(x: [&'a Tensor<T>; 2], dx: [Option<&'a Tensor<T>>; 2]) -> Vec<[&'a Tensor<T>; 2]> {
    [dx[0].map(|d| [d, x[1]]), dx[1].map(|d| [x[0], d])].into_iter().flatten().collect()
}

impl Primitive for Conv {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "conv"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let g = self.geometry(x[0].shape(), x[1].shape());
        let outputs = x[1].shape()[0];
        if let Some(b) = x.get(2) {
            assert!(b.shape() == [outputs], "conv: bias {:?} for {outputs} output channels", b.shape());
        }
        T::conv_output(&g, x.get(2).map(|b| b.data()), &[[x[0], x[1]]])
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let db = dx.get(2).copied().flatten();
        let moved_input = dx[0].map(|d| A::apply(*self, &[d, x[1]]));
        let moved_weight = dx[1].map(|d| A::apply(*self, &[x[0], d]));
        let moved_bias = db.map(|db| db.reshape(&[db.shape()[0], 1, 1]).broadcast_to(y.shape()));
        sum(sum(moved_input, moved_weight), moved_bias)
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || self.input(x[0], ybar, x[1]));
        out.add(1, || self.weight(x[1], x[0], ybar));
        if x.len() > 2 {
            out.add(2, || ybar.sum(&[0, 2, 3]));
        }
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        let terms = product_rule([x[0], x[1]], [dx[0], dx[1]]);
        if terms.is_empty() {
            return self.jvp(x, y, dx);
        }
        let db = dx.get(2).copied().flatten();
        Some(T::conv_output(&self.geometry(x[0].shape(), x[1].shape()), db.map(Tensor::data), &terms))
    }

    /// x̄̇ = z̄̇ ∗ᵀ w + z̄ ∗ᵀ ẇ and the like for w, each raised and added up once.
    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let (x, w) = (at.x[0], at.x[1]);
        let g = self.geometry(x.shape(), w.shape());
        let some = |terms: &Vec<_>| !terms.is_empty();
        let terms = product_rule([at.ybar, w], [dybar, dx[1]]);
        out.add_if_some(0, || some(&terms).then(|| T::conv_input(&g, &terms)));
        let terms = product_rule([x, at.ybar], [dx[0], dybar]);
        out.add_if_some(1, || some(&terms).then(|| T::conv_weight(&g, &terms)));
        if let (Some(d), 3) = (dybar, at.x.len()) {
            out.add(2, || d.sum(&[0, 2, 3]));
        }
    }

    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (Some(dx), Some(dw), Some(zbar)) = (node.dx[0], node.dx[1], node.ybar) else { return None };
        let (bias, dbias) = (node.x.get(2).map(|b| b.data()), node.dx.get(2).copied().flatten().map(Tensor::data));
        let g = self.geometry(node.x[0].shape(), node.x[1].shape());
        let moved = map::Moved { x: node.x[0], w: node.x[1], dx, dw, bias, dbias, z: node.y, zbar };
        let (dz, term) = T::conv_advance(&moved, &g, node.forms);
        Some((Some(dz), term))
    }

    fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64 {
        let g = self.geometry(shapes[0], shapes[1]);
        let visit = match *visit {
            // The gradient as direction gains nothing here: no factored form is known.
            Visit::Advance { moving, curved, forms, .. } => {
                Visit::Advance { moving, multiples: &[None; 3], curved, forms }
            }
            other => other,
        };
        g.products() as u64 * g.product().visit_flops(&visit, None)
    }

    recorded_as!(Conv);
}

/// One of the adjoints: bilinear, without a bias.
macro_rules! adjoint {
    ($name:ident, $text:literal, |$p:ident, $a:ident, $b:ident| $geometry:expr, $map:path,
     |$q:ident, $x:ident, $ybar:ident| $first:expr, $second:expr) => {
        impl $name {
            #[track_caller]
            fn geometry(&self, $a: &[usize], $b: &[usize]) -> Geometry {
                let $p = self;
                $geometry
            }
        }

        impl Primitive for $name {
            const KIND: Kind = Kind::Bilinear;

            fn name(&self) -> &'static str {
                $text
            }

            #[track_caller]
            fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
                $map(&self.geometry(x[0].shape(), x[1].shape()), &[[x[0], x[1]]])
            }

            fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
                sum(dx[0].map(|d| A::apply(*self, &[d, x[1]])), dx[1].map(|d| A::apply(*self, &[x[0], d])))
            }

            fn vjp<A: Array>(&self, $x: &[&A], _y: &A, $ybar: &A, out: &mut Cotangents<'_, A>) {
                let $q = self;
                out.add(0, || $first);
                out.add(1, || $second);
            }

            fn jvp_fused<T: Real>(
                &self,
                x: &[&Tensor<T>],
                _y: &Tensor<T>,
                dx: &[Option<&Tensor<T>>],
            ) -> Option<Tensor<T>> {
                let terms = product_rule([x[0], x[1]], [dx[0], dx[1]]);
                Some($map(&self.geometry(x[0].shape(), x[1].shape()), &terms))
            }

            fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64 {
                let g = self.geometry(shapes[0], shapes[1]);
                g.products() as u64 * g.product().visit_flops(visit, Some(Forms::Only(Form::Direct)))
            }

            recorded_as!($name);
        }
    };
}

adjoint!(
    ConvInput,
    "conv_input",
    |p, z, w| {
        let &[batch, ..] = z else { panic!("conv_input of {z:?}: the output's adjoint has four axes") };
        let &[_, inputs, ..] = w else { panic!("conv_input by {w:?}: the weight has four axes") };
        let g = p.of.geometry(&[batch, inputs * p.of.groups, p.image[0], p.image[1]], w);
        assert!(
            g.output_shape().as_slice() == z,
            "conv_input: {:?} is the shape of outputs, not {z:?}",
            g.output_shape()
        );
        g
    },
    Convolve::conv_input,
    |p, x, ybar| A::apply(p.of, &[ybar, x[1]]),
    p.of.weight(x[1], ybar, x[0])
);

adjoint!(
    ConvWeight,
    "conv_weight",
    |p, x, z| {
        let (&[_, channels, ..], &[_, outputs, ..]) = (x, z) else {
            panic!("conv_weight of {x:?} and {z:?}: both have four axes")
        };
        let inputs = channels / p.of.groups.max(1);
        let g = p.of.geometry(x, &[outputs, inputs, p.kernel[0], p.kernel[1]]);
        assert!(
            g.output_shape().as_slice() == z,
            "conv_weight: {:?} is the shape of outputs, not {z:?}",
            g.output_shape()
        );
        g
    },
    Convolve::conv_weight,
    |p, x, ybar| p.of.input(x[0], x[1], ybar),
    A::apply(p.of, &[x[0], ybar])
);
