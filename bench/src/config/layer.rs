//! `[[model.layers]]`: layers whose inputs are what the layer before gives.

use ad_core::ops::{Attention, Pooling, Window};
use nn::{
    Activation, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, Flatten, GroupNorm, LayerNorm, Linear,
    Lstm, Pool2d, RmsNorm, SelfAttention, Sequential,
};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::by_name;
use super::error::ConfigError;
use super::model::named;
use super::read::Reader;

/// One layer, but for the shape of its input.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Layer {
    /// A fully connected layer on the last axis.
    Linear(Linears),
    /// A convolution of images (channels, height, width).
    Conv2d(Convolution),
    /// A convolution of sequences (channels, length).
    Conv1d(Convolution),
    /// The greatest of each window of an image.
    MaxPool2d(Window2d),
    /// The mean of each window of an image.
    AvgPool2d(Window2d),
    /// The greatest of each channel.
    GlobalMaxPool2d,
    /// The mean of each channel.
    GlobalAvgPool2d,
    /// All axes as one.
    Flatten,
    /// Layer normalisation over the last axis.
    LayerNorm,
    /// Root-mean-square normalisation over the last axis.
    RmsNorm,
    /// Normalisation of groups of channels.
    GroupNorm(Groups),
    /// Normalisation of channels over the mini-batch.
    BatchNorm,
    /// Numbers dropped at random in training.
    Dropout(Share),
    /// Long short-term memory on (steps, numbers).
    Lstm(Memory),
    /// A table of vectors looked up by character.
    Embedding(Vectors),
    /// Multi-head self-attention on (positions, width).
    SelfAttention(Heads),
    /// An elementwise function.
    Activation(Function),
    /// The input added to what layers make of it.
    Residual(Inner),
}

/// Settings of a fully connected layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linears {
    /// Numbers of the output.
    pub outputs: usize,
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
}

/// Settings of pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window2d {
    /// Height and width of the windows.
    pub kernel: usize,
    /// Places from one window to the next; the kernel's size by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<usize>,
    /// Places around the image.
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

/// Layers within a layer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inner {
    /// First to last.
    pub layers: Vec<Layer>,
}

fn one() -> usize {
    1
}

const KINDS: &[&str] = &[
    "linear",
    "conv2d",
    "conv1d",
    "max_pool2d",
    "avg_pool2d",
    "global_max_pool2d",
    "global_avg_pool2d",
    "flatten",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "batch_norm",
    "dropout",
    "lstm",
    "embedding",
    "self_attention",
    "activation",
    "residual",
];

/// The most that a size of a layer may be.
const LARGEST: usize = 1 << 24;

/// The key that says what a layer is.
const KIND: &[&str] = &["kind"];

impl Layer {
    /// The layers of a list.
    pub(super) fn read_list(value: Value, reader: Reader<'_>) -> Result<Vec<Layer>, ConfigError> {
        let layers = reader.list(value)?;
        let read = |(i, layer)| reader.below(&format!("[{i}]"), |reader| Layer::read(reader.table(layer)?, reader));
        layers.into_iter().enumerate().map(read).collect()
    }

    fn read(mut table: Table, reader: Reader<'_>) -> Result<Layer, ConfigError> {
        let plain = |layer, table: Table| reader.only(&table, KIND).map(|()| layer);
        let sizes: Vec<(String, i64)> =
            table.iter().filter_map(|(key, value)| value.as_integer().map(|n| (key.clone(), n))).collect();
        let layer = match reader.kind(&mut table, "kind", KINDS, None)? {
            "linear" => Layer::Linear(reader.settings_beside(table, KIND)?),
            "conv2d" => Layer::Conv2d(reader.settings_beside(table, KIND)?),
            "conv1d" => Layer::Conv1d(reader.settings_beside(table, KIND)?),
            "max_pool2d" => Layer::MaxPool2d(reader.settings_beside(table, KIND)?),
            "avg_pool2d" => Layer::AvgPool2d(reader.settings_beside(table, KIND)?),
            "global_max_pool2d" => plain(Layer::GlobalMaxPool2d, table)?,
            "global_avg_pool2d" => plain(Layer::GlobalAvgPool2d, table)?,
            "flatten" => plain(Layer::Flatten, table)?,
            "layer_norm" => plain(Layer::LayerNorm, table)?,
            "rms_norm" => plain(Layer::RmsNorm, table)?,
            "group_norm" => Layer::GroupNorm(reader.settings_beside(table, KIND)?),
            "batch_norm" => plain(Layer::BatchNorm, table)?,
            "dropout" => {
                let share: Share = reader.settings_beside(table, KIND)?;
                if !(0.0..=1.0).contains(&share.p) {
                    return Err(reader.complaint_at("p", format!("found {}, expected a number from 0 to 1", share.p)));
                }
                Layer::Dropout(share)
            }
            "lstm" => Layer::Lstm(reader.settings_beside(table, KIND)?),
            "embedding" => Layer::Embedding(reader.settings_beside(table, KIND)?),
            "self_attention" => Layer::SelfAttention(reader.settings_beside(table, KIND)?),
            "activation" => Layer::Activation(reader.settings_beside(table, KIND)?),
            _ => {
                reader.only(&table, &["layers", "kind"])?;
                let Some(layers) = table.remove("layers") else {
                    return Err(reader.complaint("missing key layers: expected a list of layers"));
                };
                Layer::Residual(Inner { layers: reader.below("layers", |reader| Layer::read_list(layers, reader))? })
            }
        };
        // A share may be a whole number, too.
        for (key, size) in sizes.into_iter().filter(|(key, _)| key != "p") {
            let least = i64::from(key != "padding");
            if !(least..=LARGEST as i64).contains(&size) {
                let expected = format!("found {size}, expected a whole number from {least} to {LARGEST}");
                return Err(reader.complaint_at(&key, expected));
            }
        }
        Ok(layer)
    }

    /// Layers on samples of a shape, which becomes that of their output; `vocabulary` is the number of distinct characters, 0 where the
    /// data are no text, and `place` names the layers in errors.
    pub(super) fn build_all(
        layers: &[Layer],
        shape: &mut Vec<usize>,
        vocabulary: usize,
        place: &str,
    ) -> Result<Vec<nn::Layer>, String> {
        let build = |(i, layer): (usize, &Layer)| {
            let place = format!("{place}[{i}]");
            layer.build(shape, vocabulary, &place)
        };
        layers.iter().enumerate().map(build).collect()
    }

    fn build(&self, shape: &mut Vec<usize>, vocabulary: usize, place: &str) -> Result<nn::Layer, String> {
        let found = shape.clone();
        let misfit = |expected: &str| format!("{place}: found an input of shape {found:?}, expected {expected}");
        let last = found.last().copied().ok_or_else(|| misfit("an axis"));
        let image = match found[..] {
            [channels, height, width] => Ok((channels, [height, width])),
            _ => Err(misfit("[channels, height, width]")),
        };
        Ok(match self {
            Layer::Linear(Linears { outputs }) => {
                let inputs = last?;
                shape.pop();
                shape.push(*outputs);
                Linear::new(inputs, *outputs).into()
            }
            Layer::Conv2d(conv) => {
                let (channels, size) = image?;
                conv.grouped(channels).map_err(|expected| misfit(&expected))?;
                let window = Window::square(conv.stride, conv.padding, conv.dilation);
                let places =
                    window.places(size, [conv.kernel; 2]).ok_or_else(|| misfit("an image as large as the kernel"))?;
                *shape = vec![conv.outputs, places[0], places[1]];
                Conv2d::new(channels, conv.outputs, conv.kernel).window(window).groups(conv.groups).into()
            }
            Layer::Conv1d(conv) => {
                let [channels, length] = found[..] else { return Err(misfit("[channels, length]")) };
                conv.grouped(channels).map_err(|expected| misfit(&expected))?;
                let window =
                    Window { stride: [1, conv.stride], padding: [0, conv.padding], dilation: [1, conv.dilation] };
                let places = window.places([1, length], [1, conv.kernel]);
                let places = places.ok_or_else(|| misfit("a sequence as long as the kernel"))?;
                *shape = vec![conv.outputs, places[1]];
                let steps = [conv.stride, conv.padding, conv.dilation];
                Conv1d::new(channels, conv.outputs, conv.kernel, steps).groups(conv.groups).into()
            }
            Layer::MaxPool2d(window) | Layer::AvgPool2d(window) => {
                let (channels, size) = image?;
                let stride = window.stride.unwrap_or(window.kernel);
                let windows = Pooling { kernel: [window.kernel; 2], window: Window::square(stride, window.padding, 1) };
                if 2 * window.padding > window.kernel {
                    return Err(format!(
                        "{place}: found a padding of {}, expected at most half the kernel",
                        window.padding
                    ));
                }
                let pool =
                    if matches!(self, Layer::MaxPool2d(_)) { Pool2d::Max(windows) } else { Pool2d::Mean(windows) };
                let places = pool.places(size).ok_or_else(|| misfit("an image as large as the window"))?;
                *shape = vec![channels, places[0], places[1]];
                pool.into()
            }
            Layer::GlobalMaxPool2d | Layer::GlobalAvgPool2d => {
                *shape = vec![image?.0];
                if matches!(self, Layer::GlobalMaxPool2d) { Pool2d::GlobalMax } else { Pool2d::GlobalMean }.into()
            }
            Layer::Flatten => {
                *shape = vec![found.iter().product()];
                Flatten.into()
            }
            Layer::LayerNorm => LayerNorm::new(last?).into(),
            Layer::RmsNorm => RmsNorm::new(last?).into(),
            Layer::GroupNorm(Groups { groups }) => {
                let channels = found.first().copied().ok_or_else(|| misfit("an axis"))?;
                if !channels.is_multiple_of(*groups) {
                    return Err(misfit(&format!("channels that {groups} groups divide")));
                }
                GroupNorm::new(*groups, channels).into()
            }
            Layer::BatchNorm => match found[..] {
                [channels] | [channels, _] => BatchNorm1d::new(channels).into(),
                [channels, _, _] => BatchNorm2d::new(channels).into(),
                _ => return Err(misfit("[channels], [channels, length] or [channels, height, width]")),
            },
            Layer::Dropout(Share { p }) => Dropout::new(*p).into(),
            Layer::Lstm(Memory { hidden, layers, last }) => {
                let [steps, inputs] = found[..] else { return Err(misfit("[steps, numbers]")) };
                *shape = if *last { vec![*hidden] } else { vec![steps, *hidden] };
                let lstm = Lstm::new(inputs, *hidden).layers(*layers);
                if *last { lstm.last() } else { lstm }.into()
            }
            Layer::Embedding(Vectors { size }) => {
                if vocabulary == 0 {
                    return Err(format!("{place}: found numbers, expected a text to look characters up"));
                }
                shape.push(*size);
                Embedding::new(vocabulary, *size).into()
            }
            Layer::SelfAttention(Heads { heads, causal }) => {
                let [_, width] = found[..] else { return Err(misfit("[positions, width]")) };
                if !width.is_multiple_of(*heads) {
                    return Err(misfit(&format!("a width that {heads} heads divide")));
                }
                SelfAttention::new(width, if *causal { Attention::causal(*heads) } else { Attention::new(*heads) })
                    .into()
            }
            Layer::Activation(Function { name }) => (*name).into(),
            Layer::Residual(Inner { layers }) => {
                let inner = Layer::build_all(layers, shape, vocabulary, &format!("{place}.layers"))?;
                if *shape != found {
                    return Err(format!(
                        "{place}: found inner layers that make {shape:?} of {found:?}, expected the same shape"
                    ));
                }
                nn::Residual::new(nn::Layer::from(Sequential::new(inner))).into()
            }
        })
    }
}

impl Convolution {
    /// Whether the groups divide the channels, or what is expected.
    fn grouped(&self, channels: usize) -> Result<(), String> {
        let groups = self.groups;
        match channels.is_multiple_of(groups) && self.outputs.is_multiple_of(groups) {
            true => Ok(()),
            false => Err(format!("channels that {groups} groups divide, as must the {} outputs", self.outputs)),
        }
    }
}
