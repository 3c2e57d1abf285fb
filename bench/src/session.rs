//! From flags to a trainer: data, network, direction and rule, put together.

use std::path::Path;

use ad_core::{Params, Real, Tensor};
use gen_sched::{ApproximateGen, Constant, ExactGen, Policy, Stepper, Trainer};
use nn::data::{Dataset, Split, Standardizer, TargetKind, Targets, digits, read_csv};
use nn::random::Key;
use nn::{Architecture, Loss, Mlp};

use crate::command::CommandError;
use crate::command::flags::{DataArgs, GenParameters, ModelArgs, Rule};

/// Everything that a run is made of, ready to go.
#[derive(Debug)]
pub struct Session<T: Real> {
    /// The trainer at its first step.
    pub trainer: Trainer<T>,
    /// Name of the data, for folders and titles.
    pub data: String,
    /// Layer sizes of the network, inputs first.
    pub sizes: Vec<usize>,
    /// Rows of the training and of the test part.
    pub rows: [usize; 2],
}

impl<T: Real> Session<T> {
    /// A short name of the data, without folders and ending.
    pub fn name(&self) -> String {
        Path::new(&self.data).file_stem().map_or_else(|| self.data.clone(), |s| s.to_string_lossy().into_owned())
    }

    /// Reads and splits the data, standardises both parts by the training part, and draws the network's parameters.
    ///
    /// # Errors
    /// If the data cannot be read, do not fit the loss, or have fewer rows than a mini-batch.
    pub fn open(data: &DataArgs, model: &ModelArgs, rule: Rule, epochs: usize) -> Result<Self, CommandError> {
        let key = Key::new(data.seed);
        let (train, test) = parts(data, &model.loss, key)?;
        let sizes: Vec<usize> =
            [train.features()].into_iter().chain(model.hidden.iter().copied()).chain([train.outputs()]).collect();
        let net = Mlp::new(&sizes, model.act);
        let theta: Params<Tensor<T>> = net.init(key.named("init"));
        let direction = model.direction.direction(model.decay());
        let stepper = Stepper::new(Box::new(net), theta, model.loss.clone(), direction, boxed(rule))
            .seeded(key.named("steps"))
            .measuring_decrease();
        let (name, rows) = (train.name().to_owned(), [train.rows(), test.rows()]);
        let trainer = Trainer::new(stepper, train, &test, data.batch, epochs as u64, key.named("batches"))?;
        Ok(Session { trainer, data: name, sizes, rows })
    }
}

/// The training and test parts, standardised.
fn parts(args: &DataArgs, loss: &Loss, key: Key) -> Result<(Dataset, Dataset), CommandError> {
    let classifies = matches!(loss, Loss::CrossEntropy { .. });
    let (whole, pixels) = match (&args.data, &args.target) {
        (Some(path), Some(target)) => {
            let kind = if classifies { TargetKind::Classes(None) } else { TargetKind::Values };
            (read_csv(path, target, kind)?, false)
        }
        _ if classifies => (digits(), true),
        _ => {
            let message =
                "--loss: the built-in digits have class labels, for which expected ce; --data takes other losses";
            return Err(CommandError::Usage(message.to_owned()));
        }
    };
    let split = match whole.targets() {
        Targets::Classes { .. } => Split::stratified(&whole, args.test_share, key.named("split"))?,
        Targets::Sequences { .. } | Targets::Values(_) => Split::random(&whole, args.test_share, key.named("split"))?,
    };
    let fitted = if pixels { Standardizer::fit_overall } else { Standardizer::fit }(split.train.inputs());
    Ok((split.train.standardized(&fitted)?, split.test.standardized(&fitted)?))
}

/// The rule with its settings.
fn boxed<T: Real>(rule: Rule) -> Box<dyn gen_sched::Rule<T>> {
    match rule {
        Rule::Exact(settings) => Box::new(ExactGen::new(policy(settings))),
        Rule::Approx(settings) => Box::new(ApproximateGen::new(policy(settings))),
        Rule::Constant { lr } => Box::new(Constant::new(lr)),
    }
}

fn policy(settings: GenParameters) -> Policy {
    let GenParameters { lr_min, lr_max, default_lr, gamma, every } = settings;
    Policy {
        lr_min,
        lr_max: lr_max.unwrap_or(f64::INFINITY),
        default_rate: default_lr,
        every: every as u64,
        gamma,
        ..Policy::default()
    }
}

/// Runs `f` in a pool of this many threads (one a core if `None`).
///
/// # Errors
/// If the threads cannot be started, or `f` fails.
pub fn in_pool<R: Send>(
    threads: Option<usize>,
    f: impl FnOnce() -> Result<R, CommandError> + Send,
) -> Result<R, CommandError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.unwrap_or(0))
        .build()
        .map_err(|e| CommandError::Other(format!("cannot start threads: {e}").into()))?;
    pool.install(f)
}
