//! Self-attention.

use ad_core::ops::Attention;
use ad_core::{Array, Ops};

use crate::layers::Linear;
use crate::module::{Architecture, Declarations, Module, Scope};

/// Multi-head self-attention of (batch, positions, width): queries, keys and values by one layer `qkv` (width to 3 · width), attention
/// ([`ad_core::ops::Attention`]), and a layer `out` (width to width).
#[derive(Clone, Debug, PartialEq)]
pub struct SelfAttention {
    qkv: Linear,
    out: Linear,
    attention: Attention,
}

impl SelfAttention {
    /// Attention of this width and kind.
    ///
    /// # Panics
    /// If the heads do not divide the width.
    #[track_caller]
    pub fn new(width: usize, attention: Attention) -> Self {
        let heads = attention.heads;
        assert!(heads > 0 && width.is_multiple_of(heads), "{heads} heads do not divide a width of {width}");
        SelfAttention { qkv: Linear::new(width, 3 * width), out: Linear::new(width, width), attention }
    }
}

impl Architecture for SelfAttention {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("qkv", &self.qkv);
        to.child("out", &self.out);
    }
}

impl<A: Array> Module<A> for SelfAttention {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let qkv = self.qkv.forward(&p.child("qkv"), x);
        self.out.forward(&p.child("out"), &qkv.attention(&self.attention))
    }
}
