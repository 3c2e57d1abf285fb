//! How well a network does on a set of rows.

use ad_core::{Ops, Params, Real, Tensor};
use nn::data::Batch;
use nn::{Loss, Net, Scope};

/// Loss and, for classes, accuracy of a network on a set of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The loss over all rows together.
    pub loss: f64,
    /// Share of labels that are the place of the largest output; `None` for values.
    pub accuracy: Option<f64>,
}

/// Evaluates a network on all rows of a batch at once.
///
/// # Panics
/// If a shape does not fit the network or the loss.
#[track_caller]
pub fn evaluate<T: Real>(net: &dyn Net<T>, loss: &Loss, theta: &Params<Tensor<T>>, on: &Batch<T>) -> Evaluation {
    let output = net.forward(&Scope::new(theta), &on.inputs);
    let accuracy = on.targets.labels().map(|(labels, _)| {
        let found = output.argmax(-1);
        let right = found.data().iter().zip(labels).filter(|(f, l)| f.to_f64() == f64::from(**l)).count();
        right as f64 / labels.len() as f64
    });
    Evaluation { loss: loss.apply(&output, &on.targets).item().to_f64(), accuracy }
}
