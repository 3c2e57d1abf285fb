//! `parabola sample`: text that a trained network goes on with.

use std::path::PathBuf;

use ad_core::{Real, Tensor};
use clap::Args;
use nn::data::Text;
use nn::random::{Generator, Key};
use nn::{Context, Scope};

use super::CommandError;
use super::values::{positive, positive_count};
use crate::config::{Config, Dtype, Model};
use crate::report::print::print;
use crate::report::run_folder::{CONFIG, PARAMETERS};
use crate::session::{Session, in_pool};

/// The help text of the command.
pub(super) const ABOUT: &str = "\
    Writes text with a network that was trained on a text, of which this is the run folder: characters one after another, \
    each drawn by the probabilities that the network gives after those before it.";

/// Flags of `parabola sample`.
#[derive(Clone, Debug, Args)]
pub struct SampleArgs {
    /// The run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// What the text begins with; its characters must occur in the training text
    #[arg(long, value_name = "TEXT", default_value = "The ")]
    pub prompt: String,
    /// How many characters to write
    #[arg(long, value_name = "N", default_value = "500", value_parser = positive_count)]
    pub length: usize,
    /// Divides the logits: below 1 likely characters become likelier
    #[arg(long, value_name = "T", default_value = "0.8", value_parser = positive)]
    pub temperature: f64,
    /// The seed of the draws
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
}

/// Prints the text.
///
/// # Errors
/// If the folder holds no finished run on a text, or the prompt has other characters than that.
pub fn run(args: SampleArgs) -> Result<(), CommandError> {
    let mut config = Config::open(&args.run.join(CONFIG))?;
    config.training.from = Some(args.run.join(PARAMETERS));
    in_pool(None, || match config.training.dtype {
        Dtype::F32 => sample::<f32>(&args, &config),
        Dtype::F64 => sample::<f64>(&args, &config),
    })
}

fn sample<T: Real>(args: &SampleArgs, config: &Config) -> Result<(), CommandError> {
    let session = Session::<T>::open(config)?;
    let Some(text) = &session.text else {
        let message = format!("{}: found a run on {}, expected one on a text", args.run.display(), session.data);
        return Err(CommandError::Usage(message));
    };
    let context = session.trainer.batch_at(0).inputs.shape()[1];
    let mut ids = text.encode(&args.prompt)?;
    if ids.is_empty() {
        return Err(CommandError::Usage("--prompt: found no character, expected one at least".to_owned()));
    }
    // Layers put together may ask for as many positions as they were trained with.
    let length = if matches!(config.model, Model::Layers { .. }) { context } else { 0 };
    let mut random = Key::new(args.seed).named("sample").generator();
    for _ in 0..args.length {
        let seen = &ids[ids.len().saturating_sub(context)..];
        let logits = next(&session, seen, length);
        ids.push(draw(&logits, args.temperature, &mut random));
    }
    print(&format!("{}\n", Text::decode(text, &ids))).map_err(CommandError::Output)
}

/// The logits of the character after these, which others follow where there are fewer than `least`: a network that learned to tell
/// the next character looks at none that comes later.
fn next<T: Real>(session: &Session<T>, seen: &[u32], least: usize) -> Vec<f64> {
    let stepper = session.trainer.stepper();
    let mut numbers: Vec<T> = seen.iter().map(|&id| T::from_f64(f64::from(id))).collect();
    numbers.resize(seen.len().max(least), T::from_f64(0.0));
    let p = Scope::new(stepper.theta()).within(Context::evaluation(stepper.buffers()));
    let output = stepper.net().forward(&p, &Tensor::from_vec(&[1, numbers.len()], numbers));
    let classes = output.shape()[2];
    output.data()[(seen.len() - 1) * classes..seen.len() * classes].iter().map(|z| z.to_f64()).collect()
}

/// A number drawn with probabilities softmax(logits / temperature).
fn draw(logits: &[f64], temperature: f64, random: &mut Generator) -> u32 {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|z| ((z - most) / temperature).exp()).collect();
    let mut left = random.uniform() * weights.iter().sum::<f64>();
    for (id, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return id as u32;
        }
    }
    weights.len() as u32 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_probabilities() {
        let mut random = Key::new(3).generator();
        let logits = [0.0, f64::NEG_INFINITY, 3f64.ln()];
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[draw(&logits, 1.0, &mut random) as usize] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((counts[2] as f64 / 4000.0 - 0.75).abs() < 0.03, "{counts:?}");
        // A low temperature takes the likeliest.
        assert!((0..100).all(|_| draw(&logits, 1e-3, &mut random) == 2));
    }
}
