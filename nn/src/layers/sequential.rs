//! Modules one after another.

use ad_core::Array;

use crate::layers::{
    Activation, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, Flatten, GroupNorm, LayerNorm, Linear,
    Lstm, Mlp, Pool1d, Pool2d, Positions, Residual, RmsNorm, SelfAttention, Tied,
};
use crate::module::{Architecture, Declarations, Module, Scope};

/// Modules applied in order; the child at position `i` is named `i`, counting every module, as in PyTorch.
///
/// ```
/// use nn::{Activation, Architecture, Layer, Linear, Sequential};
/// let net = Sequential::new([
///     Layer::from(Linear::new(4, 8)),
///     Layer::from(Activation::Relu),
///     Layer::from(Linear::new(8, 2)),
/// ]);
/// let names: Vec<_> = net.parameters().into_iter().map(|p| p.name).collect();
/// assert_eq!(names, ["0.weight", "0.bias", "2.weight", "2.bias"]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential<M = Layer> {
    modules: Vec<M>,
}

impl<M> Sequential<M> {
    /// These modules, first to last.
    pub fn new(modules: impl IntoIterator<Item = M>) -> Self {
        Sequential { modules: modules.into_iter().collect() }
    }
}

impl<M: Architecture> Architecture for Sequential<M> {
    fn declare(&self, to: &mut Declarations<'_>) {
        for (i, module) in self.modules.iter().enumerate() {
            to.child(i, module);
        }
    }
}

impl<A: Array, M: Module<A>> Module<A> for Sequential<M> {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        self.modules.iter().enumerate().fold(x.clone(), |x, (i, module)| module.forward(&p.child(i), &x))
    }
}

macro_rules! layers {
    ($($(#[$doc:meta])* $name:ident($ty:ty);)*) => {
        /// Any of the layers here, so that different ones can stand in one list.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Layer {
            $($(#[$doc])* $name($ty),)*
        }

        $(impl From<$ty> for Layer {
            fn from(layer: $ty) -> Self {
                Layer::$name(layer)
            }
        })*

        impl Architecture for Layer {
            fn declare(&self, to: &mut Declarations<'_>) {
                match self {
                    $(Layer::$name(layer) => layer.declare(to),)*
                }
            }
        }

        impl<A: Array> Module<A> for Layer {
            fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
                match self {
                    $(Layer::$name(layer) => layer.forward(p, x),)*
                }
            }
        }
    };
}

layers! {
    /// A fully connected layer.
    Linear(Linear);
    /// A convolution of images.
    Conv2d(Conv2d);
    /// A convolution of sequences.
    Conv1d(Conv1d);
    /// Pooling of images.
    Pool2d(Pool2d);
    /// Pooling of sequences.
    Pool1d(Pool1d);
    /// All axes but the first as one.
    Flatten(Flatten);
    /// Layer normalisation.
    LayerNorm(LayerNorm);
    /// Root-mean-square normalisation.
    RmsNorm(RmsNorm);
    /// Group normalisation.
    GroupNorm(GroupNorm);
    /// Batch normalisation of features or sequences.
    BatchNorm1d(BatchNorm1d);
    /// Batch normalisation of images.
    BatchNorm2d(BatchNorm2d);
    /// Units dropped at random.
    Dropout(Dropout);
    /// A table looked up by number.
    Embedding(Embedding);
    /// Learned positions.
    Positions(Positions);
    /// Self-attention.
    SelfAttention(SelfAttention);
    /// Long short-term memory.
    Lstm(Lstm);
    /// The input added to what a layer makes of it.
    Residual(Residual);
    /// Layers between an embedding and an output layer of the same weights.
    Tied(Tied);
    /// An activation.
    Activation(Activation);
    /// A fully connected network.
    Mlp(Mlp);
    /// Layers one after another.
    Sequential(Sequential);
}
