//! The convolutional network.

use ad_core::Array;
use ad_core::ops::Window;

use crate::init::Init;
use crate::layers::{Activation, Conv2d, Flatten, Linear, Pool2d};
use crate::module::{Architecture, Declarations, Module, Scope};

/// Convolutions `conv.0`, `conv.1`, …, each with an activation and, if given, pooling, then fully connected layers `fc.0`, `fc.1`, … with an activation
/// after each but the last: the design of LeNet-5 (LeCun et al., 1998). Reads images (batch, channels, height, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Cnn {
    convs: Vec<Conv2d>,
    pool: Option<Pool2d>,
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
        pool: Option<Pool2d>,
        side: usize,
        sizes: &[usize],
        act: Activation,
    ) -> Option<Self> {
        assert!(channels.len() >= 2 && !sizes.is_empty(), "a cnn of channels {channels:?} and sizes {sizes:?}");
        let activated = Init::KaimingNormal { gain: act.gain() };
        let convs: Vec<Conv2d> =
            channels.windows(2).map(|c| Conv2d::new(c[0], c[1], kernel).window(window).weight(activated)).collect();
        let mut image = [side; 2];
        for conv in &convs {
            image = conv.window.places(image, conv.kernel)?;
            image = pool.map_or(Some(image), |pool| pool.places(image))?;
        }
        let inputs = channels[channels.len() - 1] * image[0] * image[1];
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
            if let Some(pool) = &self.pool {
                x = pool.forward(p, &x);
            }
        }
        x = Flatten.forward(p, &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&p.child(format_args!("fc.{i}")), &x);
            if i + 1 < self.layers.len() {
                x = self.act.apply(&x);
            }
        }
        x
    }
}
