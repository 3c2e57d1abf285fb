//! One model in several sizes, to see how its cost grows.

use clap::ValueEnum;
use serde::Serialize;

use super::Spec;
use super::spec::{Network, SpecError};

/// What is varied of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SizeAxis {
    /// The rows of the batch
    Batch,
    /// The width of all hidden layers
    Width,
    /// The number of hidden layers
    Depth,
}

/// A model in one of its sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct SizedModel {
    /// The rows of the batch, the width of the first hidden layer or of a decoder, or the number of hidden layers or blocks.
    pub size: usize,
    /// The model.
    pub spec: Spec,
}

/// How many sizes there are.
const SIZES: usize = 5;

impl SizeAxis {
    /// The name by which `--scaling` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            SizeAxis::Batch => "batch",
            SizeAxis::Width => "width",
            SizeAxis::Depth => "depth",
        }
    }

    /// The model in five sizes, smallest first, each twice the one before, and which of them is its own: from a quarter of
    /// it to four times it, further up where a quarter would be less than 1. Halves are rounded up.
    ///
    /// More hidden layers repeat the last one; fewer leave out the last ones. A convolutional network's width is that of its channels and its
    /// hidden layers, its depth the number of its hidden layers.
    ///
    /// # Errors
    /// If the model has no hidden layer to vary, or the largest size has more numbers than are supported.
    ///
    /// ```
    /// use bench::reference::Spec;
    /// use bench::reference::sizes::SizeAxis;
    /// let spec = Spec::from_name_or_json("mlp-digits")?;
    /// let (models, own) = SizeAxis::Width.ladder(&spec)?;
    /// assert_eq!(models.each_ref().map(|m| m.size), [32, 64, 128, 256, 512]);
    /// assert_eq!((&models[own].spec, models[0].spec.network.to_string()), (&spec, "sizes [64, 32, 32, 10]".to_owned()));
    /// # Ok::<(), bench::reference::spec::SpecError>(())
    /// ```
    pub fn ladder(self, spec: &Spec) -> Result<([SizedModel; SIZES], usize), SpecError> {
        let own = match self {
            SizeAxis::Batch => Some(spec.batch),
            SizeAxis::Width => spec.network.hidden().iter().min().copied(),
            SizeAxis::Depth => spec.network.depth(),
        };
        let own = own.ok_or_else(|| SpecError::NoHidden { axis: self.name(), what: spec.network.to_string() })?;
        let below = own.ilog2().min(2);
        let models: Result<Vec<SizedModel>, SpecError> =
            (0..SIZES as u32).map(|above| self.sized(spec, |n| (n << above).div_ceil(1 << below))).collect();
        Ok((models?.try_into().expect("one for each size"), below as usize))
    }

    /// The model with its sizes along the axis changed.
    fn sized(self, spec: &Spec, change: impl Fn(usize) -> usize) -> Result<SizedModel, SpecError> {
        let (batch, network) = match self {
            SizeAxis::Batch => (change(spec.batch), spec.network.clone()),
            SizeAxis::Width => (spec.batch, spec.network.widened(change)),
            SizeAxis::Depth => (spec.batch, spec.network.deepened(change)),
        };
        let size = match self {
            SizeAxis::Batch => Some(batch),
            SizeAxis::Width => network.hidden().first().copied(),
            SizeAxis::Depth => network.depth(),
        };
        Ok(SizedModel { size: size.unwrap_or(0), spec: spec.resized(network, batch)? })
    }
}

/// The hidden layers among the sizes of fully connected layers, inputs left out.
fn hidden(sizes: &[usize]) -> &[usize] {
    sizes.split_last().map_or(&[], |(_, hidden)| hidden)
}

/// The last hidden size, of which there is one at least, repeated or left out.
fn resized(sizes: &[usize], change: impl Fn(usize) -> usize) -> Vec<usize> {
    let hidden = hidden(sizes);
    let last = hidden.len() - 1;
    (0..change(hidden.len())).map(|i| hidden[i.min(last)]).chain(sizes.last().copied()).collect()
}

/// Hidden sizes changed, outputs kept.
fn changed(sizes: &[usize], change: impl Fn(usize) -> usize) -> Vec<usize> {
    hidden(sizes).iter().map(|n| change(*n)).chain(sizes.last().copied()).collect()
}

impl Network {
    /// The widths of hidden layers, convolutions included, or of a decoder's blocks.
    pub fn hidden(&self) -> Vec<usize> {
        match self {
            Network::Mlp { sizes, .. } => hidden(&sizes[1..]).to_vec(),
            Network::Cnn { channels, fc, .. } => [&channels[1..], hidden(fc)].concat(),
            Network::Gpt { width, .. } => vec![*width],
        }
    }

    /// The number of hidden layers, where there are any.
    fn depth(&self) -> Option<usize> {
        let layers = match self {
            Network::Mlp { sizes, .. } => sizes.len() - 2,
            Network::Cnn { fc, .. } => hidden(fc).len(),
            Network::Gpt { layers, .. } => *layers,
        };
        Some(layers).filter(|n| *n > 0)
    }

    /// With all hidden widths changed.
    fn widened(&self, change: impl Fn(usize) -> usize) -> Network {
        let mut wide = self.clone();
        match &mut wide {
            Network::Mlp { sizes, .. } => *sizes = [vec![sizes[0]], changed(&sizes[1..], change)].concat(),
            Network::Cnn { channels, fc, .. } => {
                channels[1..].iter_mut().for_each(|c| *c = change(*c));
                *fc = changed(fc, change);
            }
            // Whole numbers a head, so that the number of heads stays.
            Network::Gpt { width, heads, .. } => *width = change(*width).next_multiple_of(*heads),
        }
        wide
    }

    /// With another number of hidden layers.
    fn deepened(&self, change: impl Fn(usize) -> usize) -> Network {
        let mut deep = self.clone();
        match &mut deep {
            Network::Mlp { sizes, .. } => *sizes = [vec![sizes[0]], resized(&sizes[1..], change)].concat(),
            Network::Cnn { fc, .. } => *fc = resized(fc, change),
            Network::Gpt { layers, .. } => *layers = change(*layers),
        }
        deep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(sizes: &str, batch: usize) -> Spec {
        let json = format!(r#"{{"kind":"mlp","sizes":{sizes},"batch":{batch},"act":"relu","loss":"mse"}}"#);
        Spec::from_name_or_json(&json).unwrap()
    }

    fn sizes_of(spec: &Spec) -> Vec<usize> {
        let Network::Mlp { sizes, .. } = &spec.network else { panic!("an mlp") };
        sizes.clone()
    }

    /// The sizes along an axis and which of them is the model's own, checked to be the model itself.
    #[track_caller]
    fn ladder(axis: SizeAxis, spec: &Spec) -> (Vec<usize>, Vec<Spec>) {
        let (models, own) = axis.ladder(spec).unwrap();
        assert_eq!(models[own].spec, *spec);
        models.into_iter().map(|m| (m.size, m.spec)).unzip()
    }

    #[test]
    fn batches_go_from_a_quarter_to_four_times_but_not_below_one() {
        for (own, sizes) in [
            (64, [16, 32, 64, 128, 256]),
            (1, [1, 2, 4, 8, 16]),
            (2, [1, 2, 4, 8, 16]),
            (3, [2, 3, 6, 12, 24]),
            (5, [2, 3, 5, 10, 20]),
        ] {
            let spec = spec("[4,3,2]", own);
            let (found, models) = ladder(SizeAxis::Batch, &spec);
            assert_eq!(found, sizes);
            assert!(models.iter().zip(sizes).all(|(m, batch)| m.batch == batch && m.network == spec.network));
        }
    }

    #[test]
    fn widths_keep_their_proportion_inputs_and_outputs() {
        let (sizes, models) = ladder(SizeAxis::Width, &spec("[100,16,8,10]", 3));
        assert_eq!(sizes, [4, 8, 16, 32, 64]);
        assert_eq!((sizes_of(&models[0]), sizes_of(&models[4])), (vec![100, 4, 2, 10], vec![100, 64, 32, 10]));
        assert_eq!(ladder(SizeAxis::Width, &spec("[9,1,7]", 3)).0, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn depths_repeat_the_last_hidden_layer() {
        let (sizes, models) = ladder(SizeAxis::Depth, &spec("[100,16,8,10]", 3));
        assert_eq!(sizes, [1, 2, 4, 8, 16]);
        assert_eq!((sizes_of(&models[0]), sizes_of(&models[2])), (vec![100, 16, 10], vec![100, 16, 8, 8, 8, 10]));
        assert_eq!(ladder(SizeAxis::Depth, &spec("[9,5,4,3,7]", 3)).0, [2, 3, 6, 12, 24]);
    }

    #[test]
    fn convolutions_and_decoders_grow_too() {
        for (name, axis, sizes) in [
            ("cnn", SizeAxis::Width, [4, 8, 16, 32, 64]),
            ("cnn", SizeAxis::Depth, [1, 2, 4, 8, 16]),
            ("gpt", SizeAxis::Width, [32, 64, 128, 256, 512]),
            ("gpt", SizeAxis::Depth, [1, 2, 4, 8, 16]),
        ] {
            let (found, models) = ladder(axis, &Spec::from_name_or_json(name).unwrap());
            assert_eq!(found, sizes, "{name} by {}", axis.name());
            assert!(models.windows(2).all(|w| w[0].parameters() < w[1].parameters()));
        }
    }

    #[test]
    fn every_size_has_more_of_what_it_counts_than_the_one_before() {
        for own in 1..40 {
            for axis in [SizeAxis::Batch, SizeAxis::Width] {
                let (sizes, models) = ladder(axis, &spec(&format!("[2,{own},{}]", own + 1), own));
                assert!(sizes.windows(2).all(|w| w[0] < w[1]), "{own}: {sizes:?}");
                let count = |m: &Spec| m.parameters() * m.batch;
                assert!(models.windows(2).all(|w| count(&w[0]) < count(&w[1])), "{own}: {models:?}");
            }
        }
    }

    #[test]
    fn what_cannot_grow_is_refused() {
        let message = |axis: SizeAxis, spec: &Spec| axis.ladder(spec).unwrap_err().to_string();
        let flat = spec("[4,2]", 3);
        assert!(SizeAxis::Batch.ladder(&flat).is_ok());
        for axis in [SizeAxis::Width, SizeAxis::Depth] {
            let expected = format!("--scaling {}: sizes [4, 2] has no hidden layer", axis.name());
            assert!(message(axis, &flat).contains(&expected));
        }
        assert!(
            message(SizeAxis::Batch, &spec("[4,2]", 100_000_000)).contains("batch 200000000: the model needs more")
        );
        assert!(message(SizeAxis::Width, &spec("[4,20000,20000,2]", 1)).contains("sizes [4, 40000, 40000, 2]"));
    }
}
