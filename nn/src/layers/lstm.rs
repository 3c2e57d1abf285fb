//! The recurrent layer with long short-term memory.

use ad_core::{Array, Ops};

use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// Long short-term memory (Hochreiter and Schmidhuber, Neural Computation 9, 1997): reads (batch, steps, inputs), gives the
/// hidden state h of each step, (batch, steps, hidden), or of the last alone, (batch, hidden). PyTorch's `LSTM` with
/// `batch_first`.
///
/// With states of zero before the first step,
///
/// ```text
///   (i f g o) = x Wᵢₕᵀ + bᵢₕ + h Wₕₕᵀ + bₕₕ       c ← σ(f) ∘ c + σ(i) ∘ tanh(g)       h ← σ(o) ∘ tanh(c)
/// ```
///
/// Parameters of layer k: `weight_ih_lk` (4 · hidden, inputs), `weight_hh_lk` (4 · hidden, hidden), `bias_ih_lk` and
/// `bias_hh_lk` (4 · hidden), all starting uniform within ±1/√hidden. Each layer but the first reads the hidden states of
/// the one below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lstm {
    /// Size of an input.
    pub inputs: usize,
    /// Size of the hidden state.
    pub hidden: usize,
    /// Number of layers; more than 0.
    pub layers: usize,
    /// Whether the output is the last step's alone.
    pub last: bool,
}

impl Lstm {
    /// One layer that gives the hidden state of each step.
    pub fn new(inputs: usize, hidden: usize) -> Self {
        Lstm { inputs, hidden, layers: 1, last: false }
    }

    /// The same with this number of layers.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn layers(self, layers: usize) -> Self {
        assert!(layers > 0, "lstm: at least one layer is needed");
        Lstm { layers, ..self }
    }

    /// The same layers, giving the hidden state of the last step alone.
    pub fn last(self) -> Self {
        Lstm { last: true, ..self }
    }

    /// The hidden state of each step (batch, hidden), from the inputs (steps, batch, …) of layer `k`.
    #[track_caller]
    fn run<A: Array>(&self, k: usize, p: &Scope<'_, A>, x: &A) -> Vec<A> {
        let get = |kind: &str| p.get(&format!("{kind}_l{k}"));
        let bias = get("bias_ih").plus(get("bias_hh"));
        // The inputs of all steps in one product.
        let from_inputs = each(&x.linear(get("weight_ih"), Some(&bias)));
        let mut states: Vec<A> = Vec::with_capacity(from_inputs.len());
        let mut memory: Option<A> = None;
        for z in from_inputs {
            let z = match states.last() {
                Some(h) => h.linear(get("weight_hh"), None) + z,
                None => z,
            };
            let gate = |i: usize| z.slice(&[(0, z.shape()[0]), (i * self.hidden, (i + 1) * self.hidden)]);
            let written = gate(0).sigmoid() * gate(2).tanh();
            let c = match memory {
                Some(c) => gate(1).sigmoid() * c + written,
                None => written,
            };
            states.push(gate(3).sigmoid() * c.tanh());
            memory = Some(c);
        }
        states
    }
}

/// The arrays (…) that x (n, …) holds, in order.
///
/// Cut in halves again and again: the adjoint of a piece is padded to the shape of what it was cut from, and n pieces cut from
/// x itself would make n arrays as large as x.
fn each<A: Array>(x: &A) -> Vec<A> {
    let (n, rest) = (x.shape()[0], &x.shape()[1..]);
    if n == 1 {
        return vec![x.reshape(rest)];
    }
    let half = |range: (usize, usize)| {
        let ranges: Vec<_> = [range].into_iter().chain(rest.iter().map(|&n| (0, n))).collect();
        each(&x.slice(&ranges))
    };
    [half((0, n / 2)), half((n / 2, n))].concat()
}

impl Architecture for Lstm {
    fn declare(&self, to: &mut Declarations<'_>) {
        let (gates, start) = (4 * self.hidden, Init::Uniform { bound: 1.0 / (self.hidden as f64).sqrt() });
        for k in 0..self.layers {
            let inputs = if k == 0 { self.inputs } else { self.hidden };
            to.parameter(&format!("weight_ih_l{k}"), &[gates, inputs], start);
            to.parameter(&format!("weight_hh_l{k}"), &[gates, self.hidden], start);
            to.parameter(&format!("bias_ih_l{k}"), &[gates], start);
            to.parameter(&format!("bias_hh_l{k}"), &[gates], start);
        }
    }
}

impl<A: Array> Module<A> for Lstm {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let &[batch, steps, inputs] = x.shape() else {
            panic!("lstm: shape {:?} is not (batch, steps, inputs)", x.shape());
        };
        assert!(inputs == self.inputs && steps > 0, "lstm: shape {:?} for {} inputs", x.shape(), self.inputs);
        let joined = |states: &[A]| {
            let rows: Vec<A> = states.iter().map(|h| h.reshape(&[1, batch, self.hidden])).collect();
            A::concat(&rows.iter().collect::<Vec<_>>(), 0)
        };
        let below = x.permute(&[1, 0, 2]);
        let states = (1..self.layers).fold(self.run(0, p, &below), |states, k| self.run(k, p, &joined(&states)));
        match states.last() {
            Some(last) if self.last => last.clone(),
            _ => joined(&states).permute(&[1, 0, 2]),
        }
    }
}

#[cfg(test)]
mod tests {
    use ad_core::Tensor;

    use super::*;
    use crate::random::Key;

    #[test]
    fn one_unit_is_the_formula_s() {
        let net = Lstm::new(1, 1);
        let theta = net.init::<f64>(Key::new(3));
        let [wi, wh, bi, bh] = theta.arrays() else { unreachable!("one layer") };
        let x = [0.5, -1.5, 2.0];
        let y = net.forward(&Scope::new(&theta), &Tensor::from_vec(&[1, 3, 1], x.to_vec()));
        let (mut h, mut c) = (0.0, 0.0);
        for (x, found) in x.iter().zip(y.data()) {
            let z = |k: usize| wi.data()[k] * x + bi.data()[k] + wh.data()[k] * h + bh.data()[k];
            let sigma = |x: f64| 1.0 / (1.0 + (-x).exp());
            c = sigma(z(1)) * c + sigma(z(0)) * z(2).tanh();
            h = sigma(z(3)) * c.tanh();
            assert!((found - h).abs() < 1e-15, "{found} for {h}");
        }
    }

    #[test]
    fn the_last_step_is_that_of_all() {
        let net = Lstm::new(2, 3).layers(2);
        let theta = net.init::<f64>(Key::new(4));
        let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"];
        assert_eq!(theta.names()[..4], names);
        assert_eq!(theta.get("weight_ih_l1").shape(), [12, 3]);
        let x = Tensor::from_fn(&[2, 5, 2], |i| (1.3 * i as f64).sin());
        let all = net.forward(&Scope::new(&theta), &x);
        let last = net.last().forward(&Scope::new(&theta), &x);
        assert_eq!((all.shape(), last.shape()), (&[2, 5, 3][..], &[2, 3][..]));
        assert_eq!(all.slice(&[(0, 2), (4, 5), (0, 3)]).data(), last.data());
    }

    #[test]
    #[should_panic(expected = "lstm: shape [2, 5, 2] for 3 inputs")]
    fn inputs_of_another_size_are_refused() {
        let net = Lstm::new(3, 1);
        net.forward(&Scope::new(&net.init::<f64>(Key::new(0))), &Tensor::full(&[2, 5, 2], 0.0));
    }
}
