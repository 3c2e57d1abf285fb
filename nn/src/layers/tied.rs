//! An output layer with the weights of the embedding.

use ad_core::Array;

use crate::layers::{Embedding, Layer};
use crate::module::{Architecture, Declarations, Module, Scope};

/// Rows of a table E, `embedding.weight` (entries, size), looked up; module `inner` on them; and the inner products of its outputs with
/// all rows of the same table: inner(Eₓ) Eᵀ, whole numbers (…) to logits (…, entries). One table learns from both of its uses. Press and Wolf,
/// *Using the output embedding to improve language models*, arXiv 1608.05859.
///
/// ```
/// use ad_core::Tensor;
/// use nn::{Architecture, Embedding, LayerNorm, Module, Scope, Tied, random::Key};
/// let net = Tied::new(Embedding::new(7, 4), LayerNorm::new(4));
/// let theta = net.init::<f64>(Key::new(0));
/// assert_eq!(theta.names(), ["embedding.weight", "inner.weight", "inner.bias"]);
/// assert_eq!(net.forward(&Scope::new(&theta), &Tensor::full(&[2, 3], 6.0)).shape(), [2, 3, 7]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tied<M = Layer> {
    embedding: Embedding,
    inner: Box<M>,
}

impl<M> Tied<M> {
    /// A module between an embedding and its logits, which must keep the size of the table's rows.
    pub fn new(embedding: Embedding, inner: M) -> Self {
        Tied { embedding, inner: Box::new(inner) }
    }
}

impl<M: Architecture> Architecture for Tied<M> {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("embedding", &self.embedding);
        to.child("inner", &*self.inner);
    }
}

impl<A: Array, M: Module<A>> Module<A> for Tied<M> {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let table = p.child("embedding");
        let z = self.inner.forward(&p.child("inner"), &self.embedding.forward(&table, x));
        self.embedding.logits(&table, &z)
    }
}
