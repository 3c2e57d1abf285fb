//! What a forward pass depends on beside parameters and input.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ad_core::{Ops, Params, Tensor};

use crate::random::Key;

/// What a network is evaluated for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// To predict: nothing is drawn, and statistics are the running ones.
    #[default]
    Evaluation,
    /// To be trained on a mini-batch: units are dropped, and statistics are the batch's.
    Training {
        /// What is drawn depends on this key, the module's name and the row alone: every pass of a step has the same.
        key: Key,
        /// Number, in the whole mini-batch, of the first row of the input, which may be a part of it.
        first_row: usize,
    },
}

/// What a forward pass depends on beside parameters and input, the same for all modules of a network: its mode, and arrays
/// that are not differentiated.
///
/// ```
/// use nn::random::Key;
/// use nn::{Architecture, BatchNorm1d, Context, Module, Observations, Scope};
/// use ad_core::Tensor;
///
/// let net = BatchNorm1d::new(1);
/// let (theta, mut buffers, seen) = (net.init::<f64>(Key::new(0)), net.buffers(), Observations::default());
/// let x = Tensor::from_vec(&[2, 1], vec![1.0, 3.0]);
/// let step = Context::training(Key::new(1), &buffers).observed_by(&seen);
/// net.forward(&Scope::new(&theta).within(step), &x);
/// assert_eq!(buffers.get("running_mean").data(), [0.0]);
/// seen.commit(&mut buffers); // the step is taken
/// assert_eq!(buffers.get("running_mean").data(), [0.1 * 2.0]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'a> {
    /// What the network is evaluated for.
    pub mode: Mode,
    /// The network's [buffers](crate::Architecture::buffers); may be absent for a network without any.
    pub buffers: Option<&'a Params<Tensor<f64>>>,
    /// Takes what the pass sees of its batch, if anything does.
    pub observations: Option<&'a Observations>,
}

impl<'a> Context<'a> {
    /// Evaluation with these buffers.
    pub fn evaluation(buffers: &'a Params<Tensor<f64>>) -> Self {
        Context { mode: Mode::Evaluation, buffers: Some(buffers), observations: None }
    }

    /// Training in the step of this key, on a whole mini-batch.
    pub fn training(key: Key, buffers: &'a Params<Tensor<f64>>) -> Self {
        Context { mode: Mode::Training { key, first_row: 0 }, buffers: Some(buffers), observations: None }
    }

    /// The same context, in which what is seen of the batch is noted.
    pub fn observed_by(self, observations: &'a Observations) -> Self {
        Context { observations: Some(observations), ..self }
    }

    /// The same context without note of what is seen.
    pub fn unobserved(self) -> Self {
        Context { observations: None, ..self }
    }

    /// The same context for the part of the mini-batch that starts at this row.
    pub fn from_row(self, first_row: usize) -> Self {
        let mode = match self.mode {
            Mode::Training { key, .. } => Mode::Training { key, first_row },
            Mode::Evaluation => Mode::Evaluation,
        };
        Context { mode, ..self }
    }
}

/// What the passes of a step saw of their batch, such as its mean and variance: what buffers move to once the step is taken.
///
/// The first pass over a part of the mini-batch counts and later ones over the same part add nothing, so that probes and
/// repeated recordings leave no trace.
#[derive(Debug, Default)]
pub struct Observations(Mutex<BTreeMap<Seen, Observation>>);

/// The first row of a part of the mini-batch, and the name of a buffer.
type Seen = (usize, String);

#[derive(Debug)]
struct Observation {
    value: Tensor<f64>,
    momentum: f64,
}

impl Observations {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Seen, Observation>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that these buffers are to move to what `see` finds, by the share `momentum` of the way, unless that is known for
    /// the part of the mini-batch from this row on.
    pub(crate) fn note<const N: usize>(
        &self,
        first_row: usize,
        names: [String; N],
        momentum: f64,
        see: impl FnOnce() -> [Tensor<f64>; N],
    ) {
        let keys = names.map(|name| (first_row, name));
        if keys.iter().any(|key| !self.all().contains_key(key)) {
            let seen = see().map(|value| Observation { value, momentum });
            let mut all = self.all();
            for (key, observation) in keys.into_iter().zip(seen) {
                all.entry(key).or_insert(observation);
            }
        }
    }

    /// Moves the buffers to what was seen: b ← (1 − momentum) b + momentum · seen, for one part of the mini-batch after the
    /// other.
    ///
    /// # Panics
    /// If something was seen for a buffer that is not there or has another shape.
    #[track_caller]
    pub fn commit(&self, buffers: &mut Params<Tensor<f64>>) {
        let all = self.all();
        if all.is_empty() {
            return;
        }
        let mut after = buffers.arrays().to_vec();
        let places: BTreeMap<&str, usize> = buffers.names().iter().map(String::as_str).zip(0..).collect();
        for ((_, name), Observation { value, momentum }) in all.iter() {
            let place = places.get(name.as_str()).unwrap_or_else(|| panic!("{name} was observed but is no buffer"));
            let (found, expected) = (value.shape(), after[*place].shape());
            assert!(found == expected, "{name} was observed with shape {found:?} but the buffer has {expected:?}");
            after[*place] = after[*place].scale(1.0 - momentum).plus(&value.scale(*momentum));
        }
        *buffers = buffers.with(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(x: f64) -> [Tensor<f64>; 1] {
        [Tensor::full(&[1], x)]
    }

    fn name() -> [String; 1] {
        ["mean".to_owned()]
    }

    #[test]
    fn parts_are_committed_in_their_order_and_seen_once() {
        let (seen, mut buffers) = (Observations::default(), Params::new([("mean", Tensor::full(&[1], 8.0))]));
        seen.note(4, name(), 0.5, || one(2.0));
        seen.note(0, name(), 0.5, || one(4.0));
        seen.note(0, name(), 0.5, || unreachable!("it is known"));
        seen.commit(&mut buffers);
        // (8 + 4)/2 = 6, then (6 + 2)/2.
        assert_eq!(buffers.get("mean").data(), [4.0]);
    }

    #[test]
    #[should_panic(expected = "mean was observed but is no buffer")]
    fn an_unknown_buffer_is_refused() {
        let seen = Observations::default();
        seen.note(0, name(), 0.1, || one(1.0));
        seen.commit(&mut Params::new([("variance", Tensor::full(&[1], 0.0))]));
    }
}
