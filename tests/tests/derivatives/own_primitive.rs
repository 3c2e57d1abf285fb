//! Primitives defined outside the engine are its equals: they run on every type, record, and differentiate.

use ad_core::{
    Array, Cotangents, Dual, Kind, Ops, Primitive, Real, Tensor, Var, check, curvature, grad, hessian, hvp, jvp,
};

/// √(x² + s² y²) of two arrays of one shape, with a fixed weight s: smooth away from 0.
#[derive(Clone, Debug)]
struct Hypot {
    weight: f64,
}

impl Primitive for Hypot {
    const KIND: Kind = Kind::General;

    fn name(&self) -> &'static str {
        "hypot"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let s = T::from_f64(self.weight);
        assert_eq!(x[0].shape(), x[1].shape(), "hypot of two shapes");
        let pairs = x[0].data().iter().zip(x[1].data());
        Tensor::from_vec(x[0].shape(), pairs.map(|(&a, &b)| (a * a + s * s * b * b).sqrt()).collect())
    }

    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        let part = |i: usize, factor: f64| dx[i].map(|d| x[i].times(d).scale(factor).over(y));
        match (part(0, 1.0), part(1, self.weight * self.weight)) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }

    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || x[0].times(ybar).over(y));
        out.add(1, || x[1].times(ybar).scale(self.weight * self.weight).over(y));
    }
}

/// The outer product of two vectors: bilinear.
#[derive(Clone, Debug)]
struct Outer;

impl Primitive for Outer {
    const KIND: Kind = Kind::Bilinear;

    fn name(&self) -> &'static str {
        "outer"
    }

    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
        let (a, b) = (x[0].data(), x[1].data());
        Tensor::from_fn(&[a.len(), b.len()], |i| a[i / b.len()] * b[i % b.len()])
    }

    fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
        let (a, b) = (dx[0].map(|d| A::apply(Outer, &[d, x[1]])), dx[1].map(|d| A::apply(Outer, &[x[0], d])));
        match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }

    fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        out.add(0, || (x[1].reshape(&[1, x[1].shape()[0]]) * ybar).sum(&[1]));
        out.add(1, || (x[0].reshape(&[x[0].shape()[0], 1]) * ybar).sum(&[0]));
    }
}

fn tensor(data: &[f64]) -> Tensor<f64> {
    Tensor::from_vec(&[data.len()], data.to_vec())
}

#[test]
fn the_checker_passes_them() {
    let hypot = Hypot { weight: 1.5 };
    check::primitive(&hypot, &[tensor(&[0.5, -1.0, 2.0]), tensor(&[1.0, 0.7, -0.3])]).expect("hypot");
    check::primitive(&hypot, &[Tensor::scalar(0.5), Tensor::scalar(1.0)]).expect("hypot of scalars");
    check::primitive(&Outer, &[tensor(&[0.5, -1.0, 2.0]), tensor(&[1.0, 0.7])]).expect("outer");
}

#[test]
fn they_run_at_every_array_type() {
    let p = Hypot { weight: 1.0 };
    assert_eq!(f64::apply(p.clone(), &[&3.0, &4.0]), 5.0);
    assert_eq!(f32::apply(p.clone(), &[&3.0, &4.0]), 5.0);
    let single = Tensor::from_vec(&[1], vec![3f32]);
    assert_eq!(Tensor::apply(p.clone(), &[&single, &single]).data(), [18f32.sqrt()]);
    let dual = Dual::apply(p.clone(), &[&Dual::new(3.0, 1.0), &Dual::fixed(4.0)]);
    assert_eq!((dual.primal, dual.tangent), (5.0, Some(0.6)));
    assert_eq!(grad(|x| Array::apply(p.clone(), &[&x[0], &x[1]]), &[3.0, 4.0][..]), vec![0.6, 0.8]);
    let (_, third) = jvp(|x| hvp_of(&p, x), &3.0, &1.0);
    // d³/dx³ √(x² + 16) = −48 x / y⁵.
    approx::assert_relative_eq!(third, -48.0 * 3.0 / 5f64.powi(5), max_relative = 1e-13);
}

/// d²/dx² √(x² + 16), at any array type.
fn hvp_of<A: Array>(p: &Hypot, x: &A) -> A {
    hvp(|x| Array::apply(p.clone(), &[x, &Array::full(&[], 4.0)]), x, &A::full(&[], 1.0)).2
}

#[test]
fn they_curve_a_recorded_function_like_the_engine_s_own() {
    let p = Hypot { weight: 2.0 };
    let x = [tensor(&[0.5, -1.0]), tensor(&[1.0, 0.7])];
    let own = |x: &Vec<Var<Tensor<f64>>>| Array::apply(p.clone(), &[&x[0], &x[1]]).sin().sum_all();
    let v = vec![tensor(&[1.0, -0.4]), tensor(&[0.3, 0.8])];
    let of_engine =
        |x: &Vec<ad_core::Var<Tensor<f64>>>| (x[0].powi(2) + x[1].powi(2).scale(4.0)).sqrt().sin().sum_all();
    let (mine, theirs) = (hessian(own, &x[..]), hessian(of_engine, &x[..]));
    for (a, b) in mine.data().iter().zip(theirs.data()) {
        approx::assert_relative_eq!(a, b, max_relative = 1e-12, epsilon = 1e-14);
    }
    let (a, b) = (curvature(own, &x[..], &v).total, curvature(of_engine, &x[..], &v).total);
    approx::assert_relative_eq!(a, b, max_relative = 1e-12);
}
