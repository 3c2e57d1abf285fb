//! Every loss, activation and layer, in every way there is.

use std::sync::Arc;

use ad_core::ops::{Attention, Pooling, Window};
use ad_core::{Array, Ops, Params, Tensor};
use nn::data::Targets;
use nn::models::{Cnn, Gpt, Norm, ResNet};
use nn::{
    Activation, Architecture, BatchNorm1d, BatchNorm2d, Context, Conv1d, Conv2d, Dropout, Embedding, Flatten,
    GroupNorm, Layer, LayerNorm, Linear, Loss, Lstm, Mlp, Mode, Module, Pool1d, Pool2d, Positions, Residual, RmsNorm,
    Scope, SelfAttention, Sequential, Tied, random::Key,
};
use parabola_tests::nested::{Function, T, assert_all_ways, direction};
use parabola_tests::padded::Classifier;

fn wave(shape: &[usize], phase: f64) -> T {
    let n = shape.iter().product();
    Tensor::from_vec(shape, direction(n, phase))
}

struct OfOutput(Loss, Targets<f64>);

impl Function for OfOutput {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        self.0.apply(&x[0], &self.1)
    }
}

#[test]
fn every_loss_agrees_in_every_way() {
    for (loss, output, targets) in Loss::samples() {
        assert_all_ways(&format!("{loss:?}"), &OfOutput(loss, targets), &[output]);
    }
}

/// A weighted sum of the squares of a module's output on an input, as a function of parameters and input.
struct OfModule<M> {
    module: M,
    names: Vec<String>,
    buffers: Params<T>,
    mode: Mode,
}

/// A module at every type that a test needs.
trait Generic: Architecture {
    fn run<A: Array>(&self, p: &Scope<'_, A>, x: &A) -> A;
}

macro_rules! generic {
    ($($ty:ty),*) => {$(
        impl Generic for $ty {
            fn run<A: Array>(&self, p: &Scope<'_, A>, x: &A) -> A {
                self.forward(p, x)
            }
        }
    )*};
}
generic!(Linear, Activation, Mlp, Sequential, Layer, Cnn, Gpt, ResNet, Tied<Sequential>, Classifier);

impl<M: Generic> OfModule<M> {
    /// The module with buffers that differ from those it starts with.
    fn new(module: M, mode: Mode) -> Self {
        let names = module.parameters().into_iter().map(|p| p.name).collect();
        let buffers = module.buffers().map(|b| b.offset(0.5).plus(&wave(b.shape(), 0.4).scale(0.3)));
        OfModule { module, names, buffers, mode }
    }
}

impl<M: Generic> Function for OfModule<M> {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        let (input, parameters) = x.split_last().expect("an input");
        let p = Params::new(self.names.iter().cloned().zip(parameters.iter().cloned()));
        let context = Context { mode: self.mode, buffers: Some(&self.buffers), observations: None };
        let output = self.module.run(&Scope::new(&p).within(context), input);
        // Equal weights would hide derivatives: the squares of normalised numbers have a constant sum.
        (output.powi(2) * A::constant(&wave(output.shape(), 0.6))).sum_all()
    }
}

fn check_module(module: impl Generic + Clone) {
    // An input at which no pre-activation is within the differences' reach of a kink.
    check_module_on(module, wave(&[4, 3], 0.9));
}

/// Checks derivatives with respect to parameters and input, in evaluation mode.
fn check_module_on(module: impl Generic + Clone, input: T) {
    check_module_in(Mode::Evaluation, module, input);
}

/// Checks derivatives with respect to parameters and input, in training mode with a key of its own.
fn check_module_in_training(module: impl Generic + Clone, input: T) {
    check_module_in(Mode::Training { key: Key::new(9), first_row: 3 }, module, input);
}

fn check_module_in(mode: Mode, module: impl Generic + Clone, input: T) {
    let mut x = parameters(&module);
    x.push(input);
    assert_all_ways(&format!("{module:?}, {mode:?}"), &OfModule::new(module, mode), &x);
}

/// A module on an input that has no derivative, such as tokens.
struct OnTokens<M>(OfModule<M>, T);

impl<M: Generic> Function for OnTokens<M> {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        self.0.call(&[x, &[A::lift(self.1.clone())]].concat())
    }
}

/// A function of its arrays divided by four, so that the differences reach a fourth as far: for those that curve much.
struct Finer<F>(F);

impl<F: Function> Function for Finer<F> {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        self.0.call(&x.iter().map(|x| x.scale(0.25)).collect::<Vec<_>>())
    }
}

fn assert_all_ways_finer(name: &str, f: impl Function, x: &[T]) {
    assert_all_ways(name, &Finer(f), &x.iter().map(|x| x.scale(4.0)).collect::<Vec<_>>());
}

/// Checks derivatives with respect to parameters alone.
fn check_module_on_tokens(module: impl Generic + Clone, mode: Mode, tokens: T) {
    let x = parameters(&module);
    assert_all_ways_finer(&format!("{module:?}, {mode:?}"), OnTokens(OfModule::new(module, mode), tokens), &x);
}

/// Parameters of a module. Biases start at zero and gains at one; they are shifted, so that one which is ignored cannot agree.
fn parameters(module: &impl Generic) -> Vec<T> {
    let theta = module.init::<f64>(Key::new(5));
    theta.arrays().iter().map(|t| t.plus(&wave(t.shape(), 0.7).scale(0.3))).collect()
}

#[test]
fn every_layer_agrees_in_every_way() {
    check_module(Linear::new(3, 2));
    check_module(Linear::new(3, 2).without_bias());
    let by_name = Activation::names().map(|name| name.parse().expect("a name"));
    for activation in by_name.chain([Activation::LeakyRelu { slope: 0.3 }, Activation::Elu { alpha: 0.7 }]) {
        check_module(activation);
        check_module(Mlp::new(&[3, 4, 2], activation));
        check_module(Mlp::new(&[3, 4, 2], activation).act_out(true));
    }
    check_module(Sequential::new([
        Layer::from(Linear::new(3, 4)),
        Layer::from(Activation::Softplus),
        Layer::from(Sequential::new([Layer::from(Linear::new(4, 2))])),
        Layer::from(Mlp::new(&[2, 3, 2], Activation::Silu)),
    ]));
}

#[test]
fn every_layer_of_images_agrees_in_every_way() {
    // Images of which no two numbers in a window are within the differences' reach of each other.
    let (image, sequence) = (wave(&[2, 2, 4, 5], 1.92), wave(&[2, 2, 5], 0.9));
    let overlapping = Pooling { kernel: [3, 2], window: Window { stride: [1, 2], padding: [1, 0], dilation: [1, 1] } };
    for layer in [
        Layer::from(Conv2d::new(2, 4, 2)),
        Layer::from(Conv2d::new(2, 4, 3).window(Window::square(2, 1, 1)).groups(2).without_bias()),
        Layer::from(Pool2d::Max(overlapping)),
        Layer::from(Pool2d::Mean(overlapping)),
        Layer::from(Pool2d::GlobalMax),
        Layer::from(Pool2d::GlobalMean),
        Layer::from(Flatten),
        Layer::from(GroupNorm::new(1, 2)),
        Layer::from(GroupNorm::new(2, 2)),
        Layer::from(Residual::new(Layer::from(Conv2d::new(2, 2, 3).window(Window::square(1, 1, 1))))),
    ] {
        check_module_on(layer, image.clone());
    }
    for pool in [Pool1d::max(2, 1, 0), Pool1d::mean(3, 2, 1), Pool1d::global_max(), Pool1d::global_mean()] {
        check_module_on(Layer::from(pool), sequence.clone());
    }
    check_module_on(Layer::from(Conv1d::new(2, 4, 2, [2, 1, 2]).groups(2)), sequence);
    let cnn =
        Cnn::new(&[2, 3], 2, Window::default(), Some(Pool2d::Mean(Pooling::square(2))), 5, &[3], Activation::Tanh);
    check_module_on(cnn.expect("the image is large enough"), wave(&[2, 2, 5, 5], 0.9));
}

#[test]
fn every_layer_of_sequences_agrees_in_every_way() {
    let sequence = wave(&[2, 3, 4], 0.9);
    // The second sequence ends after its first position.
    let padded: Arc<[bool]> = [true, true, true, true, false, false].into();
    for layer in [
        Layer::from(LayerNorm::new(4)),
        Layer::from(RmsNorm::new(4)),
        Layer::from(Positions::new(3, 4)),
        Layer::from(Positions::new(5, 4)),
        Layer::from(Residual::new(Layer::from(Linear::new(4, 2))).around(Linear::new(4, 2).without_bias().into())),
        Layer::from(SelfAttention::new(4, Attention::new(2))),
        Layer::from(SelfAttention::new(4, Attention::causal(1))),
        Layer::from(SelfAttention::new(4, Attention { keys: Some(padded.clone()), ..Attention::new(2) })),
        Layer::from(SelfAttention::new(4, Attention { keys: Some(padded), ..Attention::causal(1) })),
    ] {
        check_module_on(layer, sequence.clone());
    }
    let tokens = Tensor::from_vec(&[2, 2], vec![2.0, 0.0, 1.0, 2.0]);
    check_module_on_tokens(Layer::from(Embedding::new(3, 2)), Mode::Evaluation, tokens.clone());
    let inner = [Layer::from(Positions::new(3, 2)), Linear::new(2, 2).into(), Activation::Tanh.into()];
    let tied = Tied::new(Embedding::new(3, 2), Sequential::new(inner));
    check_module_on_tokens(tied, Mode::Evaluation, tokens.clone());
    check_module_on_tokens(Classifier::new(3, 4, 2), Mode::Evaluation, tokens.clone());
    let gpt = Gpt::new(3, 2, 2, 1, 1, Activation::GeluTanh);
    check_module_on_tokens(gpt.clone(), Mode::Evaluation, tokens.clone());
    check_module_on_tokens(gpt.clone().tied(), Mode::Evaluation, tokens.clone());
    check_module_on_tokens(gpt.dropout(0.2), Mode::Training { key: Key::new(2), first_row: 0 }, tokens);
}

#[test]
fn recurrent_layers_agree_in_every_way() {
    let sequence = wave(&[2, 3, 3], 0.9);
    check_module_on(Layer::from(Lstm::new(3, 2).layers(2)), sequence.clone());
    check_module_on(Layer::from(Lstm::new(3, 2).last()), sequence);
}

#[test]
fn layers_that_depend_on_the_mode_agree_in_every_way() {
    let norm = Sequential::new([Layer::from(Linear::new(3, 2)), Layer::from(BatchNorm1d::new(2))]);
    for (layer, input) in [
        (Layer::from(BatchNorm1d::new(3)), wave(&[4, 3], 0.9)),
        (Layer::from(BatchNorm1d::new(2)), wave(&[3, 2, 2], 0.9)),
        (Layer::from(BatchNorm2d::new(2)), wave(&[2, 2, 2, 3], 0.9)),
        (Layer::from(norm), wave(&[4, 3], 0.9)),
        (Layer::from(Dropout::new(0.4)), wave(&[4, 3], 0.9)),
    ] {
        check_module_on(layer.clone(), input.clone());
        check_module_in_training(layer, input);
    }
    let dropping = [
        Layer::from(Linear::new(3, 4)),
        Layer::from(Dropout::new(0.4)),
        Layer::from(Activation::Tanh),
        Layer::from(Linear::new(4, 2)),
    ];
    check_module_in_training(Sequential::new(dropping), wave(&[4, 3], 0.9));
}

#[test]
fn residual_networks_agree_in_every_way() {
    // A smooth activation: differences reach across the kinks of so many rectifiers.
    for (norm, mode) in
        [(Norm::Batch, Mode::Training { key: Key::new(0), first_row: 0 }), (Norm::Group(1), Mode::Evaluation)]
    {
        let net = ResNet::new(1, &[2, 2], 1, 2, norm).activation(Activation::Softplus);
        let mut x = parameters(&net);
        x.push(wave(&[3, 1, 4, 4], 0.9));
        assert_all_ways_finer(&format!("{net:?}"), OfModule::new(net, mode), &x);
    }
}
