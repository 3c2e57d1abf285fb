//! What a primitive is: one function with its value, JVP and VJP, and how its second-order term is found.

use std::fmt::Debug;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::array::{Array, At, Scalar};
use crate::dual::Dual;
pub use crate::gemm::Next;
use crate::levels::Levels;
use crate::ops::product::{Begun, Forms};
use crate::real::Real;
use crate::registry::Op;
use crate::tensor::Tensor;

/// How a primitive curves; decides what its second-order term costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The derivative is zero wherever it exists: comparisons, sign, argmax. The result is a constant.
    Constant,
    /// Linear in all inputs together: φ″ = 0, and the JVP is the primitive itself.
    Linear,
    /// Linear on pieces (relu, max, where): φ″ = 0 away from the kinks.
    PiecewiseLinear,
    /// Linear in each of the first two inputs, and in any further ones by themselves: φ″[ẋ, ẋ] = 2 φ(ẋ₀, ẋ₁).
    ///
    /// The VJP with respect to input 0 may read input 1 only, and the other way round. A bilinear primitive must accept
    /// the first two inputs alone.
    Bilinear,
    /// Anything else: the second-order term is the derivative of the VJP.
    General,
}

/// A primitive function y = φ(x₀, x₁, …) of arrays: everything the engine needs to know of it, in one place.
///
/// Rules are made of other primitives, so they are differentiable themselves, and one rule serves every array type and
/// every order. A downstream crate implements this trait for its own type and calls [`Array::apply`].
///
/// ```
/// use ad_core::{Array, Cotangents, Kind, Ops, Primitive, Real, Tensor, grad};
///
/// /// y = x³.
/// #[derive(Clone, Debug)]
/// struct Cube;
///
/// impl Primitive for Cube {
///     const KIND: Kind = Kind::General;
///     fn name(&self) -> &'static str { "cube" }
///     fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T> {
///         Tensor::from_vec(x[0].shape(), x[0].data().iter().map(|&v| v * v * v).collect())
///     }
///     fn jvp<A: Array>(&self, x: &[&A], _y: &A, dx: &[Option<&A>]) -> Option<A> {
///         Some(dx[0]?.clone() * x[0].powi(2).scale(3.0))
///     }
///     fn vjp<A: Array>(&self, x: &[&A], _y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
///         out.add(0, || ybar.clone() * x[0].powi(2).scale(3.0));
///     }
/// }
/// assert_eq!(grad(|x| Array::apply(Cube, &[x]), &2.0), 12.0);
/// ```
pub trait Primitive: Clone + Debug + Send + Sync + 'static {
    /// How the primitive curves.
    const KIND: Kind;

    /// A short lower-case name for messages and listings.
    fn name(&self) -> &'static str;

    /// The value on tensors.
    ///
    /// # Panics
    /// On shapes that do not fit, naming the operation and the shapes.
    #[track_caller]
    fn eval<T: Real>(&self, x: &[&Tensor<T>]) -> Tensor<T>;

    /// The value on plain floats; by way of rank-0 tensors unless overridden.
    #[inline]
    #[track_caller]
    fn eval_scalar<T: Real>(&self, x: &[&T]) -> T {
        let tensors: SmallVec<[Tensor<T>; 3]> = x.iter().map(|&&v| Tensor::scalar(v)).collect();
        self.eval(&tensors.iter().collect::<SmallVec<[_; 3]>>()).item()
    }

    /// Jacobian–vector product ẏ = Σᵢ ∂φ/∂xᵢ ẋᵢ at `x`, where `y = φ(x)`. An absent tangent is zero, of the input or of
    /// the result. At least one tangent is present.
    fn jvp<A: Array>(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A>;

    /// Vector–Jacobian product: adds x̄ᵢ = (∂φ/∂xᵢ)ᵀ ȳ to `out` for each input, of the input's shape.
    fn vjp<A: Array>(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>);

    /// The JVP on tensors in fewer passes over memory; equal to [`Primitive::jvp`].
    fn jvp_fused<T: Real>(&self, x: &[&Tensor<T>], y: &Tensor<T>, dx: &[Option<&Tensor<T>>]) -> Option<Tensor<T>> {
        self.jvp(x, y, dx)
    }

    /// The VJP on tensors in fewer passes over memory; equal to [`Primitive::vjp`].
    fn vjp_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        ybar: &Tensor<T>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        self.vjp(x, y, ybar, out)
    }

    /// ∂ₓ[vjp(x, ȳ)]·ẋ on tensors; equal to the derivative of the VJP.
    fn vjp_curved_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        general_vjp_tangent(self, at, dx, out)
    }

    /// Adds the tangents of the cotangents of the inputs, vjp(x, ȳ̇) + ∂ₓ[vjp(x, ȳ)]·ẋ, on tensors, in fewer passes over memory.
    fn vjp_tangent_fused<T: Real>(
        &self,
        at: &At<'_, Tensor<T>>,
        dx: &[Option<&Tensor<T>>],
        dybar: Option<&Tensor<T>>,
        out: &mut Cotangents<'_, Tensor<T>>,
    ) {
        general_vjp_then_curved(self, at, dx, dybar, out);
    }

    /// The JVP along several directions on tensors, one after another unless overridden; equal to [`Primitive::jvp`] of each.
    /// Directions along which nothing moves give `None`.
    fn jvp_several_fused<T: Real>(
        &self,
        x: &[&Tensor<T>],
        y: &Tensor<T>,
        directions: &[Tangent<'_, Tensor<T>>],
    ) -> Vec<Option<Tensor<T>>> {
        jvp_one_by_one(self, x, y, directions)
    }

    /// The tangent of the output and ȳ·φ″[ẋ, ẋ] together on tensors, where a formula gives them without the arrays of
    /// [`Primitive::vjp_curved_fused`]; `None` where it does not.
    fn advance_fused<T: Real>(&self, _node: &Advance<'_, Tensor<T>>) -> Option<(Option<Tensor<T>>, f64)> {
        None
    }

    /// Whether its advance can be linked with those of the nodes before and after it, on tensors.
    fn is_linkable(&self) -> bool {
        false
    }

    /// As [`advance_fused`](Primitive::advance_fused), [linked](Links) with the nodes before and after it; `None` where nothing is gained by
    /// that and nothing was begun.
    fn advance_linked_fused<T: Real>(
        &self,
        _node: &Advance<'_, Tensor<T>>,
        _links: Links<'_, '_, T>,
    ) -> Option<(Tensor<T>, f64)> {
        None
    }

    /// Begins the advance while the tangent of the first input is found, with what needs but its rows: calls `find`, which finds it, with the
    /// results that begin from these. `node` lacks that tangent, which nothing else reads: it may become what the rest of the advance makes use of.
    /// `then` is as in [`Links`]. `None` where there is nothing of that kind, or `find` does not compute it.
    fn begin_fused<T: Real>(
        &self,
        _node: &Advance<'_, Tensor<T>>,
        _then: Option<&InPlace<'_, T>>,
        _find: &mut Find<'_, T>,
    ) -> Option<Begun<T>> {
        None
    }

    /// The JVP of some neighbouring elements in the place of their ẋ, of a function of each element with f″ = 0. Returns whether it is one;
    /// nothing is done where it is not.
    fn jvp_in_place<T: Real>(&self, _x: &[T], _y: &[T], _dx: &mut [T]) -> bool {
        false
    }

    /// Floating-point operations of the matrix products that a sweep's visit to the primitive computes, for inputs of these
    /// shapes.
    fn product_flops(&self, _shapes: &[&[usize]], _visit: &Visit<'_>) -> u64 {
        0
    }

    /// The parts of the output on nested duals, given those of the inputs, and the floating-point operations of the matrix products that
    /// computing them takes; `None` where that is not known. By the kind; a nonlinear primitive with products has its own.
    fn nested_flops(&self, shapes: &[&[usize]], inputs: &[Levels]) -> Option<(Levels, u64)> {
        let flops = self.product_flops(shapes, &Visit::Value);
        let all = inputs.iter().fold(Levels::CONSTANT, |all, of| all | *of);
        Some(match Self::KIND {
            Kind::Constant => (Levels::CONSTANT, flops),
            Kind::Linear | Kind::PiecewiseLinear => (all, all.count() * flops),
            Kind::Bilinear => {
                let (found, pairs) = inputs[0].product(inputs[1]);
                (found | all, pairs * flops)
            }
            Kind::General if flops == 0 => (all.function(), 0),
            Kind::General => return None,
        })
    }

    /// How the tape stores the primitive. The engine's own are variants of [`Op`]; others are boxed.
    fn into_op<A: Array>(self) -> Op<A> {
        Op::Own(Arc::new(self))
    }
}

/// What becomes of some neighbouring elements of an array, given the position of the first, in their place.
pub type InPlace<'a, T> = dyn Fn(usize, &mut [T]) + Sync + 'a;

/// How a node's advance is linked with those of the nodes before and after it.
#[derive(Default)]
pub struct Links<'a, 'n, T: Real> {
    /// What was begun of it when the tangent of its first input was found.
    pub begun: Option<Begun<T>>,
    /// What its tangent becomes in its place: called on all elements, some neighbours at a time, while they are near.
    pub then: Option<&'a InPlace<'a, T>>,
    /// What begins from its tangent, after `then`; may be left alone.
    pub next: Option<&'a mut Next<'n, T>>,
}

/// What finds a tangent, given what begins from its rows.
pub type Find<'a, T> = dyn FnMut(&mut Next<'_, T>) + 'a;

/// The tangents of a node's inputs along one direction.
pub type Tangent<'a, A> = SmallVec<[Option<&'a A>; 3]>;

/// The JVP along each direction by itself.
pub(crate) fn jvp_one_by_one<A: Array, P: Primitive>(
    p: &P,
    x: &[&A],
    y: &A,
    directions: &[Tangent<'_, A>],
) -> Vec<Option<A>> {
    let one = |dx: &Tangent<'_, A>| if dx.iter().all(Option::is_none) { None } else { A::jvp(p, x, y, dx) };
    directions.iter().map(one).collect()
}

/// A tangent ẋ known to be c·x̄ + λ·x, a multiple of the variable's adjoint and of its value: that of a parameter in gradient
/// descent with weight decay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multiple {
    /// The factor c of the adjoint.
    pub adjoint: f64,
    /// The factor λ of the value.
    pub value: f64,
}

/// A node in the curvature sweep, before its tangent is known.
#[derive(Debug)]
pub struct Advance<'a, A> {
    /// Inputs.
    pub x: &'a [&'a A],
    /// Output.
    pub y: &'a A,
    /// Adjoint of the output; `None` is zero.
    pub ybar: Option<&'a A>,
    /// Tangents of the inputs; `None` is zero. At least one is present.
    pub dx: &'a [Option<&'a A>],
    /// For each input that is a variable used by this node alone, its tangent as a multiple of its adjoint, if it is one.
    pub multiples: &'a [Option<Multiple>],
    /// The forms allowed for products.
    pub forms: Forms,
}

/// What a sweep does at a node.
#[derive(Clone, Copy, Debug)]
pub enum Visit<'a> {
    /// Computes the output.
    Value,
    /// Computes the output's tangent.
    Tangent {
        /// Which inputs move.
        moving: &'a [bool],
    },
    /// Computes the inputs' cotangents.
    Cotangents {
        /// Which are wanted.
        wanted: &'a [bool],
    },
    /// Computes the tangents of the inputs' cotangents.
    CotangentTangents {
        /// Which are wanted.
        wanted: &'a [bool],
        /// Which inputs move; none in the part of the Hessian that is left out.
        moving: &'a [bool],
        /// Whether the output's cotangent moves.
        carried: bool,
    },
    /// Computes the output's tangent and the curvature term.
    Advance {
        /// Which inputs move.
        moving: &'a [bool],
        /// Which tangents are multiples of adjoints.
        multiples: &'a [Option<Multiple>],
        /// Whether the output has an adjoint.
        curved: bool,
        /// The forms allowed for products.
        forms: Forms,
    },
}

/// Where a VJP puts the cotangents of its inputs: they are added to what is there.
#[derive(Debug)]
pub struct Cotangents<'a, A> {
    /// Accumulators, by slot.
    slots: &'a mut [Option<A>],
    /// The slot of each input.
    index: &'a [u32],
    /// Which slots are wanted at all.
    active: &'a [bool],
    /// Which of the first 32 inputs are wanted.
    mask: u32,
}

impl<'a, A: Array> Cotangents<'a, A> {
    /// Accumulators `slots`, where input `i` goes to `slots[index[i]]` if `active[index[i]]`.
    pub fn new(slots: &'a mut [Option<A>], index: &'a [u32], active: &'a [bool]) -> Self {
        Cotangents { slots, index, active, mask: u32::MAX }
    }

    /// Whether the cotangent of input `i` is needed.
    #[inline]
    pub fn wants(&self, i: usize) -> bool {
        self.active[self.index[i] as usize] && (i >= 32 || self.mask >> i & 1 == 1)
    }

    /// Adds the cotangent of input `i`, which is computed only if it is needed.
    #[inline]
    pub fn add(&mut self, i: usize, cotangent: impl FnOnce() -> A) {
        if self.wants(i) {
            let slot = &mut self.slots[self.index[i] as usize];
            let c = cotangent();
            *slot = Some(match slot.take() {
                Some(sum) => sum.accumulated(c),
                None => c,
            });
        }
    }

    /// As [`add`](Cotangents::add), where the cotangent may be zero.
    #[inline]
    pub fn add_if_some(&mut self, i: usize, cotangent: impl FnOnce() -> Option<A>) {
        if self.wants(i)
            && let Some(c) = cotangent()
        {
            self.add(i, || c);
        }
    }

    /// The same accumulators, taking only those of the first 32 inputs whose bit is set, and none beyond.
    fn only(&mut self, mask: u32) -> Cotangents<'_, A> {
        Cotangents {
            slots: self.slots,
            index: &self.index[..self.index.len().min(32)],
            active: self.active,
            mask: self.mask & mask,
        }
    }
}

/// A primitive's rules at one array type, behind a pointer: what the tape calls.
pub trait Rules<A: Array>: Debug + Send + Sync {
    /// See [`Primitive::name`].
    fn name(&self) -> &'static str;
    /// See [`Primitive::KIND`].
    fn kind(&self) -> Kind;
    /// See [`Primitive::eval`].
    fn apply(&self, x: &[&A]) -> A;
    /// See [`Primitive::jvp`].
    fn jvp(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A>;
    /// See [`Array::jvp_several`].
    fn jvp_several(&self, x: &[&A], y: &A, directions: &[Tangent<'_, A>]) -> Vec<Option<A>>;
    /// See [`Primitive::vjp`].
    fn vjp(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>);
    /// See [`Primitive::product_flops`].
    fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64;
    /// See [`Primitive::nested_flops`].
    fn nested_flops(&self, shapes: &[&[usize]], inputs: &[Levels]) -> Option<(Levels, u64)>;
}

/// The second-order rules of a primitive at one array type; separate from [`Rules`], because they need the rules one
/// level of [`Dual`] up, which first-order use should not have to compile.
pub trait CurvedRules<A: Array>: Rules<A> {
    /// Adds the tangents of the inputs' cotangents: vjp(x, ȳ̇) + ∂ₓ[vjp(x, ȳ)]·ẋ.
    fn vjp_tangent(&self, at: &At<'_, A>, dx: &[Option<&A>], dybar: Option<&A>, out: &mut Cotangents<'_, A>);
    /// Adds only ∂ₓ[vjp(x, ȳ)]·ẋ.
    fn vjp_curved(&self, at: &At<'_, A>, dx: &[Option<&A>], out: &mut Cotangents<'_, A>);
    /// See [`Array::advance`].
    fn advance(&self, node: &Advance<'_, A>) -> Option<(Option<A>, f64)>;
    /// See [`Primitive::is_linkable`].
    fn is_linkable(&self) -> bool;
    /// See [`Array::advance_linked`].
    fn advance_linked(&self, node: &Advance<'_, A>, links: Links<'_, '_, Scalar<A>>) -> Option<(A, f64)>;
    /// See [`Array::begin`].
    fn begin(
        &self,
        node: &Advance<'_, A>,
        then: Option<&InPlace<'_, Scalar<A>>>,
        find: &mut Find<'_, Scalar<A>>,
    ) -> Option<Begun<Scalar<A>>>;
    /// See [`Array::jvp_in_place`].
    fn jvp_in_place(&self, x: &A, y: &A, from: usize, dx: &mut [Scalar<A>]) -> bool;
}

impl<A: Array, P: Primitive> Rules<A> for P {
    fn name(&self) -> &'static str {
        Primitive::name(self)
    }

    fn kind(&self) -> Kind {
        P::KIND
    }

    fn apply(&self, x: &[&A]) -> A {
        A::apply(self.clone(), x)
    }

    fn jvp(&self, x: &[&A], y: &A, dx: &[Option<&A>]) -> Option<A> {
        A::jvp(self, x, y, dx)
    }

    fn jvp_several(&self, x: &[&A], y: &A, directions: &[Tangent<'_, A>]) -> Vec<Option<A>> {
        A::jvp_several(self, x, y, directions)
    }

    fn vjp(&self, x: &[&A], y: &A, ybar: &A, out: &mut Cotangents<'_, A>) {
        A::vjp(self, x, y, ybar, out)
    }

    fn product_flops(&self, shapes: &[&[usize]], visit: &Visit<'_>) -> u64 {
        Primitive::product_flops(self, shapes, visit)
    }

    fn nested_flops(&self, shapes: &[&[usize]], inputs: &[Levels]) -> Option<(Levels, u64)> {
        Primitive::nested_flops(self, shapes, inputs)
    }
}

impl<A: Array, P: Primitive> CurvedRules<A> for P {
    fn vjp_tangent(&self, at: &At<'_, A>, dx: &[Option<&A>], dybar: Option<&A>, out: &mut Cotangents<'_, A>) {
        A::vjp_tangent(self, at, dx, dybar, out);
    }

    fn vjp_curved(&self, at: &At<'_, A>, dx: &[Option<&A>], out: &mut Cotangents<'_, A>) {
        curved(self, at, dx, out);
    }

    fn advance(&self, node: &Advance<'_, A>) -> Option<(Option<A>, f64)> {
        A::advance(self, node)
    }

    fn is_linkable(&self) -> bool {
        Primitive::is_linkable(self)
    }

    fn advance_linked(&self, node: &Advance<'_, A>, links: Links<'_, '_, Scalar<A>>) -> Option<(A, f64)> {
        A::advance_linked(self, node, links)
    }

    fn begin(
        &self,
        node: &Advance<'_, A>,
        then: Option<&InPlace<'_, Scalar<A>>>,
        find: &mut Find<'_, Scalar<A>>,
    ) -> Option<Begun<Scalar<A>>> {
        A::begin(self, node, then, find)
    }

    fn jvp_in_place(&self, x: &A, y: &A, from: usize, dx: &mut [Scalar<A>]) -> bool {
        A::jvp_in_place(self, x, y, from, dx)
    }
}

/// vjp(x, ȳ̇), and then ∂ₓ[vjp(x, ȳ)]·ẋ added to it.
pub(crate) fn general_vjp_then_curved<A: Array, P: Primitive>(
    p: &P,
    at: &At<'_, A>,
    dx: &[Option<&A>],
    dybar: Option<&A>,
    out: &mut Cotangents<'_, A>,
) {
    if let Some(dybar) = dybar {
        A::vjp(p, at.x, at.y, dybar, out);
    }
    curved(p, at, dx, out);
}

/// ∂ₓ[vjp(x, ȳ)]·ẋ, as the primitive's kind has it.
fn curved<A: Array, P: Primitive>(p: &P, at: &At<'_, A>, dx: &[Option<&A>], out: &mut Cotangents<'_, A>) {
    if dx.iter().all(Option::is_none) {
        return;
    }
    match P::KIND {
        Kind::Constant | Kind::Linear | Kind::PiecewiseLinear => {}
        Kind::Bilinear => bilinear_vjp_tangent(p, at, dx, out),
        Kind::General => A::vjp_curved(p, at, dx, out),
    }
}

/// For y = b(x₀, x₁): x̄₀ is linear in x₁, so its tangent is the same VJP with ẋ₁ in the place of x₁, and vice versa.
fn bilinear_vjp_tangent<A: Array, P: Primitive>(p: &P, at: &At<'_, A>, dx: &[Option<&A>], out: &mut Cotangents<'_, A>) {
    let mask = u32::from(dx[1].is_some()) | u32::from(dx[0].is_some()) << 1;
    let moved: SmallVec<[&A; 3]> = at.x.iter().zip(dx).map(|(&x, dx)| dx.unwrap_or(x)).collect();
    A::vjp(p, &moved, at.y, at.ybar, &mut out.only(mask));
}

/// Differentiates the VJP: runs it on dual numbers, the adjoint of the output held fixed, and keeps the tangents.
pub(crate) fn general_vjp_tangent<A: Array, P: Primitive>(
    p: &P,
    at: &At<'_, A>,
    dx: &[Option<&A>],
    out: &mut Cotangents<'_, A>,
) {
    let n = at.x.len();
    let x: SmallVec<[Dual<A>; 3]> =
        at.x.iter().zip(dx).map(|(&x, dx)| Dual { primal: x.clone(), tangent: dx.cloned() }).collect();
    let y = Dual { primal: at.y.clone(), tangent: at.dy.cloned() };
    let mut slots: SmallVec<[Option<Dual<A>>; 3]> = (0..n).map(|_| None).collect();
    let index: SmallVec<[u32; 3]> = (0..n as u32).collect();
    let active: SmallVec<[bool; 3]> = (0..n).map(|i| out.wants(i)).collect();
    let refs: SmallVec<[&Dual<A>; 3]> = x.iter().collect();
    p.vjp(&refs, &y, &Dual::fixed(at.ybar.clone()), &mut Cotangents::new(&mut slots, &index, &active));
    for (i, slot) in slots.into_iter().enumerate() {
        if let Some(tangent) = slot.and_then(|d| d.tangent) {
            out.add(i, || tangent);
        }
    }
}
