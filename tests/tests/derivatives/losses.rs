//! Every loss, activation and layer, in every way there is.

use ad_core::{Array, Ops, Params, Tensor};
use nn::data::Targets;
use nn::{Activation, Architecture, Layer, Linear, Loss, Mlp, Module, Scope, Sequential, random::Key};
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
generic!(Linear, Activation, Mlp, Sequential, Layer);

impl<M: Generic> Function for OfModule<M> {
    fn call<A: Array<Base = T>>(&self, x: &[A]) -> A {
        let (input, parameters) = x.split_last().expect("an input");
        let p = Params::new(self.names.iter().cloned().zip(parameters.iter().cloned()));
        self.module.run(&p, input).powi(2).sum_all()
    }
}

fn check_module(module: impl Generic + Clone) {
    let theta = module.init::<f64>(Key::new(5));
    // Biases start at zero; shifted, so that one which is ignored cannot agree.
    let mut x: Vec<T> = theta.arrays().iter().map(|t| t.plus(&wave(t.shape(), 0.7).scale(0.3))).collect();
    // An input at which no pre-activation is within the differences' reach of a kink.
    x.push(wave(&[4, 3], 0.9));
    assert_all_ways(&format!("{module:?}"), &OfModule { module, names: theta.names().to_vec() }, &x);
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
