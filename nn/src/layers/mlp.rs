//! The fully connected network.

use ad_core::Array;

use crate::init::Init;
use crate::layers::{Activation, Linear};
use crate::module::{Architecture, Declarations, Module, Scope};

/// Linear layers `layers.0`, `layers.1`, … with an activation after each but the last, and after that too if `act_out`.
///
/// Weights of activated layers start with the activation's [gain](Activation::gain), biases at zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Mlp {
    layers: Vec<Linear>,
    act: Activation,
    act_out: bool,
}

impl Mlp {
    /// A network of these sizes, inputs first and outputs last.
    ///
    /// # Panics
    /// If fewer than two sizes are given.
    #[track_caller]
    pub fn new(sizes: &[usize], act: Activation) -> Self {
        assert!(sizes.len() >= 2, "an mlp needs an input and an output size, but {sizes:?} was given");
        let activated = Init::KaimingNormal { gain: act.gain() };
        let mut layers: Vec<Linear> = sizes.windows(2).map(|w| Linear::new(w[0], w[1]).weight(activated)).collect();
        let last = layers.pop().expect("there is at least one layer");
        layers.push(last.weight(Init::KaimingNormal { gain: 1.0 }));
        Mlp { layers, act, act_out: false }
    }

    /// The same network with the activation after the last layer as well, or not.
    pub fn act_out(self, act_out: bool) -> Self {
        Mlp { act_out, ..self }
    }
}

impl Architecture for Mlp {
    fn declare(&self, to: &mut Declarations<'_>) {
        for (i, layer) in self.layers.iter().enumerate() {
            to.child(format_args!("layers.{i}"), layer);
        }
    }
}

impl<A: Array> Module<A> for Mlp {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let last = self.layers.len() - 1;
        self.layers.iter().enumerate().fold(x.clone(), |x, (i, layer)| {
            let z = layer.forward(&p.child(format_args!("layers.{i}")), &x);
            if i < last || self.act_out { self.act.apply(&z) } else { z }
        })
    }
}
