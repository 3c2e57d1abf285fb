//! From settings to layers: each takes the shape of what comes before.

use ad_core::ops::{Attention, Pooling, Window};
use nn::{
    BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, Flatten, GroupNorm, Init, LayerNorm, Linear, Lstm,
    Pool1d, Pool2d, Positions, Residual, RmsNorm, SelfAttention, Sequential, Tied,
};

use super::Layer;
use super::settings::{Between, Convolution, Function, Groups, Heads, Inner, Linears, Memory, Share, Vectors, Windows};
use crate::config::limits::{MOST_NUMBERS, fits};

/// What layers are told by the data.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Given {
    /// Numbers of an output of the network.
    pub(in crate::config) outputs: usize,
    /// Whether the input is a text's characters, as many distinct ones as there are outputs.
    pub(in crate::config) is_text: bool,
}

impl Given {
    /// The number of distinct characters.
    fn vocabulary(self, place: &str) -> Result<usize, String> {
        match self.is_text {
            true => Ok(self.outputs),
            false => Err(format!("{place}: found numbers, expected a text's characters, to look them up")),
        }
    }
}

/// Layers on samples of a shape, which becomes that of their output; `place` names the layers in errors.
pub(in crate::config) fn build_all(
    layers: &[Layer],
    shape: &mut Vec<usize>,
    mut given: Given,
    place: &str,
) -> Result<Vec<nn::Layer>, String> {
    let build = |(i, layer): (usize, &Layer)| {
        let place = format!("{place}[{i}]");
        let built = layer.build(shape, given, &place)?;
        given.is_text &= matches!(layer, Layer::Flatten);
        match fits(shape) {
            true => Ok(built),
            false => {
                Err(format!("{place}: found an output of shape {shape:?}, expected at most {MOST_NUMBERS} numbers"))
            }
        }
    };
    layers.iter().enumerate().map(build).collect()
}

/// Layers one after another as one.
fn sequence(layers: &[Layer], shape: &mut Vec<usize>, given: Given, place: &str) -> Result<nn::Layer, String> {
    Ok(Sequential::new(build_all(layers, shape, given, place)?).into())
}

impl Layer {
    fn build(&self, shape: &mut Vec<usize>, given: Given, place: &str) -> Result<nn::Layer, String> {
        let found = shape.clone();
        let misfit = |expected: &str| format!("{place}: found an input of shape {found:?}, expected {expected}");
        let last = found.last().copied().ok_or_else(|| misfit("an axis"));
        let image = match found[..] {
            [channels, height, width] => Ok((channels, [height, width])),
            _ => Err(misfit("[channels, height, width]")),
        };
        Ok(match self {
            Layer::Linear(Linears { outputs, bias, gain }) => {
                let (inputs, outputs) = (last?, outputs.unwrap_or(given.outputs));
                shape.pop();
                shape.push(outputs);
                let linear = Linear::new(inputs, outputs).weight(Init::KaimingNormal { gain: *gain });
                if *bias { linear } else { linear.without_bias() }.into()
            }
            Layer::Conv2d(conv) => {
                let (channels, size) = image?;
                conv.grouped(channels).map_err(|expected| misfit(&expected))?;
                let window = Window::square(conv.stride, conv.padding, conv.dilation);
                let places =
                    window.places(size, [conv.kernel; 2]).ok_or_else(|| misfit("an image as large as the kernel"))?;
                *shape = vec![conv.outputs, places[0], places[1]];
                let layer = Conv2d::new(channels, conv.outputs, conv.kernel).window(window).groups(conv.groups);
                let layer = layer.weight(Init::KaimingNormal { gain: conv.gain });
                if conv.bias { layer } else { layer.without_bias() }.into()
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
                let layer = Conv1d::new(channels, conv.outputs, conv.kernel, steps).groups(conv.groups);
                let layer = layer.weight(Init::KaimingNormal { gain: conv.gain });
                if conv.bias { layer } else { layer.without_bias() }.into()
            }
            Layer::MaxPool2d(windows) | Layer::AvgPool2d(windows) => {
                let (channels, size) = image?;
                let stride = windows.checked_stride(place)?;
                let window = Window::square(stride, windows.padding, 1);
                let pooling = Pooling { kernel: [windows.kernel; 2], window };
                let takes_most = matches!(self, Layer::MaxPool2d(_));
                let pool = if takes_most { Pool2d::Max(pooling) } else { Pool2d::Mean(pooling) };
                let places = pool.places(size).ok_or_else(|| misfit("an image as large as the window"))?;
                *shape = vec![channels, places[0], places[1]];
                pool.into()
            }
            Layer::MaxPool1d(windows) | Layer::AvgPool1d(windows) => {
                let [channels, length] = found[..] else { return Err(misfit("[channels, length]")) };
                let stride = windows.checked_stride(place)?;
                let takes_most = matches!(self, Layer::MaxPool1d(_));
                let pool = if takes_most { Pool1d::max } else { Pool1d::mean }(windows.kernel, stride, windows.padding);
                let across = pool.places(length).ok_or_else(|| misfit("a sequence as long as the window"))?;
                *shape = vec![channels, across];
                pool.into()
            }
            Layer::GlobalMaxPool1d | Layer::GlobalAvgPool1d => {
                let [channels, _] = found[..] else { return Err(misfit("[channels, length]")) };
                *shape = vec![channels];
                if matches!(self, Layer::GlobalMaxPool1d) { Pool1d::global_max() } else { Pool1d::global_mean() }.into()
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
                let vocabulary = given.vocabulary(place)?;
                shape.push(*size);
                Embedding::new(vocabulary, *size).into()
            }
            Layer::Positions => {
                let [positions, width] = found[..] else { return Err(misfit("[positions, width]")) };
                Positions::new(positions, width).into()
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
            Layer::Residual(Inner { layers, shortcut }) => {
                let inner = sequence(layers, shape, given, &format!("{place}.layers"))?;
                let mut added = found.clone();
                let around = match shortcut.is_empty() {
                    true => None,
                    false => Some(sequence(shortcut, &mut added, given, &format!("{place}.shortcut"))?),
                };
                if *shape != added {
                    let expected =
                        if shortcut.is_empty() { "the same shape, or a shortcut" } else { "the same of both" };
                    return Err(format!(
                        "{place}: found inner layers that make {shape:?} of {found:?}, to be added to {added:?}, expected {expected}"
                    ));
                }
                let residual = Residual::new(inner);
                match around {
                    Some(around) => residual.around(around),
                    None => residual,
                }
                .into()
            }
            Layer::TiedEmbedding(Between { size, layers }) => {
                let vocabulary = given.vocabulary(place)?;
                let rows = [&found[..], &[*size]].concat();
                *shape = rows.clone();
                let given = Given { is_text: false, ..given };
                let inner = sequence(layers, shape, given, &format!("{place}.layers"))?;
                if *shape != rows {
                    return Err(format!(
                        "{place}: found inner layers that make {shape:?} of {rows:?}, expected the same shape"
                    ));
                }
                *shape = [&found[..], &[vocabulary]].concat();
                Tied::new(Embedding::new(vocabulary, *size), inner).into()
            }
        })
    }
}

impl Windows {
    /// Places from one window to the next, if the padding is one that windows may have.
    fn checked_stride(&self, place: &str) -> Result<usize, String> {
        match 2 * self.padding > self.kernel {
            true => Err(format!("{place}: found a padding of {}, expected at most half the kernel", self.padding)),
            false => Ok(self.stride.unwrap_or(self.kernel)),
        }
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
