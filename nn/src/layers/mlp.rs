//! The fully connected network.

use ad_core::Array;

use crate::init::Init;
use crate::layers::{Activation, Linear};
use crate::module::{Architecture, Declarations, Module, Scope};

/// Linear layers `layers.0`, `layers.1`, … with an activation after each but the last, and after that too if `act_out`.
///
/// Weights of activated layers start Kaiming-normal with the activation's [gain](Activation::gain), another last layer's with
/// gain 1, and biases at zero.
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
        let layers = sizes.windows(2).map(|w| Linear::new(w[0], w[1])).collect();
        Mlp { layers, act, act_out: false }.with_gains()
    }

    /// The same network with the activation after the last layer as well, or not.
    pub fn act_out(self, act_out: bool) -> Self {
        Mlp { act_out, ..self }.with_gains()
    }

    /// Starts every weight with the gain of what follows it.
    fn with_gains(mut self) -> Self {
        for i in 0..self.layers.len() {
            let gain = if self.is_activated(i) { self.act.gain() } else { 1.0 };
            self.layers[i].weight = Init::KaimingNormal { gain };
        }
        self
    }

    /// Whether the activation follows this layer.
    fn is_activated(&self, layer: usize) -> bool {
        self.act_out || layer + 1 < self.layers.len()
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
        self.layers.iter().enumerate().fold(x.clone(), |x, (i, layer)| {
            let z = layer.forward(&p.child(format_args!("layers.{i}")), &x);
            if self.is_activated(i) { self.act.apply(&z) } else { z }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_start_with_the_gain_of_what_follows_them() {
        let gains = |net: &Mlp| -> Vec<f64> {
            let weights = net.parameters().into_iter().filter(|p| p.name.ends_with("weight"));
            weights
                .map(|p| match p.init {
                    Init::KaimingNormal { gain } => gain,
                    other => panic!("{} starts with {other:?}", p.name),
                })
                .collect()
        };
        let net = Mlp::new(&[3, 4, 2], Activation::Tanh);
        assert_eq!(gains(&net), [5.0 / 3.0, 1.0]);
        let activated = net.clone().act_out(true);
        assert_eq!(gains(&activated), [5.0 / 3.0, 5.0 / 3.0]);
        assert_eq!(activated.act_out(false), net);
    }
}
