//! A way around layers.

use ad_core::Array;

use crate::layers::Layer;
use crate::module::{Architecture, Declarations, Module, Scope};

/// What module `inner` makes of x, plus x itself or what module `shortcut` makes of it: inner(x) + x, or inner(x) + shortcut(x) where `inner`
/// changes the shape. He et al., arXiv 1512.03385, equations 1 and 2.
///
/// ```
/// use ad_core::Tensor;
/// use nn::{Architecture, Linear, Module, Residual, Scope, random::Key};
/// let block = Residual::new(Linear::new(3, 5)).around(Linear::new(3, 5).without_bias());
/// let theta = block.init::<f64>(Key::new(0));
/// assert_eq!(theta.names(), ["inner.weight", "inner.bias", "shortcut.weight"]);
/// assert_eq!(block.forward(&Scope::new(&theta), &Tensor::full(&[2, 3], 1.0)).shape(), [2, 5]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Residual<M = Layer> {
    inner: Box<M>,
    shortcut: Option<Box<M>>,
}

impl<M> Residual<M> {
    /// The input added to the output of this module, which must keep its shape.
    pub fn new(inner: M) -> Self {
        Residual { inner: Box::new(inner), shortcut: None }
    }

    /// The same, in which what is added is not the input but what this module makes of it: an output of the inner one's shape.
    pub fn around(self, shortcut: M) -> Self {
        Residual { shortcut: Some(Box::new(shortcut)), ..self }
    }
}

impl<M: Architecture> Architecture for Residual<M> {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("inner", &*self.inner);
        if let Some(shortcut) = &self.shortcut {
            to.child("shortcut", &**shortcut);
        }
    }
}

impl<A: Array, M: Module<A>> Module<A> for Residual<M> {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let y = self.inner.forward(&p.child("inner"), x);
        match &self.shortcut {
            Some(shortcut) => y + shortcut.forward(&p.child("shortcut"), x),
            None => y + x,
        }
    }
}
