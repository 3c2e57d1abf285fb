//! From a configuration to a trainer: data, network, direction and rule, put together.

mod checks;

use std::path::Path;

use ad_core::{Ops, Params, Real, Tensor};
use gen_sched::{Parting, Stepper, Trainer};
use nn::data::{
    Augment, Batch, Dataset, Split, Standardizer, TargetKind, Targets, Text, digits, read_csv, read_idx, read_npy,
    read_npz,
};
use nn::random::Key;
use nn::{Init, Loss, Net, init_parameters, weights};

use crate::command::CommandError;
use crate::config::data::{Affine, Csv, Idx, Npy, Npz, Scaling};
use crate::config::{Config, Data, Ends, Source, Started};

use checks::{check_batches, check_patterns, check_shapes, check_targets};

/// Everything that a run is made of, ready to go.
#[derive(Debug)]
pub struct Session<T: Real> {
    /// The trainer at its first step.
    pub trainer: Trainer<T>,
    /// Name of the data, for folders and titles.
    pub data: String,
    /// The network in short, such as `64→128→10, tanh`.
    pub network: String,
    /// Rows of the training and of the test part.
    pub rows: [usize; 2],
    /// The characters of a text, to sample it.
    pub text: Option<Text>,
}

impl<T: Real> Session<T> {
    /// A short name of the data, without folders and ending.
    pub fn name(&self) -> String {
        Path::new(&self.data).file_stem().map_or_else(|| self.data.clone(), |s| s.to_string_lossy().into_owned())
    }

    /// Reads, splits and prepares the data, and draws the network's parameters.
    ///
    /// # Errors
    /// If the data cannot be read, do not fit network or loss, or have fewer rows than a mini-batch.
    pub fn open(config: &Config) -> Result<Self, CommandError> {
        Session::assembled(config).map_err(|error| match (error, &config.file) {
            (CommandError::Usage(message), Some(file)) => CommandError::Usage(format!("{}: {message}", file.display())),
            (error, _) => error,
        })
    }

    fn assembled(config: &Config) -> Result<Self, CommandError> {
        let key = Key::new(config.training.seed);
        let Parts { mut train, mut test, text } = parts::<T>(config, key)?;
        if config.model.reads_rows() && text.is_none() {
            (train, test) = (train.reshaped(&[train.features()]), test.reshaped(&[test.features()]));
        }
        check_targets(&train, text.is_some(), &config.loss)?;
        let augment = augmentation(config, train.item_shape())?;
        let seen = match &augment {
            Some(augment) => augment.centred(&train.batch::<T>(&[0])).inputs.shape()[1..].to_vec(),
            None => train.item_shape().to_vec(),
        };
        let ends = Ends { item: &seen, outputs: train.outputs(), is_text: text.is_some() };
        let net = config.model.build::<T>(&ends).map_err(|message| CommandError::Usage(format!("model: {message}")))?;
        let network = config.model.describe(&ends);
        check_batches(&*net, config, train.rows())?;
        check_patterns(&*net, config)?;
        let (theta, buffers) = start(&*net, config.training.from.as_deref(), key.named("init"))?;
        let total = config.training.epochs as u64 * (train.rows() / config.training.batch) as u64;
        let mut stepper = match config.rule.start(total) {
            Started::Apart(rule) => Stepper::new(net, theta, config.loss.clone(), config.direction.start(), rule),
            Started::Joint(rule) => Stepper::joint(net, theta, config.loss.clone(), rule),
        }
        .seeded(key.named("steps"))
        .telling_work();
        stepper.set_buffers(buffers);
        let stepper = if config.training.measure_decrease { stepper.measuring_decrease() } else { stepper };
        let stepper = match config.training.micro_batch {
            0 => stepper,
            rows => stepper.parting(Parting::MicroBatches(rows)),
        };
        let (data, rows) = (train.name().to_owned(), [train.rows(), test.rows()]);
        let epochs = config.training.epochs as u64;
        let mut trainer = Trainer::new(stepper, train, test, config.training.batch, epochs, key.named("batches"))?
            .evaluating(config.training.evaluate_every as u64, config.training.evaluate_rows);
        if let Some(augment) = augment {
            trainer = trainer.augmented(augment, key.named("augment"));
        }
        Ok(Session { trainer, data, network, rows, text })
    }
}

/// Parameters and buffers.
type Arrays<T> = (Params<Tensor<T>>, Params<Tensor<f64>>);

/// The parameters and buffers that a network starts from: drawn, or those of a file.
fn start<T: Real>(net: &dyn Net<T>, from: Option<&Path>, key: Key) -> Result<Arrays<T>, CommandError> {
    let (theta, buffers) = (init_parameters::<T>(net, key), net.buffers());
    let Some(path) = from else { return Ok((theta, buffers)) };
    let parameters = theta.iter().map(|(name, t)| (name, t.shape()));
    let expected: Vec<_> = parameters.chain(buffers.iter().map(|(name, t)| (name, t.shape()))).collect();
    let counted = |name: &str| name == COUNTER || name.ends_with(&format!(".{COUNTER}"));
    let found = weights::read::<f64>(path)?.into_iter().filter(|(name, _)| !counted(name));
    let mut found = weights::match_parameters(path, weights::reals(path, found)?, &expected)?;
    let statistics = found.split_off(theta.names().len());
    Ok((theta.with(found.iter().map(Tensor::cast).collect()), buffers.with(statistics)))
}

/// PyTorch's count of the batches that normalisation has seen, on which nothing depends here.
const COUNTER: &str = "num_batches_tracked";

/// The training and test parts, prepared.
struct Parts<T: Real> {
    train: Dataset<T>,
    test: Dataset<T>,
    text: Option<Text>,
}

/// Reads and splits the data, and scales both parts by the training part.
fn parts<T: Real>(config: &Config, key: Key) -> Result<Parts<T>, CommandError> {
    let (data, loss) = (&config.data, &config.loss);
    let kind = match loss {
        Loss::CrossEntropy { .. } => TargetKind::Classes(None),
        _ => TargetKind::Values,
    };
    let prepare = Prepare { data, key: key.named("split") };
    let has_classes = matches!(data.source, Source::Digits(_) | Source::Idx(_) | Source::Text(_));
    if has_classes && !matches!(loss, Loss::CrossEntropy { .. }) {
        let why = match data.source {
            Source::Digits(_) => "the built-in digits have class labels; --data takes other losses",
            Source::Idx(_) => "images have class labels",
            _ => "the next character is a class",
        };
        return Err(CommandError::Usage(format!("loss: found {loss}, expected ce: {why}")));
    }
    match &data.source {
        Source::Digits(_) => prepare.split::<f64, T>(&digits()),
        Source::Csv(Csv { file, target }) => prepare.split::<f64, T>(&read_csv(file, target, kind)?),
        Source::Npz(Npz { file, inputs, targets }) => prepare.split::<T, T>(&read_npz(file, inputs, targets, kind)?),
        Source::Npy(Npy { inputs, targets }) => prepare.split::<T, T>(&read_npy(inputs, targets, kind)?),
        Source::Idx(Idx { images, labels, test_images: Some(test_images), test_labels: Some(test_labels) }) => {
            let train = read_idx::<T>(images, labels, None)?;
            let test = read_idx::<T>(test_images, test_labels, Some(train.outputs()))?;
            prepare.scaled(train, test)
        }
        Source::Idx(Idx { images, labels, .. }) => prepare.split::<T, T>(&read_idx(images, labels, None)?),
        Source::Affine(settings) => prepare.split::<f64, T>(&affine(*settings, key.named("data"))?),
        Source::Text(settings) => {
            let text = Text::read(&settings.file)?;
            let (train, test) = text.split(data.test_share())?;
            let (train, test) = (train.windows(settings.context)?, test.windows(settings.context)?);
            Ok(Parts { text: Some(text), ..prepare.scaled::<T, T>(train, test)? })
        }
    }
}

/// Points of an affine map.
fn affine(settings: Affine, key: Key) -> Result<Dataset<f64>, CommandError> {
    let Affine { inputs, outputs, samples, noise } = settings;
    let drawn = |name: &str, shape: &[usize], deviation: f64| -> Tensor<f64> {
        Init::Normal { deviation }.draw(shape, &mut key.named(name).generator())
    };
    let (x, w, b) =
        (drawn("x", &[samples, inputs], 1.0), drawn("w", &[inputs, outputs], 1.0), drawn("b", &[outputs], 1.0));
    let y = x.matmul(&w) + b + drawn("noise", &[samples, outputs], noise);
    Ok(Dataset::new("affine", x, Targets::Values(y))?)
}

/// How data are split and scaled.
struct Prepare<'a> {
    data: &'a Data,
    key: Key,
}

impl Prepare<'_> {
    /// A share of the rows to test on, stratified by class where there are classes.
    fn split<S: Real, T: Real>(&self, whole: &Dataset<S>) -> Result<Parts<T>, CommandError> {
        let share = self.data.test_share();
        let split = match whole.targets() {
            Targets::Classes { .. } => Split::stratified(whole, share, self.key)?,
            Targets::Sequences { .. } | Targets::Values(_) => Split::random(whole, share, self.key)?,
        };
        self.scaled(split.train, split.test)
    }

    /// Both parts scaled by the first, with samples of the configured shape.
    fn scaled<S: Real, T: Real>(&self, train: Dataset<S>, test: Dataset<S>) -> Result<Parts<T>, CommandError> {
        check_shapes(&train, &test)?;
        let (mut train, mut test) = (cast::<S, T>(&train)?, cast::<S, T>(&test)?);
        let shape = train.item_shape().to_vec();
        let rows = |d: &Dataset<T>| d.reshaped(&[d.features()]);
        let fitted = match self.data.scaling() {
            Scaling::None => None,
            Scaling::Columns => Some(Standardizer::fit(rows(&train).inputs())),
            Scaling::Overall => Some(Standardizer::fit_overall(rows(&train).inputs())),
            Scaling::Range => Some(Standardizer::fit_range(rows(&train).inputs())),
        };
        if let Some(fitted) = fitted {
            (train, test) = (rows(&train).standardized(&fitted)?, rows(&test).standardized(&fitted)?);
        }
        let item = self.data.preparation.item.as_ref().unwrap_or(&shape);
        let (numbers, product) = (train.features(), item.iter().product::<usize>());
        if numbers != product {
            let message =
                format!("data.item: found {item:?}, expected a shape of {numbers} numbers, those of a sample");
            return Err(CommandError::Usage(message));
        }
        Ok(Parts { train: train.reshaped(item), test: test.reshaped(item), text: None })
    }
}

/// The same data in another precision.
fn cast<S: Real, T: Real>(data: &Dataset<S>) -> Result<Dataset<T>, CommandError> {
    let Batch { inputs, targets } = data.all::<T>();
    Ok(Dataset::new(data.name(), inputs, targets)?)
}

/// The configured changes to images of this shape.
fn augmentation(config: &Config, item: &[usize]) -> Result<Option<Augment>, CommandError> {
    let Some(settings) = &config.data.preparation.augment else { return Ok(None) };
    let [_, height, width] = *item else {
        let message =
            format!("data.augment: found samples of shape {item:?}, expected images [channels, height, width]");
        return Err(CommandError::Usage(message));
    };
    let mut augment = Augment::new().shift(settings.shift);
    if settings.flip {
        augment = augment.flip();
    }
    if let Some([h, w]) = settings.crop {
        if h == 0 || w == 0 || h > height || w > width {
            let message =
                format!("data.augment.crop: found [{h}, {w}], expected at most the image's [{height}, {width}]");
            return Err(CommandError::Usage(message));
        }
        augment = augment.crop(h, w);
    }
    Ok(Some(augment))
}

/// Runs `f` in a pool of this many threads (one a core if `None`).
///
/// # Errors
/// If the threads cannot be started, or `f` fails.
pub fn in_pool<R: Send>(
    threads: Option<usize>,
    f: impl FnOnce() -> Result<R, CommandError> + Send,
) -> Result<R, CommandError> {
    pool(threads)?.install(f)
}

/// This many threads, by default one a core.
///
/// # Errors
/// If the threads cannot be started.
pub fn pool(threads: Option<usize>) -> Result<rayon::ThreadPool, CommandError> {
    let builder = rayon::ThreadPoolBuilder::new().num_threads(threads.unwrap_or(0));
    builder.build().map_err(|e| CommandError::Other(format!("cannot start threads: {e}").into()))
}
