//! Groups of flags that commands share.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::PossibleValuesParser;
use nn::{Activation, Loss, Optimizer};

use super::CommandError;
use super::values::{coefficient, non_negative, positive, positive_count, proper_share, seed, thread_count};
use crate::config::data::Csv;
use crate::config::{Config, Dtype, Fixed, Formula, Rule, Source};
use crate::report::run_folder::{Existing, default_path};

/// The configuration file, and what flags change in it.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// Start from the settings of this file instead of the defaults; flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The network.
    #[command(flatten)]
    pub model: ModelArgs,
    /// The data.
    #[command(flatten)]
    pub data: DataArgs,
    /// The learning rate.
    #[command(flatten)]
    pub rule: RuleArgs,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl ConfigArgs {
    /// The configuration that file and flags come to.
    ///
    /// # Errors
    /// If the file makes no sense, or a flag none with it.
    pub fn settle(&self) -> Result<Config, CommandError> {
        let mut config = self.config.as_deref().map_or(Ok(Config::default()), Config::open)?;
        self.data.apply(&mut config);
        self.model.apply(&mut config)?;
        self.rule.apply(&mut config.rule)?;
        if let Some(dtype) = self.machine.dtype {
            config.training.dtype = dtype;
        }
        let paths = [("--data", &self.data.data), ("--from", &self.model.from)];
        if let Some((flag, path)) = paths.iter().find(|(_, path)| path.as_ref().is_some_and(|p| p.to_str().is_none())) {
            let found = path.as_deref().unwrap_or(Path::new("")).display();
            let message =
                format!("{flag}: found {found}, expected a path in UTF-8, which the run's configuration can name");
            return Err(CommandError::Usage(message));
        }
        match config.second_direction() {
            Some(message) => Err(CommandError::Usage(format!("--direction: {message}"))),
            None => Ok(config),
        }
    }

    /// The default run folder: `runs/NAME-RULE-seedN`, named after the configuration file or else the data, with the optimizer if it is
    /// not sgd.
    pub fn default_place(&self, data: &str, config: &Config) -> PathBuf {
        let name = self.config.as_deref().and_then(|path| path.file_stem()).map(|stem| stem.to_string_lossy());
        let rule = match config.direction.optimizer {
            Optimizer::Sgd => config.rule.name().to_owned(),
            other => format!("{}-{other}", config.rule.name()),
        };
        default_path(name.as_deref().unwrap_or(data), &rule, config.training.seed)
    }
}

/// The data, and how it is split.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Train on this CSV file, whose first line names the columns, instead of the built-in handwritten digits
    #[arg(long, value_name = "FILE", requires = "target")]
    pub data: Option<PathBuf>,
    /// The column of --data to predict; all others are inputs
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub target: Option<String>,
    /// The share of the samples that is kept for testing and never trained on [default: 0.2]
    #[arg(long, value_name = "SHARE", value_parser = proper_share)]
    pub test_share: Option<f64>,
    /// Samples in a mini-batch [default: 64]
    #[arg(long, value_name = "N", value_parser = positive_count)]
    pub batch: Option<usize>,
    /// The seed of the split, the initial parameters and the mini-batches: the same seed gives the same run [default: 0]
    #[arg(long, value_name = "SEED", value_parser = seed)]
    pub seed: Option<u64>,
}

impl DataArgs {
    fn apply(&self, config: &mut Config) {
        if let (Some(file), Some(target)) = (self.data.clone(), self.target.clone()) {
            config.data.source = Source::Csv(Csv { file, target });
        }
        if let Some(share) = self.test_share {
            config.data.preparation.test_share = Some(share);
        }
        config.training.batch = self.batch.unwrap_or(config.training.batch);
        config.training.seed = self.seed.unwrap_or(config.training.seed);
    }
}

/// The network and its loss.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Sizes of the hidden layers, first to last, separated by commas [default: 128,128]
    #[arg(long, value_name = "SIZES", value_delimiter = ',', value_parser = positive_count)]
    pub hidden: Option<Vec<usize>>,
    /// The activation of the hidden layers: identity, relu, leaky_relu, elu, tanh, sigmoid, softplus, gelu, gelu_tanh or
    /// silu [default: tanh]
    #[arg(long, value_name = "NAME")]
    pub act: Option<Activation>,
    /// The loss that training minimises: ce (cross-entropy of classes), mse, nsq (half the squared norm), bce (binary
    /// cross-entropy) or huber [default: ce]
    #[arg(long, value_name = "NAME")]
    pub loss: Option<Loss>,
    /// Start from the parameters in this safetensors file, named as PyTorch names them, instead of random ones
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The optimizer along whose direction steps are taken: sgd, momentum, nesterov, rmsprop, rmsprop_centered, adagrad,
    /// adam, amsgrad, adamw or lion [default: sgd]
    #[arg(long, value_name = "NAME", help_heading = "Direction")]
    pub direction: Option<Optimizer>,
    /// The penalty (LAMBDA/2)·‖θ‖², whose gradient is added to the loss's; with adamw and lion LAMBDA·θ is added to the
    /// direction instead [default: 0.01 for adamw, 0 for others]
    #[arg(long, value_name = "LAMBDA", value_parser = non_negative, help_heading = "Direction")]
    pub weight_decay: Option<f64>,
}

impl ModelArgs {
    fn apply(&self, config: &mut Config) -> Result<(), CommandError> {
        if let Some(hidden) = &self.hidden {
            *config.model.hidden().ok_or_else(|| misfit("--hidden", "sizes of hidden layers"))? = hidden.clone();
        }
        if let Some(act) = self.act {
            *config.model.act().ok_or_else(|| misfit("--act", "one activation"))? = act;
        }
        if let Some(loss) = &self.loss {
            config.loss = loss.clone();
        }
        if let Some(from) = &self.from {
            config.training.from = Some(from.clone());
        }
        if let Some(optimizer) = self.direction.filter(|named| *named != config.direction.optimizer) {
            config.direction = optimizer.into();
        }
        if let Some(lambda) = self.weight_decay {
            config.direction.settings.weight_decay = Some(lambda);
        }
        Ok(())
    }
}

fn misfit(flag: &str, what: &str) -> CommandError {
    CommandError::Usage(format!("{flag}: the configured model has not {what}"))
}

/// The learning-rate rule and its parameters.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Learning rate")]
pub struct RuleArgs {
    /// How the learning rate of a step is chosen [default: exact]: exact GeN (α = num/den by exact derivatives along the direction,
    /// less where that has momentum), approx (the same ratio from the loss at three points), constant (--lr), or a rival
    #[arg(long, value_name = "RULE", value_parser = PossibleValuesParser::new(Formula::NAMES))]
    pub rule: Option<String>,
    /// The learning rate of --rule constant
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub lr: Option<f64>,
    /// Rates below this are raised to it [default: none]
    #[arg(long, value_name = "RATE", value_parser = non_negative)]
    pub lr_min: Option<f64>,
    /// Rates above this are lowered to it [default: none]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub lr_max: Option<f64>,
    /// The rate where the rule has no answer, such as where the loss is concave along the direction; approximate GeN
    /// also starts from it [default: 0.001]
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub default_lr: Option<f64>,
    /// How much of the previous rate is kept: α ← SHARE·α + (1 − SHARE)·num/den [default: 0 for exact, 0.9 for approx]
    #[arg(long, value_name = "SHARE", value_parser = coefficient)]
    pub gamma: Option<f64>,
    /// Choose a new rate every N steps, and keep it in between [default: 1]
    #[arg(long, value_name = "N", value_parser = positive_count)]
    pub every: Option<usize>,
}

impl RuleArgs {
    /// Changes a rule as the flags say.
    ///
    /// # Errors
    /// If a parameter is given that the rule does not have, or the bounds cross.
    fn apply(&self, rule: &mut Rule) -> Result<(), CommandError> {
        if let Some(name) = self.rule.as_deref().filter(|name| *name != rule.name()) {
            *rule = Formula::named(name).expect("a listed rule").into();
            if name == "constant" && self.lr.is_none() {
                return Err(CommandError::Usage("--rule constant: expected --lr <RATE>".to_owned()));
            }
        }
        match (&mut rule.formula, self.lr) {
            (Formula::Fixed(Fixed { lr }), given) => {
                *lr = given.unwrap_or(*lr);
                self.refuse_policy()
            }
            (_, Some(lr)) => {
                let message = format!("--lr {lr}: is for --rule constant only; other rules choose the rate themselves");
                Err(CommandError::Usage(message))
            }
            _ => self.apply_policy(rule),
        }
    }

    fn apply_policy(&self, rule: &mut Rule) -> Result<(), CommandError> {
        let policy = &mut rule.policy;
        policy.lr_min = self.lr_min.unwrap_or(policy.lr_min);
        policy.lr_max = self.lr_max.or(policy.lr_max);
        policy.default_lr = self.default_lr.unwrap_or(policy.default_lr);
        policy.gamma = self.gamma.unwrap_or(policy.gamma);
        policy.every = self.every.map_or(policy.every, |every| every as u64);
        match policy.lr_max {
            Some(lr_max) if lr_max < policy.lr_min => {
                Err(CommandError::Usage(format!("--lr-min {}: must not exceed --lr-max {lr_max}", policy.lr_min)))
            }
            _ => Ok(()),
        }
    }

    fn refuse_policy(&self) -> Result<(), CommandError> {
        let given = [
            ("--lr-min", self.lr_min.is_some()),
            ("--lr-max", self.lr_max.is_some()),
            ("--default-lr", self.default_lr.is_some()),
            ("--gamma", self.gamma.is_some()),
            ("--every", self.every.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(CommandError::Usage(format!("{flag}: --rule constant has no such parameter"))),
            None => Ok(()),
        }
    }
}

/// The arithmetic and the number of threads, which changes no result.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// The floating-point type of parameters and data [default: f32]
    #[arg(long, value_name = "TYPE")]
    pub dtype: Option<Dtype>,
    /// Threads to compute with; the numbers do not depend on it [default: one a core]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub threads: Option<usize>,
}

impl MachineArgs {
    /// The floating-point type, single precision unless told.
    pub fn dtype(&self) -> Dtype {
        self.dtype.unwrap_or_default()
    }
}

/// Where results go.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The folder of results; it appears once they are complete [default: a folder in runs/, replaced each time]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Replace the run that --out holds
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

impl OutputArgs {
    /// The run folder and what to do with an earlier run in it: `--out`, which is kept unless `--force` is given, or
    /// else `default`, a scratch place that is replaced.
    pub fn place(&self, default: PathBuf) -> (PathBuf, Existing) {
        match &self.out {
            Some(out) if !self.force => (out.clone(), Existing::Keep),
            Some(out) => (out.clone(), Existing::Replace),
            None => (default, Existing::Replace),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        rule: RuleArgs,
    }

    fn settle(flags: &str) -> Result<Rule, String> {
        let words = std::iter::once("test").chain(flags.split_whitespace());
        let mut rule = Rule::default();
        Only::try_parse_from(words).unwrap().rule.apply(&mut rule).map(|()| rule).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_differ_by_rule() {
        let exact = Rule::default();
        assert_eq!((exact.policy.lr_min, exact.policy.default_lr, exact.policy.every), (0.0, 1e-3, 1));
        assert_eq!((exact.policy.gamma, exact.name()), (0.0, "exact"));
        assert_eq!(settle(""), Ok(exact.clone()));
        let approximate = settle("--rule approx").unwrap();
        assert_eq!((approximate.name(), approximate.policy.gamma), ("approx", 0.9));
        assert_eq!(settle("--rule constant --lr 0.1").unwrap().formula, Formula::Fixed(Fixed { lr: 0.1 }));
        assert_eq!(settle("--rule constant").unwrap_err(), "--rule constant: expected --lr <RATE>");
        let mut bounded = exact;
        (bounded.policy.lr_min, bounded.policy.lr_max, bounded.policy.every) = (0.01, Some(2.0), 4);
        assert_eq!(settle("--lr-min 0.01 --lr-max 2 --every 4"), Ok(bounded));
    }

    #[test]
    fn only_a_named_folder_is_kept() {
        let place = |out: Option<&str>, force| {
            OutputArgs { out: out.map(PathBuf::from), force, quiet: false }.place(PathBuf::from("runs/x"))
        };
        assert_eq!(place(None, false), (PathBuf::from("runs/x"), Existing::Replace));
        assert_eq!(place(Some("mine"), false), (PathBuf::from("mine"), Existing::Keep));
        assert_eq!(place(Some("mine"), true), (PathBuf::from("mine"), Existing::Replace));
    }

    #[test]
    fn parameters_of_another_rule_are_refused() {
        assert_eq!(
            settle("--rule constant --lr 1 --gamma 0.5").unwrap_err(),
            "--gamma: --rule constant has no such parameter"
        );
        assert!(settle("--lr 0.1").unwrap_err().starts_with("--lr 0.1: is for --rule constant only"));
        assert_eq!(settle("--lr-min 2 --lr-max 1").unwrap_err(), "--lr-min 2: must not exceed --lr-max 1");
    }
}
