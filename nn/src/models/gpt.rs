//! The decoder of characters or other tokens.

use ad_core::ops::Attention;
use ad_core::{Array, Ops};

use crate::init::Init;
use crate::layers::{Activation, Dropout, LayerNorm, Linear, SelfAttention, add_positions, look_up};
use crate::module::{Architecture, Declarations, Module, Scope};

/// A decoder with normalisation before each part, and learned positions: reads whole numbers (batch, positions), gives the logits of each
/// position's next token (batch, positions, vocabulary). The design of GPT-2 (Radford et al., 2019).
///
/// Tables `wte` (vocabulary, width) and `wpe` (context, width); blocks `blocks.i` of `ln1`, `attn`, `ln2`, and `mlp.up`, activation, `mlp.down`
/// of four times the width; `ln_f`; and an output layer `head` with a bias or, if [tied](Gpt::tied), the table `wte` itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpt {
    vocabulary: usize,
    context: usize,
    width: usize,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Option<Linear>,
    dropout: Dropout,
}

/// x + attention(norm x), then x + mlp(norm x).
#[derive(Clone, Debug, PartialEq)]
struct Block {
    norms: [LayerNorm; 2],
    attention: SelfAttention,
    up: Linear,
    down: Linear,
    act: Activation,
    dropout: Dropout,
}

impl Gpt {
    /// A decoder of these sizes.
    ///
    /// # Panics
    /// If the heads do not divide the width.
    #[track_caller]
    pub fn new(vocabulary: usize, context: usize, width: usize, heads: usize, blocks: usize, act: Activation) -> Self {
        let block = Block {
            norms: [LayerNorm::new(width); 2],
            attention: SelfAttention::new(width, Attention::causal(heads)),
            up: Linear::new(width, 4 * width),
            down: Linear::new(4 * width, width),
            act,
            dropout: Dropout::new(0.0),
        };
        Gpt {
            vocabulary,
            context,
            width,
            blocks: vec![block; blocks],
            norm: LayerNorm::new(width),
            head: Some(Linear::new(width, vocabulary)),
            dropout: Dropout::new(0.0),
        }
    }

    /// The same decoder without a `head`: logits are the inner products with the rows of `wte`, which so learns from both of its uses
    /// (Press and Wolf, arXiv 1608.05859).
    pub fn tied(self) -> Self {
        Gpt { head: None, ..self }
    }

    /// The same decoder which in training drops, with this probability, numbers of the embedded tokens and of what each part of
    /// a block adds to its input.
    ///
    /// # Panics
    /// If it is not within [0, 1].
    #[track_caller]
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self.blocks.iter_mut().for_each(|block| block.dropout = self.dropout);
        self
    }
}

impl Architecture for Block {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.child("ln1", &self.norms[0]);
        to.child("attn", &self.attention);
        to.child("ln2", &self.norms[1]);
        to.child("mlp.up", &self.up);
        to.child("mlp.down", &self.down);
    }
}

impl<A: Array> Module<A> for Block {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let attended = self.attention.forward(&p.child("attn"), &self.norms[0].forward(&p.child("ln1"), x));
        let x = self.dropout.forward(&p.child("attn.dropout"), &attended) + x;
        let up = self.up.forward(&p.child("mlp.up"), &self.norms[1].forward(&p.child("ln2"), &x));
        let down = self.down.forward(&p.child("mlp.down"), &self.act.apply(&up));
        self.dropout.forward(&p.child("mlp.dropout"), &down) + &x
    }
}

impl Architecture for Gpt {
    fn declare(&self, to: &mut Declarations<'_>) {
        let table = Init::Normal { deviation: 0.02 };
        to.parameter("wte", &[self.vocabulary, self.width], table);
        to.parameter("wpe", &[self.context, self.width], table);
        for (i, block) in self.blocks.iter().enumerate() {
            to.child(format_args!("blocks.{i}"), block);
        }
        to.child("ln_f", &self.norm);
        if let Some(head) = &self.head {
            to.child("head", head);
        }
    }
}

impl<A: Array> Module<A> for Gpt {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        match *x.shape() {
            [_, positions] if positions <= self.context => {}
            ref shape => panic!("gpt: shape {shape:?} is not (batch, at most {} positions)", self.context),
        }
        let x = add_positions(p.get("wpe"), &look_up(p.get("wte"), x));
        let x = self.dropout.forward(&p.child("dropout"), &x);
        let block = |x: A, (i, block): (usize, &Block)| block.forward(&p.child(format_args!("blocks.{i}")), &x);
        let x = self.blocks.iter().enumerate().fold(x, block);
        let x = self.norm.forward(&p.child("ln_f"), &x);
        match &self.head {
            Some(head) => head.forward(&p.child("head"), &x),
            None => x.linear(p.get("wte"), None),
        }
    }
}
