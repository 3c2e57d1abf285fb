//! A network of sequences that are padded to one length.

use ad_core::ops::Attention;
use ad_core::{Array, Base, Ops, Real};
use nn::{Architecture, Declarations, Embedding, Linear, Module, Scope, SelfAttention};

/// A class of each sequence of tokens (batch, positions), of which 0 is padding that attention hides: from the output at its first position.
/// Gives logits (batch, classes).
#[derive(Clone, Debug)]
pub struct Classifier {
    table: Embedding,
    attention: SelfAttention,
    head: Linear,
}

impl Classifier {
    /// A network for so many distinct tokens, of this width in two heads.
    pub fn new(tokens: usize, width: usize, classes: usize) -> Self {
        Classifier {
            table: Embedding::new(tokens, width),
            attention: SelfAttention::new(width, Attention::new(2)),
            head: Linear::new(width, classes),
        }
    }
}

impl Architecture for Classifier {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("table", &self.table);
        to.child("attention", &self.attention);
        to.child("head", &self.head);
    }
}

impl<A: Array> Module<A> for Classifier {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let marks: Vec<bool> = x.primal().to_tensor().data().iter().map(|token| token.to_f64() != 0.0).collect();
        let z = self.attention.attend(&p.child("attention"), &self.table.forward(&p.child("table"), x), &marks);
        let (rows, width) = (z.shape()[0], z.shape()[2]);
        let first = z.slice(&[(0, rows), (0, 1), (0, width)]).reshape(&[rows, width]);
        self.head.forward(&p.child("head"), &first)
    }
}
