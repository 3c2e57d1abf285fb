//! The list of the engine's primitives: what the tape stores, and a sample of each for the tests.

use std::sync::Arc;

use crate::array::Array;
use crate::ops::elementwise::*;
use crate::ops::*;
use crate::primitive::{CurvedRules, Primitive, Rules};
use crate::shape::Axes;
use crate::tensor::Tensor;

/// Receives each primitive of the registry with inputs to try it on; see [`visit`].
pub trait Visitor {
    /// Called with a primitive and inputs at which it is differentiable.
    fn visit<P: Primitive>(&mut self, p: P, inputs: Vec<Tensor<f64>>);
}

/// A primitive with inputs to try it on.
type Sample<P> = (P, Vec<Tensor<f64>>);

macro_rules! primitives {
    ($($name:ident($ty:ty): $samples:expr;)*) => {
        /// What computed a node of the tape: one of the engine's primitives, or one's own.
        #[derive(Clone, Debug)]
        #[allow(missing_docs, reason = "each variant is documented at the primitive that it holds")]
        pub enum Op<A: Array> {
            /// A variable.
            Leaf,
            /// A value that does not depend on any variable.
            Constant,
            $($name($ty),)*
            /// A primitive defined outside the engine.
            Own(Arc<dyn CurvedRules<A>>),
        }

        impl<A: Array> Op<A> {
            /// The first-order rules, or `None` for a leaf or constant.
            #[inline]
            pub fn rules(&self) -> Option<&dyn Rules<A>> {
                match self {
                    Op::Leaf | Op::Constant => None,
                    $(Op::$name(p) => Some(p),)*
                    Op::Own(p) => Some(&**p),
                }
            }

            /// All rules, or `None` for a leaf or constant.
            #[inline]
            pub fn curved_rules(&self) -> Option<&dyn CurvedRules<A>> {
                match self {
                    Op::Leaf | Op::Constant => None,
                    $(Op::$name(p) => Some(p),)*
                    Op::Own(p) => Some(&**p),
                }
            }
        }

        impl<A: Array> Op<A> {
            /// The name of the operation; `leaf` and `constant` for values that nothing computed.
            pub fn name(&self) -> &'static str {
                match self {
                    Op::Leaf => "leaf",
                    Op::Constant => "constant",
                    _ => self.rules().map_or("", |rules| rules.name()),
                }
            }
        }

        /// Shows every registered primitive to a visitor, each with samples of inputs.
        ///
        /// A primitive cannot be registered without a sample, so what a test does in a visitor it does to all of them.
        pub fn visit(visitor: &mut impl Visitor) {
            $(
                let samples: Vec<Sample<$ty>> = $samples;
                for (p, inputs) in samples {
                    visitor.visit(p, inputs);
                }
            )*
        }
    };
}

/// Numbers without a pattern in (−1, 1), none of them near 0 or near another; `phase` tells arrays apart.
fn wave(shape: &[usize], phase: f64) -> Tensor<f64> {
    Tensor::from_fn(shape, |i| {
        let v = (1.7 * i as f64 + 0.9 + phase).sin() * 0.9;
        if v.abs() < 0.05 { v + 0.17 } else { v }
    })
}

/// As [`wave`], in (0.3, 1.7).
fn positive(shape: &[usize], phase: f64) -> Tensor<f64> {
    wave(shape, phase).map(|v| 1.0 + 0.7 * v)
}

/// One elementwise function at positive and negative numbers, and at one number alone.
fn anywhere<F: Clone>(f: F) -> Vec<Sample<Map<F>>> {
    [&[2, 3][..], &[]].map(|shape| (Map(f.clone()), vec![wave(shape, 0.0).map(|v| 2.0 * v)])).into()
}

/// One elementwise function at positive numbers, and at one alone.
fn above_zero<F: Clone>(f: F) -> Vec<Sample<Map<F>>> {
    [&[2, 3][..], &[]].map(|shape| (Map(f.clone()), vec![positive(shape, 0.0)])).into()
}

/// A primitive of two operands: equal shapes, a row under a matrix, both broadcast, a scalar with a vector, two scalars.
fn pairs<P: Clone>(p: P) -> Vec<Sample<P>> {
    let shapes: [(&[usize], &[usize]); 5] =
        [(&[2, 3], &[2, 3]), (&[2, 3], &[3]), (&[2, 1], &[1, 3]), (&[], &[2]), (&[], &[])];
    shapes.iter().map(|(a, b)| (p.clone(), vec![wave(a, 0.0), positive(b, 0.4)])).collect()
}

/// One primitive at one array of this shape.
fn one<P>(p: P, shape: &[usize]) -> Vec<Sample<P>> {
    vec![(p, vec![wave(shape, 0.0)])]
}

/// Windows side by side, and overlapping ones that hang over the edge.
fn poolings() -> [Pooling; 2] {
    [
        Pooling::square(2),
        Pooling { kernel: [3, 2], window: Window { stride: [1, 3], padding: [1, 1], dilation: [1, 1] } },
    ]
}

/// A primitive along either axis of a matrix, and along the last and a middle axis of rank 3.
fn lanes<P>(along: impl Fn(usize) -> P) -> Vec<Sample<P>> {
    let shapes: [(usize, &[usize]); 4] = [(0, &[2, 3]), (1, &[2, 3]), (2, &[2, 2, 4]), (1, &[2, 3, 2])];
    shapes.into_iter().flat_map(|(axis, shape)| one(along(axis), shape)).collect()
}

fn axes(axes: &[isize], rank: usize) -> Axes {
    Axes::new(axes, rank)
}

primitives! {
    // Elementwise.
    Scale(Map<Scale>): anywhere(Scale { c: -2.5 });
    Offset(Map<Offset>): anywhere(Offset { c: 0.7 });
    Powi(Map<Powi>): [3, 2, 1, 0, -2].into_iter().flat_map(|n| anywhere(Powi { n })).collect();
    Square(Map<Square>): anywhere(Square);
    Powf(Map<Powf>): [2.5, 0.5, -1.3].into_iter().flat_map(|p| above_zero(Powf { p })).collect();
    Exp(Map<Exp>): anywhere(Exp);
    Expm1(Map<Expm1>): anywhere(Expm1);
    Log(Map<Log>): above_zero(Log);
    Log1p(Map<Log1p>): above_zero(Log1p);
    Sqrt(Map<Sqrt>): above_zero(Sqrt);
    Tanh(Map<Tanh>): anywhere(Tanh);
    Sigmoid(Map<Sigmoid>): anywhere(Sigmoid);
    Softplus(Map<Softplus>): anywhere(Softplus);
    Relu(Map<Relu>): anywhere(Relu);
    LeakyRelu(Map<LeakyRelu>): anywhere(LeakyRelu { slope: 0.1 });
    Elu(Map<Elu>): anywhere(Elu { alpha: 1.3 });
    Gelu(Map<Gelu>): anywhere(Gelu);
    GeluTanh(Map<GeluTanh>): anywhere(GeluTanh);
    Silu(Map<Silu>): anywhere(Silu);
    Erf(Map<Erf>): anywhere(Erf);
    Sin(Map<Sin>): anywhere(Sin);
    Cos(Map<Cos>): anywhere(Cos);
    Abs(Map<Abs>): anywhere(Abs);
    Sign(Map<Sign>): anywhere(Sign);
    Step(Map<Step>): anywhere(Step);
    Clamp(Map<Clamp>): anywhere(Clamp { lo: -0.6, hi: 0.8 });
    // Two operands.
    Add(Add): pairs(Add);
    Sub(Sub): pairs(Sub);
    Mul(Mul): pairs(Mul);
    Div(Div): pairs(Div);
    Maximum(Maximum): pairs(Maximum);
    Minimum(Minimum): pairs(Minimum);
    Compare(Compare): [Compare::Greater, Compare::GreaterEqual, Compare::Equal, Compare::NotEqual].into_iter().flat_map(pairs).collect();
    Where(Where): vec![
        (Where, vec![wave(&[2, 3], 2.0), wave(&[2, 3], 0.0), wave(&[3], 0.5)]),
        (Where, vec![wave(&[3], 2.0), wave(&[], 0.0), wave(&[2, 1], 0.5)]),
    ];
    // Products.
    MatMul(MatMul): {
        let product = |ta, tb, a: &[usize], b: &[usize]| (MatMul { ta, tb }, vec![wave(a, 0.0), wave(b, 0.4)]);
        vec![
            product(false, false, &[2, 3], &[3, 4]),
            product(true, false, &[3, 2], &[3, 4]),
            product(false, true, &[2, 3], &[4, 3]),
            product(true, true, &[3, 2], &[4, 3]),
            product(false, true, &[2, 2, 3], &[4, 3]),
            product(true, false, &[1, 3, 2], &[2, 3, 2]),
        ]
    };
    Linear(Linear): vec![
        (Linear, vec![wave(&[2, 3], 0.0), wave(&[4, 3], 0.4), wave(&[4], 0.8)]),
        (Linear, vec![wave(&[2, 2, 3], 0.0), wave(&[4, 3], 0.4)]),
        (Linear, vec![wave(&[3], 0.0), wave(&[2, 3], 0.4), wave(&[2], 0.8)]),
    ];
    // Images.
    Conv(Conv): {
        let bias = || wave(&[4], 0.8);
        let conv = |window, groups, x: &[usize], w: &[usize]| (Conv { window, groups }, vec![wave(x, 0.0), wave(w, 0.4)]);
        let uneven = Window { stride: [2, 1], padding: [1, 2], dilation: [1, 2] };
        let mut all = vec![
            conv(Window::default(), 1, &[2, 2, 4, 3], &[4, 2, 2, 2]),
            conv(uneven, 2, &[1, 2, 4, 3], &[4, 1, 2, 3]),
            conv(Window::default(), 1, &[2, 3, 2, 2], &[4, 3, 1, 1]),
        ];
        all.iter_mut().take(2).for_each(|(_, x)| x.push(bias()));
        all
    };
    ConvInput(ConvInput): [(Window::default(), [4, 3]), (Window::square(2, 1, 1), [5, 6])]
        .into_iter()
        .map(|(window, image)| {
            let [down, across] = window.places(image, [2, 2]).unwrap_or_default();
            let of = Conv { window, groups: 1 };
            (ConvInput { of, image }, vec![wave(&[2, 3, down, across], 0.0), wave(&[3, 2, 2, 2], 0.4)])
        })
        .collect();
    ConvWeight(ConvWeight): [(Window::default(), 1), (Window::square(2, 1, 1), 2)]
        .into_iter()
        .map(|(window, groups)| {
            let [down, across] = window.places([4, 3], [2, 2]).unwrap_or_default();
            let of = Conv { window, groups };
            (ConvWeight { of, kernel: [2, 2] }, vec![wave(&[2, 2, 4, 3], 0.0), wave(&[2, 4, down, across], 0.4)])
        })
        .collect();
    MaxPool(MaxPool): poolings().into_iter().flat_map(|p| one(MaxPool(p), &[2, 5, 4])).collect();
    MeanPool(MeanPool): poolings().into_iter().flat_map(|p| one(MeanPool(p), &[2, 5, 4])).collect();
    MeanPoolAdjoint(MeanPoolAdjoint): poolings()
        .into_iter()
        .flat_map(|of| {
            let [down, across] = of.window.places([5, 4], of.kernel).unwrap_or_default();
            one(MeanPoolAdjoint { of, image: [5, 4] }, &[2, down, across])
        })
        .collect();
    // Normalisation.
    Normalize(Normalize): [true, false]
        .into_iter()
        .flat_map(|centred| one(Normalize { centred, epsilon: 0.1 }, &[2, 2, 3]))
        .collect();
    Affine(Affine): vec![
        (Affine, vec![wave(&[2, 2, 3], 0.0), wave(&[3], 0.4), wave(&[3], 0.8)]),
        (Affine, vec![wave(&[3], 0.0), wave(&[3], 0.4)]),
    ];
    Attention(Attention): {
        let keys = Attention { keys: Some([true, false, true, false, false, true].into()), ..Attention::causal(1) };
        vec![
            (Attention::new(2), vec![wave(&[2, 3, 12], 0.0)]),
            (Attention::causal(2), vec![wave(&[1, 3, 6], 0.0)]),
            (keys, vec![wave(&[2, 3, 6], 0.0)]),
        ]
    };
    // Reductions.
    Sum(Sum): [(vec![1], false), (vec![0], false), (vec![0, 2], true), (vec![0, 1, 2], false), (vec![2, 1], false)]
        .into_iter()
        .flat_map(|(a, keep)| one(Sum { axes: axes(&a, 3), keep }, &[2, 3, 2]))
        .collect();
    Max(Max): [vec![1], vec![0, 2]]
        .into_iter()
        .flat_map(|a| one(Max { axes: axes(&a, 3), keep: false }, &[2, 3, 2]))
        .collect();
    ArgMax(ArgMax): one(ArgMax { axis: 1 }, &[2, 3]);
    CumSum(CumSum): [(0, false), (1, true)]
        .into_iter()
        .flat_map(|(axis, reverse)| one(CumSum { axis, reverse }, &[2, 3, 2]))
        .collect();
    // Layout.
    BroadcastTo(BroadcastTo): one(BroadcastTo([2, 3, 2].into()), &[3, 1]);
    SumTo(SumTo): one(SumTo([3, 1].into()), &[2, 3, 2]);
    Reshape(Reshape): one(Reshape([3, 2].into()), &[2, 3]);
    Permute(Permute): one(Permute([2, 0, 1].into()), &[2, 3, 2]);
    Slice(Slice): one(Slice([(1, 2), (0, 2)].into()), &[2, 3]);
    Pad(Pad): one(Pad([(1, 0), (0, 2)].into()), &[2, 3]);
    Concat(Concat): vec![
        (Concat { axis: 1 }, vec![wave(&[2, 3], 0.0), wave(&[2, 1], 0.3), wave(&[2, 2], 0.6)]),
        (Concat { axis: 0 }, vec![wave(&[1, 2], 0.0), wave(&[2, 2], 0.3)]),
    ];
    Gather(Gather): one(Gather { axis: 1, indices: [2, 0, 2].into() }, &[2, 3]);
    ScatterAdd(ScatterAdd): one(ScatterAdd { axis: 1, indices: [2, 0, 2].into(), size: 4 }, &[2, 3]);
    // Softmax and losses.
    Softmax(Softmax): lanes(|axis| Softmax { axis });
    LogSoftmax(LogSoftmax): lanes(|axis| LogSoftmax { axis });
    LogSumExp(LogSumExp): lanes(|axis| LogSumExp { axis });
    CrossEntropy(CrossEntropy): {
        let labels = CrossEntropy::new(&[2, 0, 1]);
        vec![
            (labels.clone(), vec![wave(&[3, 3], 0.0)]),
            (labels.clone().class_weights(&[0.5, 2.0, 1.5]).label_smoothing(0.2), vec![wave(&[3, 3], 0.0)]),
            (labels.ignore_index(0).label_smoothing(0.1), vec![wave(&[3, 3], 0.0)]),
        ]
    };
    SquaredError(SquaredError): [(-0.7, &[2, 3][..]), (0.5, &[])]
        .map(|(factor, shape)| (SquaredError { factor }, vec![wave(shape, 0.0), positive(shape, 0.4)]))
        .into();
    // Markers.
    Output(Output): one(Output, &[2, 3]);
    StopGradient(StopGradient): one(StopGradient, &[2, 3]);
    DerivativeOf(DerivativeOf): vec![(DerivativeOf, vec![wave(&[2, 3], 0.0), wave(&[2, 3], 0.5)])];
}
