//! The residual network.

use ad_core::Array;
use ad_core::ops::Window;

use crate::init::Init;
use crate::layers::{Activation, BatchNorm2d, Conv2d, GroupNorm, Layer, Linear, Pool2d};
use crate::module::{Architecture, Declarations, Module, Scope};

/// What follows each convolution of a [`ResNet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Batch normalisation, as in the original.
    Batch,
    /// Group normalisation in this number of groups, which divides all widths: a row does not depend on the others of its
    /// batch.
    Group(usize),
}

/// A residual network for small images (batch, channels, height, width), of the design for CIFAR-10 in He et al., arXiv
/// 1512.03385, §4.2, with the names of torchvision's `ResNet`.
///
/// A 3×3 convolution `conv1` with `bn1` and an activation; stages `layer1`, `layer2`, … of basic blocks, each stage but the
/// first starting with stride 2; the mean of each image; and a linear layer `fc`. A block is
/// σ(`bn2`(`conv2`(σ(`bn1`(`conv1` x)))) + s), of 3×3 convolutions, with s the input or, where its shape changes, a 1×1
/// convolution `downsample.0` and normalisation `downsample.1` of it. Convolutions have no bias; σ is
/// ReLU, or another [activation](ResNet::activation).
#[derive(Clone, Debug, PartialEq)]
pub struct ResNet {
    conv: Conv2d,
    norm: Layer,
    stages: Vec<Vec<Block>>,
    head: Linear,
    act: Activation,
}

/// Two convolutions and a way around them.
#[derive(Clone, Debug, PartialEq)]
struct Block {
    convs: [Conv2d; 2],
    norms: [Layer; 2],
    shortcut: Option<(Conv2d, Layer)>,
    act: Activation,
}

impl Norm {
    #[track_caller]
    fn layer(self, channels: usize) -> Layer {
        match self {
            Norm::Batch => BatchNorm2d::new(channels).into(),
            Norm::Group(groups) => GroupNorm::new(groups, channels).into(),
        }
    }
}

impl ResNet {
    /// A network of `blocks` blocks a stage, a stage for each width, for images of these many channels.
    ///
    /// Three stages of 16, 32 and 64 channels with n blocks are ResNet-(6n + 2).
    ///
    /// # Panics
    /// If there are no widths or blocks, or groups of normalisation do not divide a width.
    #[track_caller]
    pub fn new(channels: usize, widths: &[usize], blocks: usize, classes: usize, norm: Norm) -> Self {
        let (&[first, ..], &[.., last]) = (widths, widths) else { panic!("a resnet needs a width at least") };
        assert!(blocks > 0, "a resnet needs a block a stage at least");
        let mut inputs = first;
        let stage = |(i, &width): (usize, &usize)| {
            let block = |j: usize| {
                let stride = if i > 0 && j == 0 { 2 } else { 1 };
                Block::new(std::mem::replace(&mut inputs, width), width, stride, norm)
            };
            (0..blocks).map(block).collect()
        };
        ResNet {
            stages: widths.iter().enumerate().map(stage).collect(),
            conv: conv(channels, first, 3, 1),
            norm: norm.layer(first),
            head: Linear::new(last, classes),
            act: Activation::Relu,
        }
    }

    /// The same network with another activation σ, whose gain all convolutions start with.
    pub fn activation(mut self, act: Activation) -> Self {
        let weight = Init::KaimingNormal { gain: act.gain() };
        (self.act, self.conv.weight) = (act, weight);
        for block in self.stages.iter_mut().flatten() {
            block.act = act;
            let shortcut = block.shortcut.iter_mut().map(|(conv, _)| conv);
            block.convs.iter_mut().chain(shortcut).for_each(|conv| conv.weight = weight);
        }
        self
    }
}

/// A convolution without bias that keeps an image's size, or divides it by the stride.
fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> Conv2d {
    let weight = Init::KaimingNormal { gain: Activation::Relu.gain() };
    Conv2d::new(inputs, outputs, kernel).window(Window::square(stride, kernel / 2, 1)).without_bias().weight(weight)
}

impl Block {
    #[track_caller]
    fn new(inputs: usize, outputs: usize, stride: usize, norm: Norm) -> Self {
        let shortcut = || (conv(inputs, outputs, 1, stride), norm.layer(outputs));
        Block {
            convs: [conv(inputs, outputs, 3, stride), conv(outputs, outputs, 3, 1)],
            norms: [norm.layer(outputs), norm.layer(outputs)],
            shortcut: (stride != 1 || inputs != outputs).then(shortcut),
            act: Activation::Relu,
        }
    }
}

impl Architecture for Block {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("conv1", &self.convs[0]);
        to.child("bn1", &self.norms[0]);
        to.child("conv2", &self.convs[1]);
        to.child("bn2", &self.norms[1]);
        if let Some((conv, norm)) = &self.shortcut {
            to.child("downsample.0", conv);
            to.child("downsample.1", norm);
        }
    }
}

impl<A: Array> Module<A> for Block {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let y = self.norms[0].forward(&p.child("bn1"), &self.convs[0].forward(&p.child("conv1"), x));
        let y = self.act.apply(&y);
        let y = self.norms[1].forward(&p.child("bn2"), &self.convs[1].forward(&p.child("conv2"), &y));
        let around = match &self.shortcut {
            Some((conv, norm)) => norm.forward(&p.child("downsample.1"), &conv.forward(&p.child("downsample.0"), x)),
            None => x.clone(),
        };
        self.act.apply(&(y + around))
    }
}

impl Architecture for ResNet {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("conv1", &self.conv);
        to.child("bn1", &self.norm);
        for (i, blocks) in self.stages.iter().enumerate() {
            for (j, block) in blocks.iter().enumerate() {
                to.child(format_args!("layer{}.{j}", i + 1), block);
            }
        }
        to.child("fc", &self.head);
    }
}

impl<A: Array> Module<A> for ResNet {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let mut x = self.act.apply(&self.norm.forward(&p.child("bn1"), &self.conv.forward(&p.child("conv1"), x)));
        for (i, blocks) in self.stages.iter().enumerate() {
            for (j, block) in blocks.iter().enumerate() {
                x = block.forward(&p.child(format_args!("layer{}.{j}", i + 1)), &x);
            }
        }
        self.head.forward(&p.child("fc"), &Pool2d::GlobalMean.forward(p, &x))
    }
}

#[cfg(test)]
mod tests {
    use ad_core::Tensor;

    use super::*;
    use crate::Context;
    use crate::random::Key;

    #[test]
    fn names_are_those_of_torchvision() {
        let names = |norm| -> Vec<String> {
            let net = ResNet::new(3, &[4, 6], 1, 5, norm);
            net.parameters().into_iter().map(|p| p.name).collect()
        };
        let found = names(Norm::Batch);
        let mut want = vec!["conv1.weight", "bn1.weight", "bn1.bias"];
        let block = ["conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight", "bn2.bias"];
        let blocks: Vec<String> = ["layer1.0", "layer2.0"]
            .iter()
            .flat_map(|stage| block.iter().map(move |name| format!("{stage}.{name}")))
            .collect();
        want.extend(blocks.iter().map(String::as_str));
        want.extend(["layer2.0.downsample.0.weight", "layer2.0.downsample.1.weight", "layer2.0.downsample.1.bias"]);
        want.extend(["fc.weight", "fc.bias"]);
        assert_eq!(found, want);
        assert_eq!(names(Norm::Group(2)), want);
    }

    #[test]
    fn resnet_20_has_as_many_parameters_as_the_paper_says() {
        let net = ResNet::new(3, &[16, 32, 64], 3, 10, Norm::Batch);
        let of = |part: &str| -> usize {
            let kept = net.parameters().into_iter().filter(|p| p.name.contains(part));
            kept.map(|p| p.shape.iter().product::<usize>()).sum()
        };
        // The paper's 0.27 million, with shortcuts that have none.
        assert_eq!(of("") - of("downsample"), 269_722);
        assert_eq!(net.buffers().names().len(), 2 * 21);
        assert!(net.mixes_rows() && !ResNet::new(3, &[4], 1, 10, Norm::Group(2)).mixes_rows());
    }

    #[test]
    fn images_of_any_size_are_read() {
        let net = ResNet::new(1, &[2, 3, 4], 2, 5, Norm::Batch);
        let (theta, buffers) = (net.init::<f32>(Key::new(0)), net.buffers());
        for side in [5, 8] {
            let x = Tensor::from_fn(&[2, 1, side, side + 1], |i| (0.7 * i as f32).sin());
            for context in [Context::evaluation(&buffers), Context::training(Key::new(0), &buffers)] {
                assert_eq!(net.forward(&Scope::new(&theta).within(context), &x).shape(), [2, 5]);
            }
        }
    }
}
