//! The linear layer.

use crate::array::{Array, At};
use crate::buffer::Buffer;
use crate::gemm::{Matrix, Onto, Output, Source, compute, matmul_into};
use crate::ops::binary::sum;
use crate::ops::product::{Begun, Forms, Product, Sizes, sum_of_products};
use crate::ops::{MatMul, Ops, recorded_as};
use crate::primitive::{
    Advance, Cotangents, Find, InPlace, Kind, Links, Multiple, Primitive, Tangent, Visit, jvp_one_by_one,
};
use crate::real::Real;
use crate::shape::{Shape, count};
use crate::tensor::Tensor;

/// The linear layer z = x Wᵀ + b: inputs x (…, n_in), W (n_out, n_in) and, if given, b (n_out).
///
/// Leading axes of x are rows of one product. Bilinear in x and W, linear in b.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear;

impl Linear {
    /// Rows of the input, all its axes but the last together, and sizes of the product; panics if they do not fit.
    #[track_caller]
    fn sizes(input: &[usize], weight: &[usize], bias: Option<&[usize]>) -> Sizes {
        let (inner, cols) = match (input, weight, bias) {
            (&[.., n], &[m, k], None) if n == k => (n, m),
            (&[.., n], &[m, k], Some(&[p])) if n == k && m == p => (n, m),
            (a, w, b) => panic!("linear: input {a:?}, weight {w:?} and bias {b:?} do not fit (…, n), (m, n), (m)"),
        };
        Sizes::new(count(&input[..input.len() - 1]), inner, cols)
    }

    /// The product with the tangents of its factors. Z and Z̄ are of no use for the tangent alone.
    fn product<'a, T: Real>(
        x: &[&'a Tensor<T>],
        z: &'a Tensor<T>,
        dx: &[Option<&'a Tensor<T>>],
        zbar: Option<&'a Tensor<T>>,
        multiple: Option<Multiple>,
    ) -> Product<'a, T> {
        let sizes = Linear::sizes(x[0].shape(), x[1].shape(), x.get(2).map(|b| b.shape()));
        Product {
            sizes,
            x: sizes.left(x[0]),
            w: sizes.weight(x[1]).transpose(),
            dx: dx[0].map(|d| Source::Stored(sizes.left(d))),
            dw: dx[1].map(|d| sizes.weight(d).transpose()),
            bias: x.get(2).map(|b| b.data()),
            dbias: dx.get(2).copied().flatten().map(|b| b.data()),
            z: z.data(),
            zbar: zbar.map(Tensor::data),
            multiple,
            then: None,
        }
    }

    /// Ż and the curvature term, where the input or the weight moves, or something was begun.
    fn advance<T: Real>(node: &Advance<'_, Tensor<T>>, links: Links<'_, '_, T>) -> Option<(Tensor<T>, f64)> {
        if node.dx[0].is_none() && node.dx[1].is_none() {
            return None;
        }
        let Links { begun, then, next } = links;
        let product = Product { then, ..Linear::product(node.x, node.y, node.dx, node.ybar, node.multiples[1]) };
        let (dz, term) = product.advance(node.forms, begun, next);
        Some((Tensor::from_buffer(node.y.shape(), dz), term))
    }
}

impl Sizes {
    /// The input, as rows.
    fn left<T: Real>(self, x: &Tensor<T>) -> Matrix<'_, T> {
        Matrix::new(x.data(), self.rows, self.inner, false)
    }

    /// The output or its adjoint, as rows.
    fn output<T: Real>(self, z: &Tensor<T>) -> Matrix<'_, T> {
        Matrix::new(z.data(), self.rows, self.cols, false)
    }

    /// Whether the rows are so few that the adjoint of the weight is mostly memory.
    fn are_flat(self) -> bool {
        8 * self.rows <= self.inner.min(self.cols)
    }

    /// z̄₁ᵀ x₁ + z̄₂ᵀ x₂ as the product of the rows of both: a sum as large as the weight is written once.
    fn stacked_adjoint<T: Real>(self, zbar: [&Tensor<T>; 2], x: [&Tensor<T>; 2]) -> Tensor<T> {
        let stacked = |pair: [&Tensor<T>; 2], width: usize| {
            Tensor::from_pieces(&[2 * self.rows, width], pair.iter().map(|t| t.data()))
        };
        let (zbar, x) = (stacked(zbar, self.cols), stacked(x, self.inner));
        let both = Sizes::new(2 * self.rows, self.inner, self.cols);
        Tensor::filled(&[self.cols, self.inner], |w| {
            matmul_into(w, Onto::Nothing, both.output(&zbar).transpose(), both.left(&x));
        })
    }

    /// The weight, (n_out, n_in).
    fn weight<T: Real>(self, w: &Tensor<T>) -> Matrix<'_, T> {
        Matrix::new(w.data(), self.cols, self.inner, false)
    }
}

/// a + b, each a product where both factors are there; `None` where neither is.
fn added_products<T: Real>(shape: &[usize], terms: [Option<[Matrix<'_, T>; 2]>; 2]) -> Option<Tensor<T>> {
    let [a, b] = terms.iter().flatten().next()?;
    let size = [a.rows(), b.cols()];
    let terms = terms.map(|term| term.map(|[a, b]| (a.into(), b)));
    Some(Tensor::filled(shape, |out| compute([Output::new(out, size, &sum_of_products(Onto::Nothing, terms))])))
}

/// All axes but the last as rows.
fn rows_of<A: Array>(x: &A) -> A {
    let &[.., n] = x.shape() else { panic!("linear: the input is a scalar") };
    let rows = count(&x.shape()[..x.shape().len() - 1]);
    x.reshape(&[rows, n])
}

impl Primitive for Linear {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "linear"
    }

    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let (input, weight, bias) = (x[0], x[1], x.get(2));
        let sizes = Linear::sizes(input.shape(), weight.shape(), bias.map(|b| b.shape()));
        let mut shape = Shape::from_slice(input.shape());
        *shape.last_mut().expect("rank is at least 1") = sizes.cols;
        let onto = bias.map_or(Onto::Nothing, |b| Onto::Row(b.data()));
        Tensor::filled(&shape, |z| matmul_into(z, onto, sizes.left(input), sizes.weight(weight).transpose()))
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let db = dx.get(2).copied().flatten();
        let moved_input = dx[0].map(|d| match db {
            Some(db) => A::apply(Linear, &[d, x[1], db]),
            None => A::apply(Linear, &[d, x[1]]),
        });
        let moved_weight = dx[1].map(|d| match (db, dx[0]) {
            (Some(db), None) => A::apply(Linear, &[x[0], d, db]),
            _ => A::apply(Linear, &[x[0], d]),
        });
        sum(moved_input, moved_weight).or_else(|| db.map(|db| db.broadcast_to(y.shape())))
    }

    /// x̄ = z̄ W, W̄ = z̄ᵀ x, b̄ = Σ rows z̄.
    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        let zbar = rows_of(ybar);
        out.add(0, || zbar.matmul(x[1]).reshape(x[0].shape()));
        out.add(1, || A::apply(MatMul { ta: true, tb: false }, &[&zbar, &rows_of(x[0])]));
        if x.len() > 2 {
            out.add(2, || zbar.sum(&[0]));
        }
    }

    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        if dx[0].is_none() && dx[1].is_none() {
            return self.jvp(x, y, dx);
        }
        let (dz, _) = Linear::product(x, y, dx, None, None).advance(Forms::Cheapest, None, None);
        Some(Tensor::from_buffer(y.shape(), dz))
    }

    /// The products ẊWᵀ of all directions are one, of their rows together: W is loaded once.
    fn jvp_several_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        directions: &[Tangent<'_, Tensor<T>>],
    ) -> Vec<Option<Tensor<T>>> {
        let moved: Vec<&Tensor<T>> = directions.iter().filter_map(|dx| dx[0]).collect();
        if moved.len() < 2 {
            return jvp_one_by_one(self, x, y, directions);
        }
        let sizes = Linear::sizes(x[0].shape(), x[1].shape(), None);
        let rows = moved.len() * sizes.rows;
        let together = Tensor::from_pieces(&[rows, sizes.inner], moved.iter().map(|d| d.data()));
        let mut products = Buffer::stale(rows * sizes.cols);
        let all = Sizes::new(rows, sizes.inner, sizes.cols);
        matmul_into(&mut products, Onto::Nothing, all.left(&together), sizes.weight(x[1]).transpose());
        let mut products = products.chunks_exact(y.len().max(1));
        let mut one = |dx: &Tangent<'_, Tensor<T>>| {
            let by_input = dx[0].and_then(|_| Some(Tensor::from_pieces(y.shape(), [products.next()?].into_iter())));
            let rest: Tangent<'_, Tensor<T>> = [None].into_iter().chain(dx[1..].iter().copied()).collect();
            let by_others = if rest.iter().any(Option::is_some) { self.jvp_fused(x, y, &rest) } else { None };
            sum(by_input, by_others)
        };
        directions.iter().map(&mut one).collect()
    }

    /// x̄̇ = z̄̇ W + z̄ Ẇ, W̄̇ = z̄̇ᵀ x + z̄ᵀ ẋ, b̄̇ = Σ rows z̄̇, each added up in one place.
    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        let (x, w) = (at.x[0], at.x[1]);
        let sizes = Linear::sizes(x.shape(), w.shape(), None);
        let (zbar, dzbar) = (sizes.output(at.ybar), dybar.map(|d| sizes.output(d)));
        let terms = [dzbar.map(|d| [d, sizes.weight(w)]), dx[1].map(|dw| [zbar, sizes.weight(dw)])];
        out.add_if_some(0, || added_products(x.shape(), terms));
        out.add_if_some(1, || match (dybar, dx[0]) {
            (Some(d), Some(dx)) if sizes.are_flat() => Some(sizes.stacked_adjoint([d, at.ybar], [x, dx])),
            (d, dx) => {
                let terms = [d.map(|d| [d, x]), dx.map(|dx| [at.ybar, dx])];
                let factors = |[zbar, x]: [_; 2]| [sizes.output(zbar).transpose(), sizes.left(x)];
                added_products(w.shape(), terms.map(|term| term.map(factors)))
            }
        });
        if let (Some(d), 3) = (dybar, at.x.len()) {
            out.add(2, || rows_of(d).sum(&[0]));
        }
    }

    fn advance_fused<T: Real>(&self, node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        let (dz, term) = Linear::advance(node, Links::default())?;
        Some((Some(dz), term))
    }

    fn is_linkable(&self) -> bool {
        true
    }

    fn advance_linked_fused<T: Real>(
        &self,
        node: &Advance<'_, Tensor<T>>,
        links: Links<'_, '_, T>,
    ) -> Option<(Tensor<T>, f64)> {
        Linear::advance(node, links)
    }

    fn begin_fused<T: Real>(
        &self,
        node: &Advance<'_, Tensor<T>>,
        then: Option<&InPlace<'_, T>>,
        find: &mut Find<'_, T>,
    ) -> Option<Begun<T>> {
        let product = Linear::product(node.x, node.y, node.dx, node.ybar, node.multiples[1]);
        let found = Source::Found([product.sizes.rows, product.sizes.inner]);
        Product { dx: Some(found), then, ..product }.begin(node.forms, find)
    }

    fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64 {
        Linear::sizes(shapes[0], shapes[1], None).visit_flops(visit, None)
    }

    recorded_as!(Linear);
}
