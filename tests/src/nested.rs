//! A scalar function evaluated at every composition of types, and its Hessian–vector product in every way there is.

use ad_core::{Array, Base, Dual, HessianOperator, Ops, Tensor, Var, grad};

/// The type at the bottom.
pub type T = Tensor<f64>;

/// A scalar function of several arrays, generic over their type.
pub trait Function {
    /// The value; a scalar.
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A;
}

/// All elements, array after array.
pub fn flat(x: &[T]) -> Vec<f64> {
    x.iter().flat_map(|t| t.data().to_vec()).collect()
}

/// Arrays of the shapes of `like` with these elements.
pub fn filled(like: &[T], elements: &[f64]) -> Vec<T> {
    let mut rest = elements.iter().copied();
    like.iter().map(|t| T::from_tensor(Tensor::from_fn(t.shape(), |_| rest.next().expect("enough elements")))).collect()
}

/// Elements of a direction without a pattern.
pub fn direction(n: usize, phase: f64) -> Vec<f64> {
    (0..n).map(|i| (1.9 * i as f64 + phase).sin()).collect()
}

/// Σ a b.
pub fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// x + h v.
fn moved(x: &[T], h: f64, v: &[f64]) -> Vec<T> {
    filled(x, &flat(x).iter().zip(v).map(|(x, v)| x + h * v).collect::<Vec<_>>())
}

/// d/dh f(h) at 0 by central differences at three steps, extrapolated to step 0: the error is of order step⁶.
fn derivative(f: impl Fn(f64) -> Vec<f64>) -> Vec<f64> {
    let central = |h: f64| -> Vec<f64> { f(h).iter().zip(f(-h)).map(|(a, b)| (a - b) / (2.0 * h)).collect() };
    let [coarse, middle, fine] = [1e-2, 5e-3, 2.5e-3].map(central);
    (0..coarse.len())
        .map(|i| {
            let first = middle[i] + (middle[i] - coarse[i]) / 3.0;
            let second = fine[i] + (fine[i] - middle[i]) / 3.0;
            second + (second - first) / 15.0
        })
        .collect()
}

/// The largest |a − b| / max(1, |a|, |b|).
fn error(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let one = |(a, b): (&f64, &f64)| {
        let error = (a - b).abs() / 1f64.max(a.abs()).max(b.abs());
        if error.is_nan() { f64::INFINITY } else { error }
    };
    a.iter().zip(b).map(one).fold(0.0, f64::max)
}

/// Asserts that first and second derivatives of `f` at `x` agree to 1e-8 in every way: reverse and forward mode and
/// differences of the value; then Hv by `Var<Dual>`, `Dual<Var>`, `Var<Var>`, `Dual<Dual>`, `adjoint_tangents` and (through
/// vᵀHv) `curvature`, against a difference of the exact gradient; and the Hessian's symmetry.
///
/// # Panics
/// If they do not.
pub fn assert_all_ways(name: &str, f: &impl Function, x: &[T]) {
    const TOLERANCE: f64 = 1e-8;
    let agree = |way: &str, found: &[f64], expected: &[f64]| {
        let error = error(found, expected);
        assert!(error <= TOLERANCE, "{name}: {way}: error {error:.2e}\n{found:?}\n{expected:?}");
    };
    let n = flat(x).len();
    let (u, v) = (direction(n, 0.3), direction(n, 1.1));
    let (tangent, unit) =
        (filled(x, &v), |i: usize| filled(x, &(0..n).map(|j| f64::from(u8::from(i == j))).collect::<Vec<_>>()));
    let gradient_at = |x: &[T]| flat(&grad(|x| f.call(x), x));

    let gradient = gradient_at(x);
    let along = |v: &[f64]| derivative(|h| vec![f.call(&moved(x, h, v)).item()])[0];
    let differences: Vec<f64> = (0..n).map(|i| along(&flat(&unit(i)))).collect();
    agree("gradient against differences", &gradient, &differences);
    let dual =
        |x: &[T], v: &[T]| -> Vec<Dual<T>> { x.iter().zip(v).map(|(x, v)| Dual::new(x.clone(), v.clone())).collect() };
    agree("gradient by Dual", &[f.call(&dual(x, &tangent)).tangent_or_zero().item()], &[inner(&gradient, &v)]);

    let expected = derivative(|h| gradient_at(&moved(x, h, &v)));
    let h = HessianOperator::new(|x| f.call(x), x);
    let hv = flat(&h.hvp(&tangent));
    agree("adjoint_tangents", &hv, &expected);
    agree("curvature", &[h.curvature(&tangent).total], &[inner(&v, &expected)]);
    agree("symmetry", &[inner(&u, &hv)], &[inner(&v, &flat(&h.hvp(&filled(x, &u))))]);

    let var_dual = grad(|x| f.call(x), &dual(x, &tangent));
    agree("Var<Dual>", &flat(&var_dual.iter().map(Dual::tangent_or_zero).collect::<Vec<_>>()), &expected);
    let slope = |x: &Vec<Var<T>>| {
        let duals: Vec<_> = x.iter().zip(&tangent).map(|(x, v)| Dual::new(x.clone(), Var::fixed(v.clone()))).collect();
        f.call(&duals).tangent_or_zero()
    };
    agree("Dual<Var>", &flat(&grad(slope, x)), &expected);
    let slope = |x: &Vec<Var<T>>| {
        let gradient = grad(|y| f.call(y), x);
        let terms = gradient.iter().zip(&tangent).map(|(g, v)| (Var::fixed(v.clone()) * g).sum_all());
        terms.reduce(|a, b| a + b).expect("an array")
    };
    agree("Var<Var>", &flat(&grad(slope, x)), &expected);
    let mixed = |e: Vec<T>| {
        let both: Vec<_> = dual(x, &tangent).into_iter().zip(e).map(|(x, e)| Dual::new(x, Dual::fixed(e))).collect();
        f.call(&both).tangent.and_then(|t| t.tangent).map_or(0.0, |t| t.item())
    };
    agree("Dual<Dual>", &(0..n).map(|i| mixed(unit(i))).collect::<Vec<_>>(), &expected);
}
