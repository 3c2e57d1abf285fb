//! What a reference model is: read from its name or from a JSON object.

mod error;
mod keys;
mod network;
#[cfg(test)]
mod tests;

use ad_core::Real;
use ad_core::ops::Pooling;
use nn::data::Targets;
use nn::{Activation, Loss, Net, ParameterSpec, Pool2d};
use serde_json::Value;

pub use error::SpecError;
pub use network::Network;

use crate::suggest::hint;
use keys::{Keys, choice, count, mismatch, moderate};

/// A network with one batch and a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The name, where it was given by one.
    pub name: Option<String>,
    /// The network.
    pub network: Network,
    /// Rows of the batch, at least one.
    pub batch: usize,
    /// The activation of the hidden layers.
    pub act: Activation,
    /// The loss; cross-entropy takes labels below the number of outputs.
    pub loss: Loss,
    /// The seed of drawn parameters and batch.
    pub seed: u64,
    /// The factor of drawn parameters.
    pub scale: f64,
}

/// The most parameters and activations together: 2³⁰, 8 GiB in `f64`.
pub const MAX_NUMBERS: usize = 1 << 30;

/// The keys that every kind of model has.
const COMMON: [&str; 7] = ["kind", "batch", "act", "loss", "seed", "scale", "timed"];

/// The kinds of models, with the keys of their own.
const KINDS: [(&str, &[&str]); 3] = [
    ("mlp", &["sizes", "act_out"]),
    ("cnn", &["channels", "kernel", "stride", "padding", "pool", "image", "fc"]),
    ("gpt", &["vocab", "d", "heads", "layers", "ctx"]),
];

/// The activations of the reference models; their GELU is the tanh form.
const ACTIVATIONS: [(&str, Activation); 6] = [
    ("tanh", Activation::Tanh),
    ("relu", Activation::Relu),
    ("gelu", Activation::GeluTanh),
    ("sigmoid", Activation::Sigmoid),
    ("softplus", Activation::Softplus),
    ("silu", Activation::Silu),
];

/// The pooling after convolutions, of 2 × 2 pixels.
fn pools() -> [(&'static str, Option<Pool2d>); 3] {
    let windows = Pooling::square(2);
    [("max", Some(Pool2d::Max(windows))), ("avg", Some(Pool2d::Mean(windows))), ("none", None)]
}

/// The losses of the reference models.
fn losses() -> [(&'static str, Loss); 3] {
    [("nsq", Loss::NormSquared), ("mse", Loss::Mse), ("ce", Loss::cross_entropy())]
}

/// The named models.
const MODELS: [(&str, &str); 8] = [
    ("single-layer", r#"{"kind":"mlp","sizes":[784,10],"batch":128,"act":"relu","act_out":true,"loss":"nsq"}"#),
    ("mlp-digits", r#"{"kind":"mlp","sizes":[64,128,128,10],"batch":64,"act":"tanh","loss":"ce"}"#),
    ("mlp-mnist", r#"{"kind":"mlp","sizes":[784,512,256,10],"batch":128,"act":"relu","loss":"ce"}"#),
    ("mlp-wide", r#"{"kind":"mlp","sizes":[1024,1024,1024,1024,10],"batch":32,"act":"gelu","loss":"ce"}"#),
    ("mlp-wide-256", r#"{"kind":"mlp","sizes":[1024,1024,1024,1024,10],"batch":256,"act":"gelu","loss":"ce"}"#),
    (
        "cnn",
        r#"{"kind":"cnn","batch":64,"act":"relu","loss":"ce","channels":[1,16,32],"kernel":5,"image":28,"fc":[128,10]}"#,
    ),
    ("gpt", r#"{"kind":"gpt","batch":16,"vocab":96,"d":128,"heads":4,"layers":2,"ctx":64,"act":"gelu","loss":"ce"}"#),
    (
        "mlp-concave",
        r#"{"kind":"mlp","sizes":[16,24,24,5],"batch":12,"act":"sigmoid","act_out":true,"loss":"mse","scale":4}"#,
    ),
];

fn known_names() -> String {
    MODELS.map(|(name, _)| name).join(", ")
}

/// A kernel's, a stride's or a padding's largest size, and an image's.
const MOST_PIXELS: usize = 1 << 14;
/// The most blocks of a decoder.
const MOST_BLOCKS: usize = 1 << 12;

impl Spec {
    /// The model of this name, or the one that a JSON object describes.
    ///
    /// # Errors
    /// If there is no such model, or the object is not one: the message is one line and names the culprit.
    ///
    /// ```
    /// use bench::reference::Spec;
    /// use nn::Activation;
    /// let spec = Spec::from_name_or_json(r#"{"kind":"mlp","sizes":[8,4],"batch":2,"act":"gelu","loss":"mse"}"#)?;
    /// assert_eq!((spec.parameters(), spec.act, spec.scale), (36, Activation::GeluTanh, 1.0));
    /// assert_eq!(Spec::from_name_or_json("mlp-digits")?.batch, 64);
    /// # Ok::<(), bench::reference::spec::SpecError>(())
    /// ```
    pub fn from_name_or_json(text: &str) -> Result<Spec, SpecError> {
        let text = text.trim();
        if let Some((name, json)) = MODELS.iter().find(|(name, _)| *name == text) {
            return Ok(Spec { name: Some((*name).to_owned()), ..Spec::from_json(json)? });
        }
        if text.starts_with(|c: char| c.is_alphabetic()) {
            return Err(SpecError::UnknownName {
                name: text.to_owned(),
                hint: hint(text, &MODELS.map(|(name, _)| name)),
            });
        }
        Spec::from_json(text)
    }

    fn from_json(json: &str) -> Result<Spec, SpecError> {
        let value: Value = serde_json::from_str(json).map_err(|e| SpecError::Json(e.to_string()))?;
        let Value::Object(map) = value else { return Err(mismatch("the model", &value, "a JSON object")) };
        let keys = Keys(map);
        let own = choice("kind", keys.required("kind")?, &KINDS)?;
        keys.check(&[&COMMON, own].concat())?;
        let network = network(&keys)?;
        let spec = Spec {
            name: None,
            network,
            batch: keys.size("batch")?,
            act: choice("act", keys.required("act")?, &ACTIVATIONS)?,
            loss: choice("loss", keys.required("loss")?, &losses())?,
            seed: keys.optional("seed", 0, |v| v.as_u64(), "a whole number from 0")?,
            scale: keys.optional("scale", 1.0, moderate, "a number between -1e30 and 1e30")?,
        };
        if !matches!(spec.network, Network::Mlp { .. }) && !matches!(spec.loss, Loss::CrossEntropy { .. }) {
            return Err(mismatch("loss", keys.required("loss")?, "ce for this kind of model"));
        }
        spec.network.checked(spec.act).map_err(SpecError::Misfit)?;
        spec.not_too_large()
    }

    /// The same model with another network and batch.
    ///
    /// # Errors
    /// If it has more numbers than [`MAX_NUMBERS`].
    pub(super) fn resized(&self, network: Network, batch: usize) -> Result<Spec, SpecError> {
        Spec { network, batch, ..self.clone() }.not_too_large()
    }

    fn not_too_large(self) -> Result<Spec, SpecError> {
        if self.numbers() <= MAX_NUMBERS as u128 {
            return Ok(self);
        }
        Err(SpecError::TooLarge { what: self.network.to_string(), batch: self.batch })
    }

    /// The network.
    pub fn net<T: Real>(&self) -> Box<dyn Net<T>> {
        self.network.module(self.act)
    }

    /// Names and shapes of the parameters, in order.
    pub fn parameter_specs(&self) -> Vec<ParameterSpec> {
        self.net::<f32>().parameters()
    }

    /// The number of parameters.
    pub fn parameters(&self) -> usize {
        self.parameter_specs().iter().map(|p| p.shape.iter().product::<usize>()).sum()
    }

    /// Shape of the inputs, rows first.
    pub fn input_shape(&self) -> Vec<usize> {
        [vec![self.batch], self.network.item()].concat()
    }

    /// Shape of the labels, rows first: one for each output.
    pub fn label_shape(&self) -> Vec<usize> {
        match self.network {
            Network::Gpt { context, .. } => vec![self.batch, context],
            _ => vec![self.batch],
        }
    }

    /// These labels, one for each output, as targets.
    pub(super) fn targets(&self, labels: Vec<u32>) -> Targets<f64> {
        let classes = self.network.outputs();
        match self.network {
            Network::Gpt { context, .. } => Targets::Sequences { labels, length: context, classes },
            _ => Targets::Classes { labels, classes },
        }
    }

    /// Parameters and activations together.
    fn numbers(&self) -> u128 {
        let size = |p: &ParameterSpec| p.shape.iter().map(|n| *n as u128).product::<u128>();
        let parameters: u128 = self.parameter_specs().iter().map(size).sum();
        parameters + self.batch as u128 * self.network.activations()
    }
}

/// The network that the keys describe.
fn network(keys: &Keys) -> Result<Network, SpecError> {
    let kind = keys.required("kind")?.as_str().unwrap_or_default();
    Ok(match kind {
        "cnn" => Network::Cnn {
            channels: keys.sizes("channels", 1, "a list of at least one number of channels, inputs first")?,
            kernel: keys.size_up_to("kernel", MOST_PIXELS)?,
            stride: keys.optional("stride", 1, |v| count("stride", v).ok(), "a whole number from 1 to 4294967295")?,
            padding: keys.optional("padding", 0, pixels, &format!("a whole number from 0 to {MOST_PIXELS}"))?,
            pool: match keys.0.get("pool") {
                Some(pool) => choice("pool", pool, &pools())?,
                None => Some(Pool2d::Max(Pooling::square(2))),
            },
            image: keys.size_up_to("image", MOST_PIXELS)?,
            fc: keys.sizes("fc", 0, "a list of sizes, outputs last")?,
        },
        "gpt" => Network::Gpt {
            vocabulary: keys.size("vocab")?,
            width: keys.size("d")?,
            heads: keys.size("heads")?,
            layers: keys.count_up_to("layers", MOST_BLOCKS)?,
            context: keys.size("ctx")?,
        },
        _ => Network::Mlp {
            sizes: keys.sizes("sizes", 2, "a list of at least two sizes, inputs first and outputs last")?,
            act_out: keys.optional("act_out", false, |v| v.as_bool(), "true or false")?,
        },
    })
}

fn pixels(value: &Value) -> Option<usize> {
    value.as_u64().filter(|n| *n <= MOST_PIXELS as u64).map(|n| n as usize)
}
