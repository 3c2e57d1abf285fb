//! `[model]`: the network, whose inputs and outputs are those of the data.

use ad_core::Real;
use ad_core::ops::{Pooling, Window};
use nn::models::{Cnn as CnnNet, Gpt as GptNet, Norm, ResNet};
use nn::{Activation, Mlp as MlpNet, Net, Pool2d, Sequential};
use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

use super::by_name;
use super::error::ConfigError;
use super::layer::{self, Layer};
use super::limits::{self, LARGEST, MOST_LAYERS, MOST_NUMBERS, MOST_PIXELS};
use super::read::Reader;

/// A network, but for its inputs and outputs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Model {
    /// Fully connected layers.
    Mlp(Mlp),
    /// Convolutions, then fully connected layers, on square images.
    Cnn(Cnn),
    /// A residual network on images.
    Resnet(Resnet),
    /// A decoder of characters.
    Gpt(Gpt),
    /// Any layers one after another.
    Layers {
        /// First to last.
        layers: Vec<Layer>,
    },
}

/// Settings of fully connected layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mlp {
    /// Sizes of the hidden layers, first to last.
    pub hidden: Vec<usize>,
    /// Their activation.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub act: Activation,
}

/// Settings of the convolutional network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cnn {
    /// Channels of each convolution.
    pub channels: Vec<usize>,
    /// Height and width of the kernels.
    pub kernel: usize,
    /// Their stride.
    pub stride: usize,
    /// Zeros around the images.
    pub padding: usize,
    /// The pooling of 2 × 2 pixels after each convolution: max, avg or none.
    pub pool: PoolName,
    /// Sizes of the hidden fully connected layers.
    pub hidden: Vec<usize>,
    /// The activation.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub act: Activation,
}

/// A pooling by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolName {
    /// The greatest.
    Max,
    /// The mean.
    Avg,
    /// No pooling.
    None,
}

/// Settings of the residual network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resnet {
    /// Channels of each stage; each but the first halves height and width.
    pub widths: Vec<usize>,
    /// Blocks of a stage.
    pub blocks: usize,
    /// Groups of channels that are normalised together, sample by sample; 0: each channel over the mini-batch.
    pub groups: usize,
    /// The activation.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub act: Activation,
}

/// Settings of the decoder, whose positions are those of the data's windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gpt {
    /// Width of the blocks.
    pub width: usize,
    /// Heads of each attention; a divisor of the width.
    pub heads: usize,
    /// Number of blocks.
    pub blocks: usize,
    /// Whether the output layer has the weights of the embedding.
    pub tied: bool,
    /// The probability with which numbers are dropped in training.
    pub dropout: f64,
    /// The activation.
    #[serde(serialize_with = "by_name", deserialize_with = "named")]
    pub act: Activation,
}

/// Reads an activation by its name.
pub(super) fn named<'de, D: Deserializer<'de>>(from: D) -> Result<Activation, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

impl Default for Mlp {
    fn default() -> Self {
        Mlp { hidden: vec![128, 128], act: Activation::Tanh }
    }
}

impl Default for Cnn {
    fn default() -> Self {
        Cnn {
            channels: vec![16, 32],
            kernel: 5,
            stride: 1,
            padding: 0,
            pool: PoolName::Max,
            hidden: vec![128],
            act: Activation::Relu,
        }
    }
}

impl Default for Resnet {
    fn default() -> Self {
        Resnet { widths: vec![16, 32, 64], blocks: 1, groups: 0, act: Activation::Relu }
    }
}

impl Default for Gpt {
    fn default() -> Self {
        Gpt { width: 128, heads: 4, blocks: 2, tied: false, dropout: 0.0, act: Activation::GeluTanh }
    }
}

impl Default for Model {
    fn default() -> Self {
        Model::Mlp(Mlp::default())
    }
}

/// What a network reads and gives: told by the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ends<'a> {
    /// Shape of a sample.
    pub item: &'a [usize],
    /// Numbers of an output: classes, characters or values.
    pub outputs: usize,
    /// Whether the numbers of a sample are characters, as many distinct ones as there are outputs.
    pub is_text: bool,
}

impl Model {
    pub(super) fn read(mut table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
        let model = match reader.kind(&mut table, "kind", &["mlp", "cnn", "resnet", "gpt", "layers"], Some("mlp"))? {
            "mlp" => Model::Mlp(reader.settings_beside(table, &["kind"])?),
            "cnn" => Model::Cnn(reader.settings_beside(table, &["kind"])?),
            "resnet" => Model::Resnet(reader.settings_beside(table, &["kind"])?),
            "gpt" => Model::Gpt(reader.settings_beside(table, &["kind"])?),
            _ => {
                reader.only(&table, &["layers", "kind"])?;
                let Some(layers) = table.remove("layers") else {
                    return Err(reader.complaint("missing key layers: expected a list of layers"));
                };
                Model::Layers { layers: reader.below("layers", |reader| Layer::read_list(layers, reader))? }
            }
        };
        model.check().map_err(|(key, message)| reader.complaint_at(key, message))?;
        Ok(model)
    }

    /// The setting that makes no sense, and why.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        let sizes = |key, sizes: &[usize]| match sizes.iter().position(|n| !(1..=LARGEST).contains(n)) {
            Some(i) => Err((key, format!("found {} at place {i}, expected sizes from 1 to {LARGEST}", sizes[i]))),
            None => Ok(()),
        };
        let size = |key, size: usize, least, most| match limits::misfit(size, least, most) {
            Some(message) => Err((key, message)),
            None => Ok(()),
        };
        let (key, layers) = match self {
            Model::Mlp(Mlp { hidden, .. }) => ("hidden", hidden.len()),
            Model::Cnn(Cnn { channels, hidden, .. }) => ("channels", channels.len() + hidden.len()),
            Model::Resnet(Resnet { widths, blocks, .. }) => ("blocks", widths.len().saturating_mul(*blocks)),
            Model::Gpt(Gpt { blocks, .. }) => ("blocks", *blocks),
            Model::Layers { layers } => ("layers", layers.iter().map(Layer::count).sum()),
        };
        if layers > MOST_LAYERS {
            return Err((key, format!("found {layers} layers or blocks in all, expected at most {MOST_LAYERS}")));
        }
        match self {
            Model::Mlp(Mlp { hidden, .. }) => sizes("hidden", hidden),
            Model::Cnn(Cnn { channels, hidden, kernel, stride, padding, .. }) => {
                sizes("channels", channels)?;
                sizes("hidden", hidden)?;
                size("kernel", *kernel, 1, MOST_PIXELS)?;
                size("stride", *stride, 1, MOST_PIXELS)?;
                size("padding", *padding, 0, MOST_PIXELS)?;
                match channels.is_empty() {
                    true => Err(("channels", "found none, expected those of one convolution at least".to_owned())),
                    false => Ok(()),
                }
            }
            Model::Resnet(Resnet { widths, blocks, groups, .. }) => {
                sizes("widths", widths)?;
                size("blocks", *blocks, 1, MOST_LAYERS)?;
                match widths.iter().find(|width| *groups > 0 && !width.is_multiple_of(*groups)) {
                    _ if widths.is_empty() => {
                        Err(("widths", "found none, expected that of one stage at least".to_owned()))
                    }
                    Some(width) => Err(("groups", format!("found {groups}, expected a divisor of the width {width}"))),
                    None => Ok(()),
                }
            }
            Model::Gpt(Gpt { dropout, .. }) if !(0.0..=1.0).contains(dropout) => {
                Err(("dropout", format!("found {dropout}, expected a number from 0 to 1")))
            }
            Model::Gpt(Gpt { width, heads, blocks, .. }) => {
                size("width", *width, 1, LARGEST)?;
                size("heads", *heads, 1, LARGEST)?;
                size("blocks", *blocks, 1, MOST_LAYERS)?;
                match width.is_multiple_of(*heads) {
                    true => Ok(()),
                    false => Err(("heads", format!("found {heads}, expected a divisor of the width {width}"))),
                }
            }
            Model::Layers { .. } => Ok(()),
        }
    }

    /// The sizes of hidden fully connected layers, where the network has such.
    pub fn hidden(&mut self) -> Option<&mut Vec<usize>> {
        match self {
            Model::Mlp(Mlp { hidden, .. }) | Model::Cnn(Cnn { hidden, .. }) => Some(hidden),
            Model::Resnet(_) | Model::Gpt(_) | Model::Layers { .. } => None,
        }
    }

    /// The activation, where the network has one.
    pub fn act(&mut self) -> Option<&mut Activation> {
        match self {
            Model::Mlp(Mlp { act, .. })
            | Model::Cnn(Cnn { act, .. })
            | Model::Resnet(Resnet { act, .. })
            | Model::Gpt(Gpt { act, .. }) => Some(act),
            Model::Layers { .. } => None,
        }
    }

    /// Whether a sample is to be given to the network as one row of numbers.
    pub fn reads_rows(&self) -> bool {
        matches!(self, Model::Mlp(_))
    }

    /// The network for data of these ends, or what does not fit.
    ///
    /// # Errors
    /// If the data are of another kind than the network reads, or sizes do not fit; the message says what was found and expected.
    pub fn build<T: Real>(&self, ends: &Ends<'_>) -> Result<Box<dyn Net<T>>, String> {
        let net = self.unchecked::<T>(ends)?;
        let size = |shape: &[usize]| shape.iter().map(|n| *n as u128).product::<u128>();
        let parameters: u128 = net.parameters().iter().map(|p| size(&p.shape)).sum();
        match parameters <= MOST_NUMBERS as u128 {
            true => Ok(net),
            false => Err(format!("found {parameters} parameters, expected at most {MOST_NUMBERS}")),
        }
    }

    fn unchecked<T: Real>(&self, ends: &Ends<'_>) -> Result<Box<dyn Net<T>>, String> {
        match self {
            Model::Mlp(Mlp { hidden, act }) => {
                no_text(ends, "mlp")?;
                let inputs = ends.item.iter().product();
                Ok(Box::new(MlpNet::new(&[&[inputs], &hidden[..], &[ends.outputs]].concat(), *act)))
            }
            Model::Cnn(cnn) => cnn.build(ends),
            Model::Resnet(Resnet { widths, blocks, groups, act }) => {
                let ([channels, _, _], false) = (ends.item, ends.is_text) else {
                    return Err(format!(
                        "found samples of shape {:?}, expected [channels, height, width] for resnet; see data.item",
                        ends.item
                    ));
                };
                let norm = if *groups == 0 { Norm::Batch } else { Norm::Group(*groups) };
                Ok(Box::new(ResNet::new(*channels, widths, *blocks, ends.outputs, norm).activation(*act)))
            }
            Model::Gpt(Gpt { width, heads, blocks, tied, dropout, act }) => {
                let ([context], true) = (ends.item, ends.is_text) else {
                    return Err(format!("found samples of shape {:?}, expected a text for gpt", ends.item));
                };
                let net = GptNet::new(ends.outputs, *context, *width, *heads, *blocks, *act).dropout(*dropout);
                Ok(Box::new(if *tied { net.tied() } else { net }))
            }
            Model::Layers { layers } => {
                let mut shape = ends.item.to_vec();
                let given = layer::Given { outputs: ends.outputs, is_text: ends.is_text };
                let built = layer::build_all(layers, &mut shape, given, "layers")?;
                let expected = match ends.is_text {
                    true => [ends.item, &[ends.outputs]].concat(),
                    false => vec![ends.outputs],
                };
                match shape == expected {
                    true => Ok(Box::new(Sequential::new(built))),
                    false => {
                        Err(format!("layers: found an output of shape {shape:?}, expected {expected:?} for these data"))
                    }
                }
            }
        }
    }

    /// A short description for people, such as `64→128→10, tanh`.
    pub fn describe(&self, ends: &Ends<'_>) -> String {
        let chain = |sizes: &[usize]| sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("→");
        match self {
            Model::Mlp(Mlp { hidden, act }) => {
                let inputs = ends.item.iter().product();
                format!("{}, {act}", chain(&[&[inputs], &hidden[..], &[ends.outputs]].concat()))
            }
            Model::Cnn(Cnn { channels, hidden, act, .. }) => {
                format!(
                    "cnn of channels {}, then {}, {act}",
                    chain(channels),
                    chain(&[&hidden[..], &[ends.outputs]].concat())
                )
            }
            Model::Resnet(Resnet { widths, blocks, act, .. }) => {
                format!("resnet of widths {}, {blocks} blocks each, {act}", chain(widths))
            }
            Model::Gpt(Gpt { width, heads, blocks, act, .. }) => {
                format!("gpt of {blocks} blocks, width {width}, {heads} heads, {act}")
            }
            Model::Layers { layers } => format!("{} layers", layers.len()),
        }
    }
}

fn no_text(ends: &Ends<'_>, kind: &str) -> Result<(), String> {
    if ends.is_text { Err(format!("found a text, expected numbers for {kind}; gpt reads text")) } else { Ok(()) }
}

impl Cnn {
    fn build<T: Real>(&self, ends: &Ends<'_>) -> Result<Box<dyn Net<T>>, String> {
        let side = match ends.item {
            [_, height, width] if height == width && !ends.is_text => *height,
            _ => {
                return Err(format!(
                    "found samples of shape {:?}, expected [channels, side, side] for cnn; see data.item",
                    ends.item
                ));
            }
        };
        let pool = match self.pool {
            PoolName::Max => Some(Pool2d::Max(Pooling::square(2))),
            PoolName::Avg => Some(Pool2d::Mean(Pooling::square(2))),
            PoolName::None => None,
        };
        let (channels, window) =
            ([&ends.item[..1], &self.channels].concat(), Window::square(self.stride, self.padding, 1));
        let sizes = [&self.hidden[..], &[ends.outputs]].concat();
        match CnnNet::new(&channels, self.kernel, window, pool, side, &sizes, self.act) {
            Some(net) => Ok(Box::new(net)),
            None => Err(format!("found images of {side} pixels, which become smaller than a kernel or a pool")),
        }
    }
}
