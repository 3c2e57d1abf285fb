//! Groups of flags that commands share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use nn::{Activation, Loss, Optimizer};
use serde::{Serialize, Serializer};

use super::CommandError;
use super::values::{coefficient, non_negative, positive, positive_count, proper_share, thread_count};
use crate::report::run_folder::Existing;

/// The floating-point type of a computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// Single precision
    F32,
    /// Double precision
    F64,
}

impl Dtype {
    /// The name by which `--dtype` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F64 => "f64",
        }
    }
}

/// The data, and how it is split.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Train on this CSV file, whose first line names the columns, instead of the built-in handwritten digits
    #[arg(long, value_name = "FILE", requires = "target")]
    pub data: Option<PathBuf>,
    /// The column of --data to predict; all others are inputs
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub target: Option<String>,
    /// The share of the samples that is kept for testing and never trained on
    #[arg(long, value_name = "SHARE", default_value = "0.2", value_parser = proper_share)]
    pub test_share: f64,
    /// Samples in a mini-batch
    #[arg(long, value_name = "N", default_value = "64", value_parser = positive_count)]
    pub batch: usize,
    /// The seed of the split, the initial parameters and the mini-batches: the same seed gives the same run
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    pub seed: u64,
}

/// The network and its loss.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Sizes of the hidden layers, first to last, separated by commas
    #[arg(long, value_name = "SIZES", value_delimiter = ',', default_value = "128,128", value_parser = positive_count)]
    pub hidden: Vec<usize>,
    /// The activation of the hidden layers: identity, relu, leaky_relu, elu, tanh, sigmoid, softplus, gelu, gelu_tanh or
    /// silu
    #[arg(long, value_name = "NAME", default_value = "tanh")]
    #[serde(serialize_with = "by_name")]
    pub act: Activation,
    /// The loss that training minimises: ce (cross-entropy of classes), mse, nsq (half the squared norm), bce (binary
    /// cross-entropy) or huber
    #[arg(long, value_name = "NAME", default_value = "ce")]
    #[serde(serialize_with = "by_name")]
    pub loss: Loss,
    /// The optimizer along whose direction steps are taken: sgd, momentum, nesterov, rmsprop, rmsprop_centered, adagrad,
    /// adam, amsgrad, adamw or lion
    #[arg(long, value_name = "NAME", default_value = "sgd", help_heading = "Direction")]
    #[serde(serialize_with = "by_name")]
    pub direction: Optimizer,
    /// The penalty (LAMBDA/2)·‖θ‖², whose gradient is added to the loss's; with adamw and lion LAMBDA·θ is added to the
    /// direction instead [default: 0.01 for adamw, 0 for others]
    #[arg(long, value_name = "LAMBDA", value_parser = non_negative, help_heading = "Direction")]
    #[serde(skip)]
    pub weight_decay: Option<f64>,
}

impl ModelArgs {
    /// The λ of weight decay.
    pub fn decay(&self) -> f64 {
        self.weight_decay.unwrap_or(self.direction.usual_decay())
    }
}

/// A configuration as it is saved: the flags, with the defaults of rule and weight decay filled in.
#[derive(Serialize)]
pub(crate) struct Resolved<'a, A> {
    pub(crate) rule: Rule,
    pub(crate) weight_decay: f64,
    #[serde(flatten)]
    pub(crate) args: &'a A,
}

/// Saves a value by the name that its flag takes.
pub(crate) fn by_name<S: Serializer>(value: &impl ToString, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&value.to_string())
}

/// Names of the learning-rate rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RuleName {
    /// Exact GeN: α = num/den, from exact derivatives along the direction; less where that has momentum
    Exact,
    /// Approximate GeN: the same ratio from the loss at three points
    Approx,
    /// The rate given by --lr at every step
    Constant,
}

/// The learning-rate rule and its parameters.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Learning rate")]
pub struct RuleArgs {
    /// How the learning rate of a step is chosen
    #[arg(long, value_name = "RULE", default_value = "exact")]
    pub rule: RuleName,
    /// The learning rate of --rule constant
    #[arg(long, value_name = "RATE", required_if_eq("rule", "constant"), value_parser = positive)]
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

/// A learning-rate rule with every parameter settled.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase", tag = "name")]
pub enum Rule {
    /// α = num/den from exact derivatives.
    Exact(GenParameters),
    /// α from the loss at three points.
    Approx(GenParameters),
    /// The same α at every step.
    Constant {
        /// The rate.
        lr: f64,
    },
}

/// Parameters of both forms of GeN.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GenParameters {
    /// The least rate, 0 for none.
    pub lr_min: f64,
    /// The greatest rate, if any.
    pub lr_max: Option<f64>,
    /// The rate where the rule does not apply.
    pub default_lr: f64,
    /// The moving average's coefficient, 0 ≤ γ < 1.
    pub gamma: f64,
    /// Steps from one choice to the next (Φ), at least 1.
    pub every: usize,
}

impl Rule {
    /// The name by which `--rule` chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Rule::Exact(_) => "exact",
            Rule::Approx(_) => "approx",
            Rule::Constant { .. } => "constant",
        }
    }

    /// The name in titles.
    pub fn title(self) -> &'static str {
        match self {
            Rule::Exact(_) => "Exact GeN",
            Rule::Approx(_) => "Approximate GeN",
            Rule::Constant { .. } => "Constant rate",
        }
    }
}

impl RuleArgs {
    /// The rule with its defaults filled in.
    ///
    /// # Errors
    /// If a parameter is given that the rule does not have, or the bounds cross.
    pub fn settle(&self) -> Result<Rule, CommandError> {
        if self.rule == RuleName::Constant {
            self.refuse_gen_parameters()?;
            let lr = self.lr.ok_or_else(|| CommandError::Usage("--rule constant: expected --lr <RATE>".to_owned()))?;
            return Ok(Rule::Constant { lr });
        }
        if let Some(lr) = self.lr {
            return Err(CommandError::Usage(format!(
                "--lr {lr}: is for --rule constant only; GeN chooses the rate itself"
            )));
        }
        let lr_min = self.lr_min.unwrap_or(0.0);
        if let Some(lr_max) = self.lr_max.filter(|max| *max < lr_min) {
            return Err(CommandError::Usage(format!("--lr-min {lr_min}: must not exceed --lr-max {lr_max}")));
        }
        let gen_parameters = |gamma| GenParameters {
            lr_min,
            lr_max: self.lr_max,
            default_lr: self.default_lr.unwrap_or(1e-3),
            gamma: self.gamma.unwrap_or(gamma),
            every: self.every.unwrap_or(1),
        };
        Ok(if self.rule == RuleName::Exact {
            Rule::Exact(gen_parameters(0.0))
        } else {
            Rule::Approx(gen_parameters(0.9))
        })
    }

    fn refuse_gen_parameters(&self) -> Result<(), CommandError> {
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
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// The floating-point type of parameters and data
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: Dtype,
    /// Threads to compute with; the numbers do not depend on it [default: one a core]
    #[arg(long, value_name = "N", value_parser = thread_count)]
    pub threads: Option<usize>,
}

/// Where results go.
#[derive(Clone, Debug, Args, Serialize)]
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
        Only::try_parse_from(words).unwrap().rule.settle().map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_differ_by_rule() {
        let gen_parameters = GenParameters { lr_min: 0.0, lr_max: None, default_lr: 1e-3, gamma: 0.0, every: 1 };
        assert_eq!(settle(""), Ok(Rule::Exact(gen_parameters)));
        assert_eq!(settle("--rule approx"), Ok(Rule::Approx(GenParameters { gamma: 0.9, ..gen_parameters })));
        assert_eq!(settle("--rule constant --lr 0.1"), Ok(Rule::Constant { lr: 0.1 }));
        let bounded = GenParameters { lr_min: 0.01, lr_max: Some(2.0), every: 4, ..gen_parameters };
        assert_eq!(settle("--lr-min 0.01 --lr-max 2 --every 4"), Ok(Rule::Exact(bounded)));
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
