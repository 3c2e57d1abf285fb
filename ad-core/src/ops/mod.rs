//! The primitives, and the methods by which model code uses them.

pub mod affine;
pub mod attention;
pub(crate) mod binary;
pub mod conv;
pub mod cross_entropy;
pub mod elementwise;
pub mod index;
pub mod layout;
pub mod linear;
pub mod marker;
pub mod matmul;
mod moments;
pub mod normalize;
pub mod pool;
pub mod product;
pub(crate) mod reduce;
mod rows;
pub(crate) mod softmax;
pub mod squared_error;

pub use affine::Affine;
pub use attention::Attention;
pub use binary::{Add, Compare, Div, Maximum, Minimum, Mul, Sub, Where};
pub(crate) use conv::Convolve;
pub use conv::{Conv, ConvInput, ConvWeight, Window};
pub use cross_entropy::CrossEntropy;
pub use elementwise::{Elementwise, Map};
pub use index::{Gather, ScatterAdd};
pub use layout::{BroadcastTo, Concat, Pad, Permute, Reshape, Slice, SumTo};
pub use linear::Linear;
pub use marker::{DerivativeOf, Output, StopGradient};
pub use matmul::MatMul;
pub use normalize::Normalize;
pub use pool::{MaxPool, MeanPool, MeanPoolAdjoint, Pooling};
pub use product::{Begun, Form, Forms};
pub use reduce::{ArgMax, CumSum, Max, Sum};
pub use softmax::{LogSoftmax, LogSumExp, Softmax};
pub use squared_error::SquaredError;

use elementwise as e;

use crate::array::Array;
use crate::shape::{Axes, axis};

/// Says which variant of [`Op`](crate::registry::Op) a primitive is on the tape.
macro_rules! recorded_as {
    ($name:ident) => {
        fn into_op<A: crate::array::Array>(self) -> crate::registry::Op<A> {
            crate::registry::Op::$name(self)
        }
    };
}
pub(crate) use recorded_as;

macro_rules! elementwise_methods {
    ($($(#[$doc:meta])* $method:ident($($arg:ident: $ty:ty),*) => $f:expr;)*) => {$(
        $(#[$doc])*
        #[inline]
        fn $method(&self $(, $arg: $ty)*) -> Self {
            Self::apply(Map($f), &[self])
        }
    )*};
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident => $p:expr;)*) => {$(
        $(#[$doc])*
        #[inline]
        #[track_caller]
        fn $method(&self, other: &Self) -> Self {
            Self::apply($p, &[self, other])
        }
    )*};
}

/// The primitives as methods of every [`Array`].
///
/// Axes are counted from the front or, when negative, from the back. Two operands are broadcast by NumPy's rules. Every
/// method panics on shapes that do not fit, naming the operation and the shapes.
pub trait Ops: Array {
    elementwise_methods! {
        /// c·x.
        scale(c: f64) => e::Scale { c };
        /// x + c.
        offset(c: f64) => e::Offset { c };
        /// x².
        square() => e::Square;
        /// xᵖ for a real p and x ≥ 0.
        powf(p: f64) => e::Powf { p };
        /// eˣ.
        exp() => e::Exp;
        /// eˣ − 1, accurate near 0.
        expm1() => e::Expm1;
        /// Natural logarithm.
        log() => e::Log;
        /// log(1 + x), accurate near 0.
        log1p() => e::Log1p;
        /// √x.
        sqrt() => e::Sqrt;
        /// Hyperbolic tangent.
        tanh() => e::Tanh;
        /// σ(x) = 1/(1 + e⁻ˣ).
        sigmoid() => e::Sigmoid;
        /// log(1 + eˣ).
        softplus() => e::Softplus;
        /// max(x, 0); derivative 0 at 0.
        relu() => e::Relu;
        /// x where x > 0, else slope·x.
        leaky_relu(slope: f64) => e::LeakyRelu { slope };
        /// x where x > 0, else α(eˣ − 1).
        elu(alpha: f64) => e::Elu { alpha };
        /// x Φ(x), by the error function.
        gelu() => e::Gelu;
        /// GELU's tanh form.
        gelu_tanh() => e::GeluTanh;
        /// x σ(x).
        silu() => e::Silu;
        /// Error function.
        erf() => e::Erf;
        /// Sine.
        sin() => e::Sin;
        /// Cosine.
        cos() => e::Cos;
        /// |x|; derivative 0 at 0.
        abs() => e::Abs;
        /// −1, 0 or 1, without a derivative.
        sign() => e::Sign;
        /// 1 where x > 0, else 0, without a derivative.
        step() => e::Step;
        /// x held within [lo, hi].
        clamp(lo: f64, hi: f64) => e::Clamp { lo, hi };
    }

    /// xⁿ for an integer n.
    #[inline]
    fn powi(&self, n: i32) -> Self {
        match n {
            2 => self.square(),
            n => Self::apply(Map(e::Powi { n }), &[self]),
        }
    }

    binary_methods! {
        /// self + other; the operator `+` for operands that are kept.
        plus => Add;
        /// self − other; the operator `-` for operands that are kept.
        minus => Sub;
        /// self · other, element by element; the operator `*` for operands that are kept.
        times => Mul;
        /// self / other; the operator `/` for operands that are kept.
        over => Div;
        /// The larger of the two; at a tie each takes half of the derivative.
        maximum => Maximum;
        /// The smaller of the two; at a tie each takes half of the derivative.
        minimum => Minimum;
        /// 1 where self > other, else 0, without a derivative.
        greater => Compare::Greater;
        /// 1 where self ≥ other, else 0, without a derivative.
        greater_equal => Compare::GreaterEqual;
        /// 1 where self = other, else 0, without a derivative.
        equal => Compare::Equal;
        /// 1 where self ≠ other, else 0, without a derivative.
        not_equal => Compare::NotEqual;
        /// Matrix product over the last two axes, (…, n, k) by (…, k, m); leading axes are broadcast.
        matmul => MatMul { ta: false, tb: false };
    }

    /// 1 where self < other, else 0, without a derivative.
    #[track_caller]
    fn less(&self, other: &Self) -> Self {
        other.greater(self)
    }

    /// 1 where self ≤ other, else 0, without a derivative.
    #[track_caller]
    fn less_equal(&self, other: &Self) -> Self {
        other.greater_equal(self)
    }

    /// `a` where self > 0, else `b`; self is a condition, such as a comparison's 1 or 0, and has no derivative.
    #[track_caller]
    fn select(&self, a: &Self, b: &Self) -> Self {
        Self::apply(Where, &[self, a, b])
    }

    /// Matrix product op(self) op(other) over the last two axes, each operand transposed if asked.
    #[track_caller]
    fn matmul_transposed(&self, ta: bool, other: &Self, tb: bool) -> Self {
        Self::apply(MatMul { ta, tb }, &[self, other])
    }

    /// The linear layer self Wᵀ + b: self (…, n_in), weight (n_out, n_in), bias (n_out).
    #[track_caller]
    fn linear(&self, weight: &Self, bias: Option<&Self>) -> Self {
        match bias {
            Some(bias) => Self::apply(Linear, &[self, weight, bias]),
            None => Self::apply(Linear, &[self, weight]),
        }
    }

    /// The convolution of images, self (batch, channels, height, width), with weight (outputs, channels / groups, height, width), and
    /// bias (outputs); see [`Conv`].
    #[track_caller]
    fn conv(&self, weight: &Self, bias: Option<&Self>, window: Window, groups: usize) -> Self {
        let of = Conv { window, groups };
        match bias {
            Some(bias) => Self::apply(of, &[self, weight, bias]),
            None => Self::apply(of, &[self, weight]),
        }
    }

    /// The largest number in each window over the last two axes; see [`MaxPool`].
    #[track_caller]
    fn max_pool(&self, windows: Pooling) -> Self {
        Self::apply(MaxPool(windows), &[self])
    }

    /// The mean of each window over the last two axes; see [`MeanPool`].
    #[track_caller]
    fn mean_pool(&self, windows: Pooling) -> Self {
        Self::apply(MeanPool(windows), &[self])
    }

    /// Rows of the last axis brought to mean 0 (if `centred`) and mean square 1; see [`Normalize`].
    #[track_caller]
    fn normalize(&self, centred: bool, epsilon: f64) -> Self {
        Self::apply(Normalize { centred, epsilon }, &[self])
    }

    /// self ∘ gain + offset along the last axis; see [`Affine`].
    #[track_caller]
    fn affine(&self, gain: &Self, offset: Option<&Self>) -> Self {
        match offset {
            Some(offset) => Self::apply(Affine, &[self, gain, offset]),
            None => Self::apply(Affine, &[self, gain]),
        }
    }

    /// Self-attention of the queries, keys and values that self (batch, positions, 3 · width) holds; see [`Attention`].
    #[track_caller]
    fn attention(&self, by: &Attention) -> Self {
        Self::apply(by.clone(), &[self])
    }

    /// Sum over axes, which disappear.
    #[track_caller]
    fn sum(&self, axes: &[isize]) -> Self {
        Self::apply(Sum { axes: Axes::new(axes, self.shape().len()), keep: false }, &[self])
    }

    /// Sum over axes, which keep size 1.
    #[track_caller]
    fn sum_keep(&self, axes: &[isize]) -> Self {
        Self::apply(Sum { axes: Axes::new(axes, self.shape().len()), keep: true }, &[self])
    }

    /// Sum of all elements, a scalar.
    #[inline]
    fn sum_all(&self) -> Self {
        match self.shape().len() {
            0 => self.clone(),
            rank => Self::apply(Sum { axes: Axes::all(rank), keep: false }, &[self]),
        }
    }

    /// Mean over axes, which disappear.
    #[track_caller]
    fn mean(&self, axes: &[isize]) -> Self {
        let n = Axes::new(axes, self.shape().len()).count(self.shape());
        self.sum(axes).scale(1.0 / n as f64)
    }

    /// Mean of all elements, a scalar.
    fn mean_all(&self) -> Self {
        self.sum_all().scale(1.0 / crate::shape::count(self.shape()) as f64)
    }

    /// Maximum over axes, which disappear; equal maxima share the derivative.
    #[track_caller]
    fn max_over(&self, axes: &[isize]) -> Self {
        Self::apply(Max { axes: Axes::new(axes, self.shape().len()), keep: false }, &[self])
    }

    /// Index of the first largest element along an axis, which disappears; without a derivative. NaN counts as largest.
    #[track_caller]
    fn argmax(&self, along: isize) -> Self {
        Self::apply(ArgMax { axis: axis(along, self.shape().len()) }, &[self])
    }

    /// Index of the first smallest element along an axis, which disappears; without a derivative. NaN counts as smallest.
    #[track_caller]
    fn argmin(&self, along: isize) -> Self {
        self.scale(-1.0).argmax(along)
    }

    /// Cumulative sum along an axis.
    #[track_caller]
    fn cumsum(&self, along: isize) -> Self {
        Self::apply(CumSum { axis: axis(along, self.shape().len()), reverse: false }, &[self])
    }

    /// Softmax along an axis.
    #[track_caller]
    fn softmax(&self, along: isize) -> Self {
        Self::apply(Softmax { axis: axis(along, self.shape().len()) }, &[self])
    }

    /// Logarithm of softmax along an axis.
    #[track_caller]
    fn log_softmax(&self, along: isize) -> Self {
        Self::apply(LogSoftmax { axis: axis(along, self.shape().len()) }, &[self])
    }

    /// log Σ eˣ along an axis, which keeps size 1.
    #[track_caller]
    fn logsumexp(&self, along: isize) -> Self {
        Self::apply(LogSumExp { axis: axis(along, self.shape().len()) }, &[self])
    }

    /// Mean cross-entropy of class labels, self being the logits (…, classes); a scalar. Further options are those of
    /// [`CrossEntropy`].
    #[track_caller]
    fn cross_entropy(&self, labels: &[usize]) -> Self {
        Self::apply(CrossEntropy::new(labels), &[self])
    }

    /// factor · ‖x − y‖², the squared error of regression; a scalar. See [`SquaredError`].
    #[track_caller]
    fn squared_error(&self, other: &Self, factor: f64) -> Self {
        Self::apply(SquaredError { factor }, &[self, other])
    }

    /// Repeated along new leading axes and axes of size 1.
    #[inline]
    #[track_caller]
    fn broadcast_to(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { Self::apply(BroadcastTo(shape.into()), &[self]) }
    }

    /// Summed down to a shape that broadcasts to its own.
    #[inline]
    #[track_caller]
    fn sum_to(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { Self::apply(SumTo(shape.into()), &[self]) }
    }

    /// The same elements in another shape.
    #[inline]
    #[track_caller]
    fn reshape(&self, shape: &[usize]) -> Self {
        if self.shape() == shape { self.clone() } else { Self::apply(Reshape(shape.into()), &[self]) }
    }

    /// Axes reordered: axis `i` of the result is axis `order[i]`.
    #[track_caller]
    fn permute(&self, order: &[usize]) -> Self {
        Self::apply(Permute(order.into()), &[self])
    }

    /// The last two axes exchanged.
    #[track_caller]
    fn transpose(&self) -> Self {
        let rank = self.shape().len();
        assert!(rank >= 2, "transpose needs two axes, but the shape is {:?}", self.shape());
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.permute(&order)
    }

    /// The elements from `start` up to, not including, `stop` along each axis.
    #[track_caller]
    fn slice(&self, ranges: &[(usize, usize)]) -> Self {
        Self::apply(Slice(ranges.into()), &[self])
    }

    /// Zeros added before and after along each axis.
    #[track_caller]
    fn pad(&self, margins: &[(usize, usize)]) -> Self {
        Self::apply(Pad(margins.into()), &[self])
    }

    /// Arrays joined along an axis.
    #[track_caller]
    fn concat(arrays: &[&Self], along: isize) -> Self {
        let rank = arrays.first().expect("concat needs at least one array").shape().len();
        Self::apply(Concat { axis: axis(along, rank) }, arrays)
    }

    /// The elements at these positions along an axis.
    #[track_caller]
    fn gather(&self, along: isize, indices: &[usize]) -> Self {
        Self::apply(Gather { axis: axis(along, self.shape().len()), indices: indices.into() }, &[self])
    }

    /// Elements added at these positions along an axis that gets the given size, from zeros; the adjoint of `gather`.
    #[track_caller]
    fn scatter_add(&self, along: isize, indices: &[usize], size: usize) -> Self {
        Self::apply(ScatterAdd { axis: axis(along, self.shape().len()), indices: indices.into(), size }, &[self])
    }

    /// Marks the network's output; see [`Output`].
    fn output(&self) -> Self {
        Self::apply(Output, &[self])
    }

    /// The same value, as a constant.
    fn stop_gradient(&self) -> Self {
        Self::apply(StopGradient, &[self])
    }

    /// The value of self with the derivative of `surrogate`, of the same shape.
    ///
    /// ```
    /// use ad_core::{Ops, grad};
    /// // Rounds, with the derivative of the identity.
    /// let g = grad(|x| x.step().with_derivative_of(x) * 5.0, &0.3);
    /// assert_eq!(g, 5.0);
    /// ```
    #[track_caller]
    fn with_derivative_of(&self, surrogate: &Self) -> Self {
        Self::apply(DerivativeOf, &[self, surrogate])
    }
}

impl<A: Array> Ops for A {}
