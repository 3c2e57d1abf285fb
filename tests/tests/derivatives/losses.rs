//! Every loss, activation and layer, in every way there is.

use ad_core::ops::{Attention, Pooling, Window};
use ad_core::{Array, Ops, Params, Tensor};
use nn::data::Targets;
use nn::models::{Cnn, Gpt};
use nn::{
    Activation, Architecture, Conv1d, Conv2d, Embedding, Flatten, GroupNorm, Layer, LayerNorm, Linear, Loss, Mlp,
    Module, Pool2d, Residual, RmsNorm, Scope, SelfAttention, Sequential, random::Key,
};
use parabola_tests::nested::{Function, T, assert_all_ways, direction};

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

/// The squares of a module's output on an input, as a function of parameters and input.
struct OfModule<M> {
    module: M,
    names: Vec<String>,
}

/// A module at every type that a test needs.
trait Generic: Architecture {
    fn run<A: Array>(&self, p: &Params<A>, x: &A) -> A;
}

macro_rules! generic {
    ($($ty:ty),*) => {$(
        impl Generic for $ty {
            fn run<A: Array>(&self, p: &Params<A>, x: &A) -> A {
                self.forward(&Scope::new(p), x)
            }
        }
    )*};
}
generic!(Linear, Activation, Mlp, Sequential, Layer, Cnn, Gpt);

impl<M: Generic> Function for OfModule<M> {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        let (input, parameters) = x.split_last().expect("an input");
        let p = Params::new(self.names.iter().cloned().zip(parameters.iter().cloned()));
        self.module.run(&p, input).powi(2).sum_all()
    }
}

fn check_module(module: impl Generic + Clone) {
    // An input at which no pre-activation is within the differences' reach of a kink.
    check_module_on(module, wave(&[4, 3], 0.9));
}

/// Checks derivatives with respect to parameters and input.
fn check_module_on(module: impl Generic + Clone, input: T) {
    let mut x = parameters(&module);
    x.push(input);
    let names = module.parameters().into_iter().map(|p| p.name).collect();
    assert_all_ways(&format!("{module:?}"), &OfModule { module, names }, &x);
}

/// A module on an input that has no derivative, such as tokens.
struct OnTokens<M>(OfModule<M>, T);

impl<M: Generic> Function for OnTokens<M> {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        self.0.call(&[x, &[A::lift(self.1.clone())]].concat())
    }
}

/// Checks derivatives with respect to parameters alone.
fn check_module_on_tokens(module: impl Generic + Clone, tokens: T) {
    let (x, names) = (parameters(&module), module.parameters().into_iter().map(|p| p.name).collect());
    assert_all_ways(&format!("{module:?}"), &OnTokens(OfModule { module, names }, tokens), &x);
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
    // Numbers that are further apart than the differences reach, so that no maximum changes its place.
    let image = Tensor::from_fn(&[2, 2, 4, 5], |i| 0.1 * ((7 * i) % 83) as f64 - 4.0);
    let sequence = wave(&[2, 2, 5], 0.9);
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
        Layer::from(Residual::new(Layer::from(Conv2d::new(2, 2, 3).window(Window::square(1, 1, 1))))),
    ] {
        check_module_on(layer, image.clone());
    }
    check_module_on(Layer::from(Conv1d::new(2, 4, 2, [2, 1, 2]).groups(2)), sequence);
    let cnn =
        Cnn::new(&[2, 3], 2, Window::default(), Some(Pool2d::Mean(Pooling::square(2))), 5, &[3], Activation::Tanh);
    check_module_on(cnn.expect("the image is large enough"), wave(&[2, 2, 5, 5], 0.9));
}

#[test]
fn every_layer_of_sequences_agrees_in_every_way() {
    let sequence = wave(&[2, 3, 4], 0.9);
    for layer in [
        Layer::from(LayerNorm::new(4)),
        Layer::from(RmsNorm::new(4)),
        Layer::from(SelfAttention::new(4, Attention::new(2))),
        Layer::from(SelfAttention::new(4, Attention::causal(1))),
    ] {
        check_module_on(layer, sequence.clone());
    }
    let tokens = Tensor::from_vec(&[2, 2], vec![2.0, 0.0, 1.0, 2.0]);
    check_module_on_tokens(Layer::from(Embedding::new(3, 2)), tokens.clone());
    // Normalisation of only two numbers is too steep for differences.
    check_module_on_tokens(Gpt::new(3, 2, 4, 2, 1, Activation::GeluTanh), tokens);
}
