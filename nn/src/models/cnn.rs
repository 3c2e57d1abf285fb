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
    outputs: usize,
}

impl Cnn {
    /// A network of these channels, inputs first, and sizes of the fully connected layers, outputs last, for square images of `side` pixels.
    /// It may be without convolutions, and without fully connected layers: its outputs are then the numbers of its last images.
    ///
    /// `None` where an image becomes too small for the next kernel or pool, or has more numbers than can be counted.
    ///
    /// # Panics
    /// If there is no number of channels.
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
        let last_channels = *channels.last().expect("a cnn needs the number of its input's channels");
        let activated = Init::KaimingNormal { gain: act.gain() };
        let convs: Vec<Conv2d> =
            channels.windows(2).map(|c| Conv2d::new(c[0], c[1], kernel).window(window).weight(activated)).collect();
        let mut image = [side; 2];
        for conv in &convs {
            image = conv.window.places(image, conv.kernel)?;
            image = pool.map_or(Some(image), |pool| pool.places(image))?;
        }
        let numbers = last_channels.checked_mul(image[0])?.checked_mul(image[1])?;
        let sizes = [&[numbers], sizes].concat();
        let layer = |(i, w): (usize, &[usize])| {
            let layer = Linear::new(w[0], w[1]);
            if i + 2 < sizes.len() { layer.weight(activated) } else { layer }
        };
        let layers = sizes.windows(2).enumerate().map(layer).collect();
        Some(Cnn { convs, pool, layers, act, outputs: sizes[sizes.len() - 1] })
    }

    /// Numbers of an output row.
    pub fn outputs(&self) -> usize {
        self.outputs
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
