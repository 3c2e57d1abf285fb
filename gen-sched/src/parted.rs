//! A mini-batch cut into parts: shards on several threads, or micro-batches one after another.

use ad_core::{Params, Real, Tensor, Var, parallel};
use nn::data::Batch;
use nn::{Context, Loss, Net};

use crate::objective::{Objective, Part, Parts, Supervised};

/// How a mini-batch is cut into parts.
///
/// A network that [mixes rows](nn::Architecture::mixes_rows), as batch normalisation does, is not cut into shards, whatever
/// is asked for: its loss is not the mean of its shards' losses. In micro-batches each row is normalised with those of its
/// own micro-batch, as in PyTorch under gradient accumulation; this is then another loss than that of the whole mini-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parting {
    /// Into shards where the network is so small that its products are not worth sharing out over threads one by one, or each
    /// parameter is read so many times (at every place of a sequence or an image) that the work of a shard is far larger than
    /// that of adding up gradients; else not at all.
    #[default]
    Automatic,
    /// Not at all.
    Whole,
    /// Into this many shards, evaluated side by side.
    Shards(usize),
    /// Into micro-batches of this many rows, evaluated one after another: gradient accumulation. num and den are exact over
    /// the whole mini-batch; den costs the gradients again, since no recording is kept.
    MicroBatches(usize),
}

/// Multiply-adds of a product from which it is better shared out over threads by itself.
const LARGE_PRODUCT: usize = 1 << 21;
/// Multiply-adds of all products of a forward pass from which shards are worth two barriers.
const WORTHWHILE: usize = 1 << 20;
/// Rows of a product that a shard should have at least, for it to be efficient.
const FEWEST_ROWS: usize = 32;
/// Times that a parameter is read in a shard, in the mean, for its gradient to cost little beside its products.
const FEWEST_READS: usize = 512;
/// Times that a parameter is read in a row, in the mean, for arrays to outweigh parameters: layers without places read each once.
const READS_A_ROW: usize = 4;
/// Shards that a batch is cut into at most.
const MOST_SHARDS: usize = 4;

/// The products of a forward pass, as far as the shapes of batch and parameters tell.
struct Products {
    /// Rows of the batch.
    rows: usize,
    /// Rows of the batch, times the places of a sequence that has a label for each.
    places: usize,
    /// Multiply-adds of the largest.
    largest: usize,
    /// Multiply-adds of all.
    all: usize,
    /// Numbers of the weights.
    weights: usize,
}

impl Products {
    fn of<T: Real>(batch: &Batch<T>, theta: &Params<Tensor<T>>) -> Self {
        let rows = batch.targets.rows();
        // A product has a row for each label: every place of a sequence counts.
        let places = batch.targets.labels().map_or(rows, |(labels, _)| labels.len());
        // A kernel is read at every pixel; of smaller images behind a stride or pooling nothing is known here.
        let pixels = batch.inputs.shape().get(2..).map_or(1, |image| image.iter().product());
        let mut products = Products { rows, places, largest: 0, all: 0, weights: 0 };
        for w in theta.arrays().iter().filter(|w| w.rank() > 1) {
            let product = w.len() * if w.rank() > 2 { rows * pixels } else { places };
            products.largest = products.largest.max(product);
            products.all += product;
            products.weights += w.len();
        }
        products
    }

    /// The shards of a batch.
    fn shards(&self) -> usize {
        let reads = self.all / self.weights.max(1);
        if self.all < WORTHWHILE {
            1
        } else if self.largest < LARGE_PRODUCT {
            (self.places / FEWEST_ROWS).clamp(1, MOST_SHARDS)
        } else if reads < READS_A_ROW * self.rows {
            1
        } else {
            (reads / FEWEST_READS).clamp(1, MOST_SHARDS)
        }
    }
}

impl Parting {
    /// How a batch is cut: the number of parts, by the sizes alone, never by the machine.
    fn shards<T: Real>(self, batch: &Batch<T>, theta: &Params<Tensor<T>>) -> usize {
        let rows = batch.targets.rows().max(1);
        match self {
            Parting::Whole | Parting::MicroBatches(_) => 1,
            Parting::Shards(n) => n.clamp(1, rows),
            Parting::Automatic => Products::of(batch, theta).shards().min(rows),
        }
    }
}

/// The loss of a network on one batch, evaluated in parts.
///
/// The loss is a mean over rows that do not know of each other, so it is the mean of its parts' losses, weighted by
/// [`Loss::weight_of`] each; parts may be of unequal size.
#[derive(Debug)]
pub struct Parted<'a, T: Real> {
    whole: Supervised<'a, T>,
    parts: Vec<Cut<T>>,
    in_turn: bool,
}

/// A part of the batch.
#[derive(Debug)]
struct Cut<T: Real> {
    weight: f64,
    /// Number of its first row in the whole batch.
    first_row: usize,
    batch: Batch<T>,
}

impl<'a, T: Real> Parted<'a, T> {
    /// The loss on `batch`, cut into parts, in evaluation mode and without buffers.
    ///
    /// # Panics
    /// If micro-batches are to have no rows.
    #[track_caller]
    pub fn new(
        net: &'a dyn Net<T>,
        loss: &'a Loss,
        batch: &'a Batch<T>,
        parting: Parting,
        theta: &Params<Tensor<T>>,
    ) -> Self {
        let rows = batch.targets.rows();
        let size = match parting {
            Parting::MicroBatches(size) => {
                assert!(size > 0, "micro-batches need at least one row");
                size
            }
            _ => match parting.shards(batch, theta) {
                shards if shards > 1 && !net.mixes_rows() => rows.div_ceil(shards),
                _ => rows,
            },
        };
        let all = loss.weight_of(&batch.targets);
        let cut = |first_row: usize| {
            let part = batch.rows(first_row, rows.min(first_row + size));
            Cut { weight: loss.weight_of(&part.targets) / all, first_row, batch: part }
        };
        let mut parts: Vec<_> = if size < rows { (0..rows).step_by(size).map(cut).collect() } else { Vec::new() };
        // A part whose rows all weigh nothing has no mean of its own, but may add to that of the whole by its smoothing.
        if !parts.iter().all(|part| part.weight > 0.0) {
            parts.clear();
        }
        let in_turn = matches!(parting, Parting::MicroBatches(_));
        Parted { whole: Supervised::new(net, loss, batch), parts, in_turn }
    }

    /// The same loss in this context, that of the whole mini-batch: its rows are numbered through all parts.
    pub fn within(self, context: Context<'a>) -> Self {
        Parted { whole: self.whole.within(context), ..self }
    }
}

impl<T: Real> Objective<T> for Parted<'_, T> {
    fn record(&self, theta: &Params<Var<Tensor<T>>>) -> Var<Tensor<T>> {
        self.whole.record(theta)
    }

    fn value(&self, theta: &Params<Tensor<T>>) -> f64 {
        let of = |part: &Part<'_, T>| part.weight * part.objective.value(theta);
        match self.parts() {
            Parts::Whole => self.whole.value(theta),
            Parts::Shards(parts) => parallel::map_apart(&parts, of).into_iter().sum(),
            Parts::MicroBatches(parts) => parts.iter().map(of).sum(),
        }
    }

    fn third(&self, theta: &Params<Tensor<T>>, omega: &Params<Tensor<T>>) -> Option<f64> {
        let of = |part: &Part<'_, T>| Some(part.weight * part.objective.third(theta, omega)?);
        match self.parts() {
            Parts::Whole => self.whole.third(theta, omega),
            Parts::Shards(parts) => parallel::map_apart(&parts, of).into_iter().sum(),
            Parts::MicroBatches(parts) => parts.iter().map(of).sum(),
        }
    }

    fn parts(&self) -> Parts<'_, T> {
        if self.parts.is_empty() {
            return Parts::Whole;
        }
        let whole = self.whole;
        let supervised = self.parts.iter().map(|cut| {
            let context = whole.context.from_row(cut.first_row);
            (cut.weight, Supervised { batch: &cut.batch, context, ..whole })
        });
        let parts = supervised.map(|(weight, objective)| Part { weight, objective }).collect();
        if self.in_turn { Parts::MicroBatches(parts) } else { Parts::Shards(parts) }
    }
}

#[cfg(test)]
mod tests {
    use nn::data::Targets;

    use super::*;

    /// The shards of a batch of inputs and labels of these shapes, for weights of these.
    fn shards(inputs: &[usize], labels: usize, weights: &[&[usize]]) -> usize {
        let zeros = |shape: &[usize]| Tensor::full(shape, 0.0f32);
        let labels = vec![0; labels];
        let targets = match inputs {
            &[rows, length] if labels.len() == rows * length => Targets::Sequences { labels, length, classes: 10 },
            _ => Targets::Classes { labels, classes: 10 },
        };
        let theta = Params::new(weights.iter().enumerate().map(|(i, w)| (format!("w{i}"), zeros(w))));
        Parting::Automatic.shards(&Batch { inputs: zeros(inputs), targets }, &theta)
    }

    #[test]
    fn batches_are_cut_where_products_are_small_or_parameters_read_often() {
        // Small products, but enough of them.
        assert_eq!(shards(&[64, 64], 64, &[&[128, 64], &[128, 128], &[10, 128], &[128]]), 2);
        // Too little work for two barriers.
        assert_eq!(shards(&[16, 8], 16, &[&[8, 8], &[10, 8]]), 1);
        // Large layers: their products are shared out one by one.
        assert_eq!(shards(&[256, 1024], 256, &[&[1024, 1024], &[1024, 1024], &[10, 1024]]), 1);
        assert_eq!(shards(&[4096, 1024], 4096, &[&[1024, 1024], &[1024, 1024], &[10, 1024]]), 1);
        // A decoder reads a weight at each place of each row.
        assert_eq!(shards(&[16, 64], 16 * 64, &[&[384, 128], &[512, 128], &[128, 512]]), 2);
        assert_eq!(shards(&[64, 64], 64 * 64, &[&[384, 128], &[512, 128], &[128, 512]]), 4);
        // A kernel is read at every pixel.
        assert_eq!(shards(&[64, 1, 28, 28], 64, &[&[16, 1, 5, 5], &[32, 16, 5, 5], &[128, 512], &[10, 128]]), 4);
        // Never into more shards than rows.
        assert_eq!(shards(&[1, 4096], 4096, &[&[384, 128], &[512, 128]]), 1);
    }
}
