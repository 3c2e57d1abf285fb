//! Derivative transforms: each takes a function and returns derivatives of it.

use crate::array::{Array, Base, Ground};
use crate::dual::Dual;
use crate::operator::HessianOperator;
use crate::recording::{NodeId, Recording};
use crate::sweep::Curvature;
use crate::tape::{Tape, Var};
use crate::tensor::Tensor;
use crate::tree::Tree;

/// A tree's structure over the variables of a tape.
type Vars<X> = <X as Tree>::With<Var<<X as Tree>::Leaf>>;
/// A tree's structure over dual numbers.
type Duals<X> = <X as Tree>::With<Dual<<X as Tree>::Leaf>>;
/// A tree's structure over its own kind of array.
type Same<X> = <X as Tree>::With<<X as Tree>::Leaf>;

/// Runs `f` on variables at `x` and returns its value, its node (`None` if it does not depend on `x`) and the recording,
/// whose leaves are those of `x` in order.
pub fn record<X: Tree + ?Sized>(
    f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>,
    x: &X,
) -> (X::Leaf, Option<NodeId>, Recording<X::Leaf>) {
    record_leaves(f, x, x.leaves().into_iter().cloned().collect())
}

/// As [`record`], with the structure of `x` but at other leaves.
pub(crate) fn record_leaves<X: Tree + ?Sized>(
    f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>,
    x: &X,
    leaves: Vec<X::Leaf>,
) -> (X::Leaf, Option<NodeId>, Recording<X::Leaf>) {
    let tape = Tape::new();
    let y = f(&x.rebuild(leaves.into_iter().map(|leaf| tape.leaf(leaf)).collect()));
    (y.value().clone(), y.node(), tape.finish())
}

/// The adjoints of the leaves for a seed at `node`, zeros where nothing depends on them.
fn pulled<X: Tree + ?Sized>(x: &X, node: Option<NodeId>, recording: &Recording<X::Leaf>, seed: X::Leaf) -> Same<X> {
    let leaves = match node {
        Some(node) => recording.adjoints(node, seed).leaves(recording),
        None => x.leaves().iter().map(|leaf| X::Leaf::full(leaf.shape(), 0.0)).collect(),
    };
    x.rebuild(leaves)
}

/// The seed of a scalar function's reverse sweep.
#[track_caller]
fn one<A: Array>(value: &A) -> A {
    assert!(
        crate::shape::count(value.shape()) == 1,
        "a gradient needs a scalar, but the value has shape {:?}",
        value.shape()
    );
    A::full(value.shape(), 1.0)
}

/// Value f(x) and gradient ∇f(x) of a scalar function.
///
/// # Panics
/// If the value is not a scalar.
#[track_caller]
pub fn value_and_grad<X: Tree + ?Sized>(f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>, x: &X) -> (X::Leaf, Same<X>) {
    let (value, node, recording) = record(f, x);
    let seed = one(&value);
    let gradient = pulled(x, node, &recording, seed);
    (value, gradient)
}

/// Gradient ∇f(x) of a scalar function, by one reverse sweep.
///
/// ```
/// use ad_core::{Ops, grad};
/// assert_eq!(grad(|x| x.sin() * x, &2.0), 2.0f64.sin() + 2.0 * 2.0f64.cos());
/// assert_eq!(grad(|x| &x[0] * &x[1], &[3.0, 4.0][..]), vec![4.0, 3.0]);
/// ```
///
/// # Panics
/// If the value is not a scalar.
#[track_caller]
pub fn grad<X: Tree + ?Sized>(f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>, x: &X) -> Same<X> {
    value_and_grad(f, x).1
}

/// Value y = f(x) and Jacobian–vector product ẏ = df(x)·v, by dual numbers.
///
/// ```
/// use ad_core::{Ops, jvp};
/// let (y, dy) = jvp(|x| x.exp(), &0.0, &3.0);
/// assert_eq!((y, dy), (1.0, 3.0));
/// ```
///
/// # Panics
/// If the number of leaves or a shape of `v` differs from that of `x`.
#[track_caller]
pub fn jvp<X, Y>(f: impl FnOnce(&Duals<X>) -> Y, x: &X, v: &Same<X>) -> (Y::With<X::Leaf>, Y::With<X::Leaf>)
where
    X: Tree + ?Sized,
    Y: Tree<Leaf = Dual<X::Leaf>>,
{
    let (leaves, moving) = (x.leaves(), v.leaves());
    assert!(leaves.len() == moving.len(), "jvp: {} tangents for {} leaves", moving.len(), leaves.len());
    let duals = leaves.into_iter().zip(moving).map(|(x, v)| Dual::new(x.clone(), v.clone())).collect();
    let y = f(&x.rebuild(duals));
    let primals = y.leaves().into_iter().map(|d| d.primal.clone()).collect();
    let tangents = y.leaves().into_iter().map(Dual::tangent_or_zero).collect();
    (y.rebuild(primals), y.rebuild(tangents))
}

/// Value y = f(x) of an array-valued function, and its pullback ȳ ↦ ȳ·df(x), which may be called again and again.
///
/// ```
/// use ad_core::{Ops, Tensor, vjp};
/// let x = Tensor::from_vec(&[2], vec![1.0, 2.0]);
/// let (y, pullback) = vjp(|x| x.powi(2), &x);
/// assert_eq!(y.data(), &[1.0, 4.0]);
/// assert_eq!(pullback(&Tensor::full(&[2], 1.0)).data(), &[2.0, 4.0]);
/// ```
pub fn vjp<X: Tree + ?Sized>(
    f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>,
    x: &X,
) -> (X::Leaf, impl Fn(&X::Leaf) -> Same<X>) {
    let (value, node, recording) = record(f, x);
    (value, move |ybar: &X::Leaf| pulled(x, node, &recording, ybar.clone()))
}

/// The Jacobian of an array-valued function as a matrix: one row for each element of the value, one column for each
/// element of the leaves, both row-major; by one reverse sweep a row.
///
/// ```
/// use ad_core::{Ops, Tensor, jacobian};
/// let j = jacobian(|x| x.cumsum(0), &Tensor::from_vec(&[2], vec![1.0, 2.0]));
/// assert_eq!(j.data(), &[1.0, 0.0, 1.0, 1.0]);
/// ```
pub fn jacobian<X>(f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>, x: &X) -> Tensor<<X::Leaf as Base>::Scalar>
where
    X: Tree + ?Sized,
    X::Leaf: Ground,
{
    let (y, pullback) = vjp(f, x);
    let rows = crate::shape::count(y.shape());
    let mut data = Vec::new();
    for row in 0..rows {
        data.extend(flat(&pullback(&unit(y.shape(), row))));
    }
    let columns = x.leaves().iter().map(|leaf| crate::shape::count(leaf.shape())).sum();
    Tensor::from_vec(&[rows, columns], data)
}

/// The array of zeros with a single 1.
pub(crate) fn unit<A: Ground>(shape: &[usize], at: usize) -> A {
    A::constant(&Tensor::from_fn(shape, |i| f64::from(u8::from(i == at))))
}

/// All elements of a tree, leaf after leaf.
pub(crate) fn flat<X>(x: &X) -> Vec<<X::Leaf as Base>::Scalar>
where
    X: Tree + ?Sized,
    X::Leaf: Ground,
{
    x.leaves().into_iter().flat_map(|leaf| leaf.to_tensor().data().to_vec()).collect()
}

/// Value f(x), gradient ∇f(x) and Hessian–vector product H(x)v, forward over reverse on one tape.
///
/// ```
/// use ad_core::{Ops, hvp};
/// let (value, gradient, hv) = hvp(|x| x.powi(3), &2.0, &1.0);
/// assert_eq!((value, gradient, hv), (8.0, 12.0, 12.0));
/// ```
///
/// # Panics
/// If the value is not a scalar, or a shape of `v` differs from that of `x`.
#[track_caller]
pub fn hvp<X: Tree + ?Sized>(
    f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>,
    x: &X,
    v: &Same<X>,
) -> (X::Leaf, Same<X>, Same<X>) {
    let operator = HessianOperator::new(f, x);
    let hv = operator.hvp(v);
    (operator.value().clone(), operator.gradient(), hv)
}

/// Second derivative d²f(x)(v, v) = vᵀHv with its Gauss–Newton part and its attribution, without a second reverse sweep.
///
/// ```
/// use ad_core::{Ops, curvature};
/// let c = curvature(|x| x.powi(3), &2.0, &1.0);
/// assert_eq!((c.slope, c.total), (12.0, 12.0));
/// ```
///
/// # Panics
/// If the value is not a scalar, or a shape of `v` differs from that of `x`.
#[track_caller]
pub fn curvature<X>(f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>, x: &X, v: &Same<X>) -> Curvature
where
    X: Tree + ?Sized,
    X::Leaf: Ground,
{
    HessianOperator::new(f, x).curvature(v)
}

/// Gauss–Newton–vector product JᵀL″J v, where the function marks the network's output by
/// [`output`](crate::Ops::output); zero where it marks none.
///
/// # Panics
/// If the value is not a scalar, or a shape of `v` differs from that of `x`.
#[track_caller]
pub fn ggn_vp<X: Tree + ?Sized>(f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>, x: &X, v: &Same<X>) -> Same<X> {
    HessianOperator::new(f, x).ggn_vp(v)
}

/// The dense Hessian of a scalar function, over all elements of the leaves in order; for small problems.
///
/// # Panics
/// If the value is not a scalar.
#[track_caller]
pub fn hessian<X>(f: impl FnOnce(&Vars<X>) -> Var<X::Leaf>, x: &X) -> Tensor<<X::Leaf as Base>::Scalar>
where
    X: Tree + ?Sized,
    X::Leaf: Ground,
{
    HessianOperator::new(f, x).dense()
}
