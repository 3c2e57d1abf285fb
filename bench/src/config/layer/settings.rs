//! The settings of each kind of layer.

use nn::Activation;
use serde::{Deserialize, Serialize};

use super::Layer;
use crate::config::by_name;
use crate::config::model::named;

/// Settings of a fully connected layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linears {
    /// Numbers of the output; as many as the data ask of the network by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
    /// The standard deviation with which the weight starts, times the root of the inputs.
    #[serde(default = "unit")]
    pub gain: f64,
}

/// Settings of a convolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// Channels of the output.
    pub outputs: usize,
    /// Size of the kernel along each axis.
    pub kernel: usize,
    /// Places from one window to the next.
    #[serde(default = "one")]
    pub stride: usize,
    /// Zeros around the input.
    #[serde(default)]
    pub padding: usize,
    /// Places from one element of the kernel to the next.
    #[serde(default = "one")]
    pub dilation: usize,
    /// Groups of channels that do not see each other.
    #[serde(default = "one")]
    pub groups: usize,
    /// Whether a bias is added.
    #[serde(default = "yes")]
    pub bias: bool,
    /// The standard deviation with which the weight starts, times the root of the numbers that an output is made of.
    #[serde(default = "unit")]
    pub gain: f64,
}

/// Settings of pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Windows {
    /// Size of the windows along each axis.
    pub kernel: usize,
    /// Places from one window to the next; the kernel's size by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Places around the input.
    #[serde(default)]
    pub padding: usize,
}

/// Settings of group normalisation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// Groups; divides the channels.
    pub groups: usize,
}

/// Settings of dropout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The probability with which a number is dropped.
    pub p: f64,
}

/// Settings of long short-term memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Numbers of the hidden state.
    pub hidden: usize,
    /// Layers.
    #[serde(default = "one")]
    pub layers: usize,
    /// Whether the output is the last step's alone.
    #[serde(default)]
    pub last: bool,
}

/// Settings of an embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// Numbers of a vector.
    pub size: usize,
}

/// Settings of attention.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Heads {
    /// Heads; divides the width.
    pub heads: usize,
    /// Whether a position sees only itself and those before it.
    #[serde(default)]
    pub causal: bool,
}

/// Which elementwise function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Its name.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub name: Activation,
}

/// A way through layers and one around them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inner {
    /// First to last.
    pub layers: Vec<Layer>,
    /// What is added is made of the input by these; it is the input itself if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shortcut: Vec<Layer>,
}

/// Layers between an embedding and an output layer of its weights.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Between {
    /// Numbers of a vector of the embedding.
    pub size: usize,
    /// First to last.
    pub layers: Vec<Layer>,
}

fn one() -> usize {
    1
}

fn unit() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}
