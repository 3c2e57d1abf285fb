//! The fully connected layer.

use ad_core::{Array, Ops};

use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// z = x Wᵀ + b, with `weight` W of shape (out, in) and `bias` b of shape (out), as in PyTorch.
///
/// Input (…, in), output (…, out). Starts with W ~ N(0, gain²/in) and b = 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Size of an input row.
    pub inputs: usize,
    /// Size of an output row.
    pub outputs: usize,
    /// How the weight starts.
    pub weight: Init,
    /// How the bias starts; `None` for a layer without one.
    pub bias: Option<Init>,
}

impl Linear {
    /// A layer with a bias, its weight Kaiming-normal with gain 1.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Linear { inputs, outputs, weight: Init::KaimingNormal { gain: 1.0 }, bias: Some(Init::Zeros) }
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Self {
        Linear { bias: None, ..self }
    }

    /// The same layer whose weight starts otherwise.
    pub fn weight(self, weight: Init) -> Self {
        Linear { weight, ..self }
    }
}

impl Architecture for Linear {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.parameter("weight", &[self.outputs, self.inputs], self.weight);
        if let Some(bias) = self.bias {
            to.parameter("bias", &[self.outputs], bias);
        }
    }
}

impl<A: Array> Module<A> for Linear {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        x.linear(p.get("weight"), self.bias.map(|_| p.get("bias")))
    }
}
