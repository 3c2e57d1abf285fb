//! `[[model.layers]]`: layers whose inputs are what the layer before gives.

mod build;
mod settings;
#[cfg(test)]
mod tests;

use serde::Serialize;
use toml::{Table, Value};

use settings::{Between, Convolution, Function, Groups, Heads, Inner, Linears, Memory, Share, Vectors, Windows};

use super::error::ConfigError;
use super::limits::{LARGEST, MOST_LAYERS, MOST_PIXELS, misfit};
use super::read::Reader;

pub(super) use build::{Given, build_all};

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
    MaxPool2d(Windows),
    /// The mean of each window of an image.
    AvgPool2d(Windows),
    /// The greatest of each window of a sequence.
    MaxPool1d(Windows),
    /// The mean of each window of a sequence.
    AvgPool1d(Windows),
    /// The greatest of each channel of a sequence.
    GlobalMaxPool1d,
    /// The mean of each channel of a sequence.
    GlobalAvgPool1d,
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
    /// Learned positions added to (positions, width).
    Positions,
    /// The input, or what other layers make of it, added to what layers make of it.
    Residual(Inner),
    /// An embedding, layers, and an output layer of the embedding's weights.
    TiedEmbedding(Between),
}

const KINDS: &[&str] = &[
    "linear",
    "conv2d",
    "conv1d",
    "max_pool2d",
    "avg_pool2d",
    "max_pool1d",
    "avg_pool1d",
    "global_max_pool1d",
    "global_avg_pool1d",
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
    "positions",
    "residual",
    "tied_embedding",
];

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
        // A share and a gain may be whole numbers, too.
        let sized = table.iter().filter(|(key, _)| !["p", "gain"].contains(&key.as_str()));
        let numbers: Vec<_> = sized.filter_map(|(key, value)| value.as_integer().map(|n| (key.clone(), n))).collect();
        let layer = match reader.kind(&mut table, "kind", KINDS, None)? {
            "linear" => Layer::Linear(reader.settings_beside(table, KIND)?),
            "conv2d" => Layer::Conv2d(reader.settings_beside(table, KIND)?),
            "conv1d" => Layer::Conv1d(reader.settings_beside(table, KIND)?),
            "max_pool2d" => Layer::MaxPool2d(reader.settings_beside(table, KIND)?),
            "avg_pool2d" => Layer::AvgPool2d(reader.settings_beside(table, KIND)?),
            "max_pool1d" => Layer::MaxPool1d(reader.settings_beside(table, KIND)?),
            "avg_pool1d" => Layer::AvgPool1d(reader.settings_beside(table, KIND)?),
            "global_max_pool1d" => plain(Layer::GlobalMaxPool1d, table)?,
            "global_avg_pool1d" => plain(Layer::GlobalAvgPool1d, table)?,
            "global_max_pool2d" => plain(Layer::GlobalMaxPool2d, table)?,
            "global_avg_pool2d" => plain(Layer::GlobalAvgPool2d, table)?,
            "flatten" => plain(Layer::Flatten, table)?,
            "layer_norm" => plain(Layer::LayerNorm, table)?,
            "rms_norm" => plain(Layer::RmsNorm, table)?,
            "group_norm" => Layer::GroupNorm(reader.settings_beside(table, KIND)?),
            "batch_norm" => plain(Layer::BatchNorm, table)?,
            "dropout" => Layer::Dropout(reader.settings_beside(table, KIND)?),
            "lstm" => Layer::Lstm(reader.settings_beside(table, KIND)?),
            "embedding" => Layer::Embedding(reader.settings_beside(table, KIND)?),
            "self_attention" => Layer::SelfAttention(reader.settings_beside(table, KIND)?),
            "activation" => Layer::Activation(reader.settings_beside(table, KIND)?),
            "positions" => plain(Layer::Positions, table)?,
            "residual" => {
                reader.only(&table, &["layers", "shortcut", "kind"])?;
                let layers = Layer::read_inner(&mut table, reader)?;
                let shortcut = match table.remove("shortcut") {
                    Some(layers) => reader.below("shortcut", |reader| Layer::read_list(layers, reader))?,
                    None => Vec::new(),
                };
                Layer::Residual(Inner { layers, shortcut })
            }
            _ => {
                reader.only(&table, &["size", "layers", "kind"])?;
                let layers = Layer::read_inner(&mut table, reader)?;
                let Vectors { size } = reader.settings(table)?;
                Layer::TiedEmbedding(Between { size, layers })
            }
        };
        for (key, n) in numbers {
            let (least, most) = match key.as_str() {
                "padding" => (0, MOST_PIXELS),
                "kernel" | "stride" | "dilation" => (1, MOST_PIXELS),
                "layers" => (1, MOST_LAYERS),
                _ => (1, LARGEST),
            };
            // Negative ones have been refused as no sizes at all.
            if let Some(message) = usize::try_from(n).ok().and_then(|n| misfit(n, least, most)) {
                return Err(reader.complaint_at(&key, message));
            }
        }
        layer.check(reader)?;
        Ok(layer)
    }

    /// The layers within a layer.
    fn read_inner(table: &mut Table, reader: Reader<'_>) -> Result<Vec<Layer>, ConfigError> {
        match table.remove("layers") {
            Some(layers) => reader.below("layers", |reader| Layer::read_list(layers, reader)),
            None => Err(reader.complaint("missing key layers: expected a list of layers")),
        }
    }

    /// How many layers it stands for, those within it included.
    pub(super) fn count(&self) -> usize {
        let all = |layers: &[Layer]| layers.iter().map(Layer::count).sum::<usize>();
        match self {
            Layer::Lstm(Memory { layers, .. }) => *layers,
            Layer::Residual(Inner { layers, shortcut }) => 1 + all(layers) + all(shortcut),
            Layer::TiedEmbedding(Between { layers, .. }) => 1 + all(layers),
            _ => 1,
        }
    }

    /// Refuses numbers that make no sense.
    fn check(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        match self {
            Layer::Dropout(Share { p }) if !(0.0..=1.0).contains(p) => {
                Err(reader.complaint_at("p", format!("found {p}, expected a number from 0 to 1")))
            }
            Layer::Linear(Linears { gain, .. })
            | Layer::Conv1d(Convolution { gain, .. })
            | Layer::Conv2d(Convolution { gain, .. })
                if !(0.0..=1e6).contains(gain) =>
            {
                Err(reader.complaint_at("gain", format!("found {gain}, expected a number from 0 to 1000000")))
            }
            _ => Ok(()),
        }
    }
}
