//! Whether data, network and settings fit each other, which none of them shows alone.

use ad_core::Real;
use nn::data::{Dataset, Targets};
use nn::{Loss, Net, pattern_fits};

use crate::command::CommandError;
use crate::config::Config;
use crate::suggest::hint;

/// Refuses a test part whose samples are of another shape than those that are trained on.
pub(super) fn check_shapes<T: Real>(train: &Dataset<T>, test: &Dataset<T>) -> Result<(), CommandError> {
    if train.item_shape() == test.item_shape() {
        return Ok(());
    }
    let (found, expected) = (test.item_shape(), train.item_shape());
    let message =
        format!("{}: found samples of shape {found:?}, expected {expected:?}, as in {}", test.name(), train.name());
    Err(CommandError::Other(message.into()))
}

/// Refuses several labels a sample where the data are no text, and class weights of another number of classes.
pub(super) fn check_targets<T: Real>(train: &Dataset<T>, is_text: bool, loss: &Loss) -> Result<(), CommandError> {
    if let (Targets::Sequences { length, .. }, false) = (train.targets(), is_text) {
        let message = format!("{}: found {length} labels for each sample, expected one", train.name());
        return Err(CommandError::Other(message.into()));
    }
    match loss {
        Loss::CrossEntropy { weights: Some(weights), .. } if weights.len() != train.outputs() => {
            let (found, expected) = (weights.len(), train.outputs());
            let message = format!("loss.weights: found {found} numbers, expected {expected}, one for each class");
            Err(CommandError::Usage(message))
        }
        _ => Ok(()),
    }
}

/// Refuses groups of parameters that none belongs to.
pub(super) fn check_patterns<T: Real>(net: &dyn Net<T>, config: &Config) -> Result<(), CommandError> {
    let names: Vec<String> = net.parameters().into_iter().map(|p| p.name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let of_direction =
        config.direction.settings.groups.iter().map(|group| ("direction.groups", group.pattern.as_str()));
    let of_rule = config.rule.formula.patterns().iter().map(|pattern| ("rule.groups", pattern.as_str()));
    match of_direction.chain(of_rule).find(|(_, pattern)| !names.iter().any(|name| pattern_fits(pattern, name))) {
        Some((key, pattern)) => {
            let hint = hint(pattern, &names);
            let expected = format!("expected one that fits a parameter, such as {}", names.first().unwrap_or(&"none"));
            Err(CommandError::Usage(format!("{key}: found pattern {pattern:?}{hint}, {expected}")))
        }
        None => Ok(()),
    }
}

/// Refuses batches of more rows than there are to train on, and those of which a part has a single row where rows are normalised together.
pub(super) fn check_batches<T: Real>(net: &dyn Net<T>, config: &Config, rows: usize) -> Result<(), CommandError> {
    let (batch, part) = (config.training.batch, config.training.micro_batch);
    if batch > rows {
        let message =
            format!("training.batch: found a batch of {batch} rows, expected 1 to {rows}, as many as are trained on");
        return Err(CommandError::Usage(message));
    }
    let fewest = match part {
        0 => batch,
        part if part < batch && !batch.is_multiple_of(part) => batch % part,
        part => part.min(batch),
    };
    if fewest > 1 || !net.mixes_rows() {
        return Ok(());
    }
    let cut = if part == 0 { String::new() } else { format!(" in micro-batches of {part}") };
    let message =
        format!("training.batch: found {batch}{cut}, expected two rows at least wherever batch_norm normalises");
    Err(CommandError::Usage(message))
}
