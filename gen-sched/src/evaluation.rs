//! How well a network does on a set of rows.

use ad_core::{Ops, Params, Real, Tensor};
use nn::data::Batch;
use nn::{Context, Loss, Net, Scope};

/// Loss and, for classes, accuracy of a network on a set of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// The loss over all rows together.
    pub loss: f64,
    /// Share of labels that are the place of the largest output; `None` for values.
    pub accuracy: Option<f64>,
}

/// Rows that are evaluated at once.
const ROWS: usize = 256;

/// Evaluates a network with these buffers on all rows of a batch, 256 at a time: the memory it takes does not grow with
/// their number.
///
/// The loss is the mean of the parts' losses, weighted by [`Loss::weight_of`] and summed in their order, hence the same on
/// any number of threads. Where the rows of a part all weigh nothing, it has no mean, and all rows are evaluated at once.
///
/// # Panics
/// If a shape does not fit the network or the loss, or a buffer of the network is missing.
#[track_caller]
pub fn evaluate<T: Real>(
    net: &dyn Net<T>,
    loss: &Loss,
    theta: &Params<Tensor<T>>,
    buffers: &Params<Tensor<f64>>,
    on: &Batch<T>,
) -> Evaluation {
    let rows = on.targets.rows();
    let of = |part: &Batch<T>| {
        let p = Scope::new(theta).within(Context::evaluation(buffers));
        let output = net.forward(&p, &part.inputs);
        let right = part.targets.labels().map_or(0, |(labels, _)| rightly(&output, labels));
        (loss.apply(&output, &part.targets).item().to_f64(), right)
    };
    let all = loss.weight_of(&on.targets);
    let (mut sum, mut right) = (0.0, 0);
    let mut add = |from: usize| {
        let part = on.rows(from, rows.min(from + ROWS));
        let share = loss.weight_of(&part.targets) / all;
        if share > 0.0 {
            let (value, rightly) = of(&part);
            (sum, right) = (sum + share * value, right + rightly);
        }
        share > 0.0
    };
    if rows <= ROWS || !(0..rows).step_by(ROWS).all(&mut add) {
        (sum, right) = of(on);
    }
    let accuracy = on.targets.labels().map(|(labels, _)| right as f64 / labels.len() as f64);
    Evaluation { loss: sum, accuracy }
}

/// How many labels are the place of the largest output.
fn rightly<T: Real>(output: &Tensor<T>, labels: &[u32]) -> usize {
    let found = output.argmax(-1);
    found.data().iter().zip(labels).filter(|(f, l)| f.to_f64() == f64::from(**l)).count()
}
