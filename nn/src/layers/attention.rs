//! Self-attention.

use ad_core::ops::Attention;
use ad_core::{Array, Ops};

use crate::layers::Linear;
use crate::module::{Architecture, Declarations, Module, Scope};

/// Multi-head self-attention of (batch, positions, width): queries, keys and values by one layer `qkv` (width to 3 · width), attention
/// ([`ad_core::ops::Attention`]), and a layer `out` (width to width).
///
/// Sequences of different lengths are padded to one, and what fills them is hidden by [`attend`](SelfAttention::attend).
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

impl SelfAttention {
    /// Attention to those keys only that are marked, (batch × positions), in place of those that it was made with: a module of sequences that
    /// are padded marks what is no padding, batch by batch, from its input. Outputs at padded positions are numbers as any others, for the
    /// loss to leave out; a query that sees no key has the bias of `out` alone.
    ///
    /// ```
    /// use ad_core::ops::Attention;
    /// use ad_core::Tensor;
    /// use nn::{Architecture, Scope, SelfAttention, random::Key};
    /// let layer = SelfAttention::new(4, Attention::new(2));
    /// let theta = layer.init::<f64>(Key::new(0));
    /// let x = |last: f64| Tensor::from_fn(&[1, 3, 4], |i| if i < 8 { (i as f64).sin() } else { last });
    /// // The third position is padding: the first two do not depend on it.
    /// let z = |last| layer.attend(&Scope::new(&theta), &x(last), &[true, true, false]);
    /// assert_eq!(z(0.0).data()[..8], z(9.0).data()[..8]);
    /// ```
    ///
    /// # Panics
    /// If there are not as many marks as positions in the batch.
    #[track_caller]
    pub fn attend<A: Array>(&self, p: &Scope<'_, A>, x: &A, keys: &[bool]) -> A {
        self.apply(p, x, &Attention { keys: Some(keys.into()), ..self.attention.clone() })
    }

    #[track_caller]
    fn apply<A: Array>(&self, p: &Scope<'_, A>, x: &A, attention: &Attention) -> A {
        let qkv = self.qkv.forward(&p.child("qkv"), x);
        self.out.forward(&p.child("out"), &qkv.attention(attention))
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
        self.apply(p, x, &self.attention)
    }
}
