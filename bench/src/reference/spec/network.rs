//! The networks that reference models have.

use std::fmt;

use ad_core::Real;
use ad_core::ops::Window;
use nn::models::{Cnn, Gpt};
use nn::{Activation, Mlp, Net, Pool2d};

/// A network, by its sizes.
#[derive(Clone, Debug, PartialEq)]
pub enum Network {
    /// A multilayer perceptron.
    Mlp {
        /// Inputs, hidden layers, outputs: at least two, all positive.
        sizes: Vec<usize>,
        /// Whether the output is activated too.
        act_out: bool,
    },
    /// Convolutions, then fully connected layers, on square images.
    Cnn {
        /// Input channels, then those of each convolution.
        channels: Vec<usize>,
        /// Height and width of the kernels.
        kernel: usize,
        /// Their stride.
        stride: usize,
        /// Zeros around the images.
        padding: usize,
        /// The pooling after each convolution, if any.
        pool: Option<Pool2d>,
        /// Height and width of the images.
        image: usize,
        /// Outputs of the fully connected layers; without any, those of the network are the numbers of its last images.
        fc: Vec<usize>,
    },
    /// A decoder of tokens.
    Gpt {
        /// Number of tokens.
        vocabulary: usize,
        /// Width of the blocks.
        width: usize,
        /// Heads of each attention.
        heads: usize,
        /// Blocks.
        layers: usize,
        /// Positions.
        context: usize,
    },
}

impl Network {
    /// The kind's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Network::Mlp { .. } => "mlp",
            Network::Cnn { .. } => "cnn",
            Network::Gpt { .. } => "gpt",
        }
    }

    /// The network with an activation, or what in its sizes does not fit.
    pub(super) fn checked(&self, act: Activation) -> Result<(), String> {
        match self {
            Network::Mlp { .. } => Ok(()),
            Network::Cnn { channels, fc, .. } if channels.len() == 1 && fc.is_empty() => {
                Err(format!("{self}: found neither convolutions nor fc, expected a layer at least"))
            }
            Network::Cnn { image, .. } => match self.cnn(act) {
                Some(_) => Ok(()),
                None => Err(format!("{self}: images of {image} pixels become smaller than a kernel or a pool")),
            },
            Network::Gpt { width, heads, .. } if !width.is_multiple_of(*heads) => {
                Err(format!("heads: found {heads}, expected a divisor of the width {width}"))
            }
            Network::Gpt { .. } => Ok(()),
        }
    }

    /// The module.
    ///
    /// # Panics
    /// If the sizes do not fit each other, which a read model's do.
    pub fn module<T: Real>(&self, act: Activation) -> Box<dyn Net<T>> {
        match self {
            Network::Mlp { sizes, act_out } => Box::new(Mlp::new(sizes, act).act_out(*act_out)),
            Network::Cnn { .. } => Box::new(self.cnn(act).expect("the sizes have been checked")),
            Network::Gpt { vocabulary, width, heads, layers, context } => {
                Box::new(Gpt::new(*vocabulary, *context, *width, *heads, *layers, act))
            }
        }
    }

    fn cnn(&self, act: Activation) -> Option<Cnn> {
        let Network::Cnn { channels, kernel, stride, padding, pool, image, fc } = self else { return None };
        Cnn::new(channels, *kernel, Window::square(*stride, *padding, 1), *pool, *image, fc, act)
    }

    /// Shape of a row of the input.
    pub fn item(&self) -> Vec<usize> {
        match self {
            Network::Mlp { sizes, .. } => vec![sizes[0]],
            Network::Cnn { channels, image, .. } => vec![channels[0], *image, *image],
            Network::Gpt { context, .. } => vec![*context],
        }
    }

    /// Numbers of an output; cross-entropy's labels lie below it.
    pub fn outputs(&self) -> usize {
        match self {
            Network::Mlp { sizes, .. } => sizes.last().copied().unwrap_or(0),
            Network::Cnn { .. } => self.cnn(Activation::Identity).map_or(0, |cnn| cnn.outputs()),
            Network::Gpt { vocabulary, .. } => *vocabulary,
        }
    }

    /// About how many numbers are computed for a row of the input.
    pub(super) fn activations(&self) -> u128 {
        let all = |sizes: &[usize]| sizes.iter().map(|n| *n as u128).sum::<u128>();
        match self {
            Network::Mlp { sizes, .. } => all(sizes),
            Network::Cnn { channels, image, padding, fc, .. } => {
                // Images grow by the padding of each convolution, at most.
                let side = |i: usize| (*image + 2 * *padding * i) as u128;
                let images = channels.iter().enumerate().map(|(i, c)| *c as u128 * side(i) * side(i));
                images.sum::<u128>() + all(fc)
            }
            Network::Gpt { vocabulary, width, layers, context, .. } => {
                *context as u128 * (*vocabulary as u128 + 16 * *layers as u128 * *width as u128)
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Network::Mlp { sizes, .. } => write!(f, "sizes {sizes:?}"),
            Network::Cnn { channels, kernel, image, fc, .. } => {
                write!(f, "channels {channels:?}, kernel {kernel}, image {image}, fc {fc:?}")
            }
            Network::Gpt { vocabulary, width, heads, layers, context } => {
                write!(f, "vocab {vocabulary}, d {width}, heads {heads}, layers {layers}, ctx {context}")
            }
        }
    }
}
