//! The convolutional network.

use ad_core::Array;
use ad_core::ops::{Pooling, Window};

use crate::init::Init;
use crate::layers::{Activation, Conv2d, Linear, Reshaping};
use crate::module::{Architecture, Declarations, Module, Scope};

/// What follows each convolution and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// The largest of each 2 × 2 pixels.
    Max,
    /// The mean of each 2 × 2 pixels.
    Mean,
    /// Nothing.
    None,
}

/// Convolutions `conv.0`, `conv.1`, …, each with an activation and pooling, then fully connected layers `fc.0`, `fc.1`, … with an activation
/// after each but the last: the design of LeNet-5 (LeCun et al., 1998). Reads images (batch, channels, height, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Cnn {
    convs: Vec<Conv2d>,
    pool: Pool,
    layers: Vec<Linear>,
    act: Activation,
}

impl Cnn {
    /// A network of these channels, inputs first, and sizes of the fully connected layers, outputs last, for square images of `side` pixels.
    ///
    /// `None` where an image becomes too small for the next kernel or pool.
    ///
    /// # Panics
    /// If there are not two numbers of channels and one size at least.
    #[track_caller]
    pub fn new(
        channels: &[usize],
        kernel: usize,
        window: Window,
        pool: Pool,
        side: usize,
        sizes: &[usize],
        act: Activation,
    ) -> Option<Self> {
        assert!(channels.len() >= 2 && !sizes.is_empty(), "a cnn of channels {channels:?} and sizes {sizes:?}");
        let activated = Init::KaimingNormal { gain: act.gain() };
        let convs: Vec<Conv2d> =
            channels.windows(2).map(|c| Conv2d::new(c[0], c[1], kernel).window(window).weight(activated)).collect();
        let mut side = side;
        for conv in &convs {
            side = conv.window.places([side; 2], conv.kernel)?[0];
            if pool != Pool::None {
                side = Pooling::square(2).window.places([side; 2], [2; 2])?[0];
            }
        }
        let inputs = channels[channels.len() - 1] * side * side;
        let sizes: Vec<usize> = [inputs].iter().chain(sizes).copied().collect();
        let last = sizes.len() - 2;
        let layer = |(i, w): (usize, &[usize])| {
            let layer = Linear::new(w[0], w[1]);
            if i < last { layer.weight(activated) } else { layer }
        };
        Some(Cnn { convs, pool, layers: sizes.windows(2).enumerate().map(layer).collect(), act })
    }
}

impl Architecture for Cnn {
    fn declare(&self, to: &mut Declarations<'_>) {
        for (i, conv) in self.convs.iter().enumerate() {
            to.child(format_args!("conv.{i}"), conv);
        }
        for (i, layer) in self.layers.iter().enumerate() {
            to.child(format_args!("fc.{i}"), layer);
        }
    }
}

impl<A: Array> Module<A> for Cnn {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let mut x = x.clone();
        for (i, conv) in self.convs.iter().enumerate() {
            x = self.act.apply(&conv.forward(&p.child(format_args!("conv.{i}")), &x));
            x = match self.pool {
                Pool::Max => Reshaping::MaxPool(Pooling::square(2)).forward(p, &x),
                Pool::Mean => Reshaping::MeanPool(Pooling::square(2)).forward(p, &x),
                Pool::None => x,
            };
        }
        x = Reshaping::Flatten.forward(p, &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&p.child(format_args!("fc.{i}")), &x);
            if i + 1 < self.layers.len() {
                x = self.act.apply(&x);
            }
        }
        x
    }
}
