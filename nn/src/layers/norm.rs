//! Normalisation of each sample by itself.

use ad_core::{Array, Ops};

use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// Layer normalisation over the last axis, with `weight` γ and `bias` β of its size: (x − mean)/√(variance + ε) ∘ γ + β (Ba, Kiros and
/// Hinton, arXiv 1607.06450). PyTorch's `LayerNorm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerNorm {
    /// Size of the last axis.
    pub size: usize,
    /// ε, added to the variance.
    pub epsilon: f64,
}

/// Root-mean-square normalisation over the last axis, with `weight` γ of its size: x/√(mean x² + ε) ∘ γ (Zhang and Sennrich, arXiv
/// 1910.07467). PyTorch's `RMSNorm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsNorm {
    /// Size of the last axis.
    pub size: usize,
    /// ε, added to the mean square.
    pub epsilon: f64,
}

/// Group normalisation of (batch, channels, …): each group of channels of a sample is normalised as in [`LayerNorm`], and each channel has
/// its own γ and β, `weight` and `bias` (Wu and He, arXiv 1803.08494). PyTorch's `GroupNorm`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GroupNorm {
    /// Groups; divides the channels.
    pub groups: usize,
    /// Channels.
    pub channels: usize,
    /// ε, added to the variance.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Over a last axis of this size, ε = 10⁻⁵.
    pub fn new(size: usize) -> Self {
        LayerNorm { size, epsilon: 1e-5 }
    }
}

impl RmsNorm {
    /// Over a last axis of this size, ε = 10⁻⁵.
    pub fn new(size: usize) -> Self {
        RmsNorm { size, epsilon: 1e-5 }
    }
}

impl GroupNorm {
    /// These many groups of channels, ε = 10⁻⁵.
    ///
    /// # Panics
    /// If the groups do not divide the channels.
    #[track_caller]
    pub fn new(groups: usize, channels: usize) -> Self {
        let fits = groups > 0 && channels.is_multiple_of(groups);
        assert!(fits, "{groups} groups do not divide {channels} channels");
        GroupNorm { groups, channels, epsilon: 1e-5 }
    }
}

fn declare_gain_and_offset(size: usize, to: &mut Declarations<'_>) {
    to.parameter("weight", &[size], Init::Ones);
    to.parameter("bias", &[size], Init::Zeros);
}

impl Architecture for LayerNorm {
    fn declare(&self, to: &mut Declarations<'_>) {
        declare_gain_and_offset(self.size, to);
    }
}

impl<A: Array> Module<A> for LayerNorm {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        x.normalize(true, self.epsilon).affine(p.get("weight"), Some(p.get("bias")))
    }
}

impl Architecture for RmsNorm {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.parameter("weight", &[self.size], Init::Ones);
    }
}

impl<A: Array> Module<A> for RmsNorm {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        x.normalize(false, self.epsilon).affine(p.get("weight"), None)
    }
}

impl Architecture for GroupNorm {
    fn declare(&self, to: &mut Declarations<'_>) {
        declare_gain_and_offset(self.channels, to);
    }
}

impl<A: Array> Module<A> for GroupNorm {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let shape = x.shape().to_vec();
        assert!(shape.len() >= 2 && shape[1] == self.channels, "group_norm: {} channels in {shape:?}", self.channels);
        let grouped = [shape[0], self.groups, shape[1..].iter().product::<usize>() / self.groups];
        let normal = x.reshape(&grouped).normalize(true, self.epsilon).reshape(&shape);
        let mut a_channel = vec![self.channels];
        a_channel.resize(shape.len() - 1, 1);
        normal * p.get("weight").reshape(&a_channel) + p.get("bias").reshape(&a_channel)
    }
}
