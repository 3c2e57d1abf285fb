//! Matrix products, with transposes and leading batch axes.

use smallvec::SmallVec;

use crate::array::Array;
use crate::gemm::{Matrix, Onto, Source, matmul_into};
use crate::ops::binary::sum;
use crate::ops::product::{Form, Forms, Product, Sizes};
use crate::ops::{Ops, recorded_as};
use crate::primitive::{Advance, Cotangents, Kind, Primitive, Visit};
use crate::real::Real;
use crate::shape::{Shape, broadcast, broadcast_strides, count};
use crate::tensor::Tensor;

/// op(x₀) op(x₁) over the last two axes, where op may transpose; leading axes are broadcast together.
///
/// Shapes: (…, n, k) and (…, k, m) after the transposes, giving (…, n, m).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Whether input 0 is transposed.
    pub ta: bool,
    /// Whether input 1 is transposed.
    pub tb: bool,
}

impl MatMul {
    /// The leading axes of the result and (n, k, m).
    #[track_caller]
    fn dims(&self, a: &[usize], b: &[usize]) -> (Shape, [usize; 3]) {
        let fail =
            || -> ! { panic!("matmul of shapes {a:?} and {b:?} (transposed: {}, {}) does not fit", self.ta, self.tb) };
        if a.len() < 2 || b.len() < 2 {
            fail();
        }
        let (la, ma) = a.split_at(a.len() - 2);
        let (lb, mb) = b.split_at(b.len() - 2);
        let (n, ka) = if self.ta { (ma[1], ma[0]) } else { (ma[0], ma[1]) };
        let (kb, m) = if self.tb { (mb[1], mb[0]) } else { (mb[0], mb[1]) };
        match broadcast(la, lb) {
            Some(lead) if ka == kb => (lead, [n, ka, m]),
            _ => fail(),
        }
    }
}

impl Primitive for MatMul {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "matmul"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let (a, b) = (x[0], x[1]);
        let (lead, [n, k, m]) = self.dims(a.shape(), b.shape());
        let mut shape = lead.clone();
        shape.extend([n, m]);
        let offsets = |t: &Tensor<T>| {
            let lead_of_t = &t.shape()[..t.rank() - 2];
            let steps = broadcast_strides(lead_of_t, &lead);
            crate::shape::Offsets::new(&lead, &steps).collect::<SmallVec<[usize; 1]>>()
        };
        let (oa, ob) = (offsets(a), offsets(b));
        Tensor::filled(&shape, |out| {
            for (i, c) in out.chunks_exact_mut((n * m).max(1)).enumerate() {
                let left = Matrix::new(&a.data()[oa[i] * n * k..][..n * k], n, k, self.ta);
                let right = Matrix::new(&b.data()[ob[i] * k * m..][..k * m], k, m, self.tb);
                matmul_into(c, Onto::Nothing, left, right);
            }
        })
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let product = |a: &A, b: &A| A::apply(*self, &[a, b]);
        sum(dx[0].map(|d| product(d, x[1])), dx[1].map(|d| product(x[0], d)))
    }

    /// With C = op(A) op(B): the adjoint of op(A) is C̄ op(B)ᵀ and that of op(B) is op(A)ᵀ C̄, each transposed back.
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let product = |a: &A, b: &A, ta: bool, tb: bool| A::apply(MatMul { ta, tb }, &[a, b]);
        out.add(0, || {
            let abar = if self.ta { product(x[1], ybar, self.tb, true) } else { product(ybar, x[1], false, !self.tb) };
            abar.sum_to(x[0].shape())
        });
        out.add(1, || {
            let bbar = if self.tb { product(ybar, x[0], true, self.ta) } else { product(x[0], ybar, !self.ta, false) };
            bbar.sum_to(x[1].shape())
        });
    }

    /// By the cheapest form where both operands are matrices; with leading axes the general way.
    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (a, b) = (node.x[0], node.x[1]);
        if a.rank() != 2 || b.rank() != 2 {
            return None;
        }
        let (_, [rows, inner, cols]) = self.dims(a.shape(), b.shape());
        let (left, right) = (Matrix::new(a.data(), rows, inner, self.ta), Matrix::new(b.data(), inner, cols, self.tb));
        let product = Product {
            sizes: Sizes::new(rows, inner, cols),
            x: left,
            w: right,
            dx: node.dx[0].map(|d| Source::Stored(left.over(d.data()))),
            dw: node.dx[1].map(|d| right.over(d.data())),
            bias: None,
            dbias: None,
            z: node.y.data(),
            zbar: node.ybar.map(Tensor::data),
            multiple: node.multiples[1],
            then: None,
        };
        let (dz, term) = product.advance(node.forms, None, None);
        Some((Some(Tensor::from_buffer(node.y.shape(), dz)), term))
    }

    fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64 {
        let (lead, [rows, inner, cols]) = self.dims(shapes[0], shapes[1]);
        let sizes = Sizes::new(rows, inner, cols);
        let forms = if shapes.iter().all(|s| s.len() == 2) { None } else { Some(Forms::Only(Form::Direct)) };
        count(&lead) as u64 * sizes.visit_flops(visit, forms)
    }

    recorded_as!(MatMul);
}
