//! `[data]`: what is trained and tested on.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Table;

use super::error::ConfigError;
use super::limits::{LARGEST, MOST_NUMBERS, fits, misfit};
use super::read::Reader;

/// The data and how they are prepared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Data {
    /// Where they come from.
    #[serde(flatten)]
    pub source: Source,
    /// How they are prepared.
    #[serde(flatten)]
    pub preparation: Preparation,
}

/// Where data come from. Paths are relative to the folder that the program is started in.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// The handwritten digits that are built in: 1797 images of 8 × 8 pixels in ten classes.
    Digits(Digits),
    /// A table with a header.
    Csv(Csv),
    /// Images and labels as MNIST has them, gzipped or not.
    Idx(Idx),
    /// Two arrays of one NumPy archive.
    Npz(Npz),
    /// Two NumPy files.
    Npy(Npy),
    /// Characters.
    Text(Text),
    /// Points of an affine map, drawn at random.
    Affine(Affine),
}

/// Settings of an affine map y = Wx + b + noise · ε, in which the entries of x, W, b and ε are standard normal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Affine {
    /// Numbers of x.
    pub inputs: usize,
    /// Numbers of y.
    pub outputs: usize,
    /// Pairs (x, y).
    pub samples: usize,
    /// The standard deviation of the noise.
    pub noise: f64,
}

impl Default for Affine {
    fn default() -> Self {
        Affine { inputs: 10, outputs: 1, samples: 1000, noise: 0.1 }
    }
}

/// The built-in digits have no settings of their own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digits {}

/// Settings of a CSV file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Csv {
    /// The file.
    pub file: PathBuf,
    /// The column to predict; all others are inputs.
    pub target: String,
}

/// Settings of IDX files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idx {
    /// Images to train on.
    pub images: PathBuf,
    /// Their labels.
    pub labels: PathBuf,
    /// Images to test on; a share of the others if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_images: Option<PathBuf>,
    /// Their labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
}

/// Settings of an NPZ file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Npz {
    /// The file.
    pub file: PathBuf,
    /// Name of the array of inputs, rows first.
    #[serde(default = "x")]
    pub inputs: String,
    /// Name of the array of targets.
    #[serde(default = "y")]
    pub targets: String,
}

/// Settings of two NPY files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Npy {
    /// The array of inputs, rows first.
    pub inputs: PathBuf,
    /// The array of targets.
    pub targets: PathBuf,
}

/// Settings of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// The file, in UTF-8.
    pub file: PathBuf,
    /// Characters of a window: a sample.
    pub context: usize,
}

fn x() -> String {
    "x".to_owned()
}

fn y() -> String {
    "y".to_owned()
}

/// How samples are parted and prepared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preparation {
    /// The share of the samples that is kept for testing, and never trained on; of a text the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_share: Option<f64>,
    /// How inputs are scaled, by the training part; by default as is usual for the kind of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scaling: Option<Scaling>,
    /// The shape of a sample, such as [1, 8, 8] for images; as it is in the file by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<Vec<usize>>,
    /// Random changes to images, drawn anew in each epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augment: Option<Augment>,
}

/// How inputs are scaled, by the training part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// Not at all.
    None,
    /// Each column to mean 0 and variance 1.
    Columns,
    /// All columns together to mean 0 and variance 1.
    Overall,
    /// Each column to [0, 1].
    Range,
}

/// Random changes to images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Shifts by up to so many pixels.
    pub shift: usize,
    /// Exchanges left and right of half the images.
    pub flip: bool,
    /// Height and width of a part cut out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<[usize; 2]>,
}

impl Default for Data {
    fn default() -> Self {
        Data { source: Source::Digits(Digits::default()), preparation: Preparation::default() }
    }
}

/// The keys that data of every kind have.
const COMMON: [&str; 4] = ["test_share", "scaling", "item", "augment"];

impl Data {
    pub(super) fn read(mut table: Table, reader: Reader<'_>) -> Result<Self, ConfigError> {
        let kind = reader.kind(
            &mut table,
            "kind",
            &["digits", "csv", "idx", "npz", "npy", "text", "affine"],
            Some("digits"),
        )?;
        let taken = [&COMMON[..], &["kind"]].concat();
        let common: Table = COMMON.iter().filter_map(|key| table.remove_entry(*key)).collect();
        let source = match kind {
            "digits" => Source::Digits(reader.settings_beside(table, &taken)?),
            "csv" => Source::Csv(reader.settings_beside(table, &taken)?),
            "idx" => Source::Idx(reader.settings_beside(table, &taken)?),
            "npz" => Source::Npz(reader.settings_beside(table, &taken)?),
            "npy" => Source::Npy(reader.settings_beside(table, &taken)?),
            "text" => Source::Text(reader.settings_beside(table, &taken)?),
            _ => Source::Affine(reader.settings_beside(table, &taken)?),
        };
        let data = Data { source, preparation: reader.settings(common)? };
        data.check(reader)?;
        Ok(data)
    }

    fn check(&self, reader: Reader<'_>) -> Result<(), ConfigError> {
        let share = self.test_share();
        if !(0.0 < share && share < 1.0) {
            return Err(reader.complaint_at("test_share", format!("found {share}, expected a number between 0 and 1")));
        }
        match &self.source {
            Source::Idx(Idx { test_images, test_labels, .. }) if test_images.is_some() != test_labels.is_some() => {
                let (given, missing) =
                    if test_images.is_some() { ("test_images", "test_labels") } else { ("test_labels", "test_images") };
                return Err(reader.complaint_at(given, format!("found without {missing}, expected both or neither")));
            }
            Source::Idx(Idx { test_images: Some(_), .. }) if self.preparation.test_share.is_some() => {
                return Err(reader.complaint_at("test_share", "found beside test_images, expected one of them"));
            }
            Source::Affine(Affine { inputs, outputs, samples, noise }) => {
                for (key, n) in [("inputs", inputs), ("outputs", outputs), ("samples", samples)] {
                    if let Some(message) = misfit(*n, 1, LARGEST) {
                        return Err(reader.complaint_at(key, message));
                    }
                }
                for shape in [[*samples, *inputs], [*samples, *outputs], [*inputs, *outputs]] {
                    if !fits(&shape) {
                        let message =
                            format!("found an array of shape {shape:?}, expected at most {MOST_NUMBERS} numbers");
                        return Err(reader.complaint(message));
                    }
                }
                if !(noise.is_finite() && *noise >= 0.0) {
                    return Err(reader.complaint_at("noise", format!("found {noise}, expected a number from 0")));
                }
            }
            Source::Text(_) if !matches!(self.preparation.scaling, None | Some(Scaling::None)) => {
                return Err(
                    reader.complaint_at("scaling", "found one for a text, expected none: characters are no numbers")
                );
            }
            Source::Text(Text { context, .. }) => {
                if let Some(message) = misfit(*context, 1, LARGEST) {
                    return Err(reader.complaint_at("context", message));
                }
            }
            _ => {}
        }
        if let Some(Augment { shift, .. }) = &self.preparation.augment
            && let Some(message) = misfit(*shift, 0, LARGEST)
        {
            return Err(reader.complaint_at("augment.shift", message));
        }
        match &self.preparation.item {
            Some(item) if item.contains(&0) || item.is_empty() => {
                Err(reader.complaint_at("item", format!("found {item:?}, expected sizes of at least 1")))
            }
            Some(item) if !fits(item) => {
                let expected = format!("found {item:?}, expected at most {MOST_NUMBERS} numbers in all");
                Err(reader.complaint_at("item", expected))
            }
            _ => Ok(()),
        }
    }

    /// The share of the samples that is kept for testing: where nothing is said a tenth of a text, a fifth of others.
    pub fn test_share(&self) -> f64 {
        let usual = if matches!(self.source, Source::Text(_)) { 0.1 } else { 0.2 };
        self.preparation.test_share.unwrap_or(usual)
    }

    /// The same data with what is usual for their kind filled in.
    pub fn resolved(&self) -> Self {
        let has_test = matches!(self.source, Source::Idx(Idx { test_images: Some(_), .. }));
        let preparation = Preparation {
            test_share: (!has_test).then_some(self.test_share()),
            scaling: Some(self.scaling()),
            ..self.preparation.clone()
        };
        Data { source: self.source.clone(), preparation }
    }

    /// How inputs are scaled where nothing is said: images as a whole, columns each by itself, characters not at all.
    pub fn scaling(&self) -> Scaling {
        self.preparation.scaling.unwrap_or(match self.source {
            Source::Digits(_) | Source::Idx(_) => Scaling::Overall,
            Source::Csv(_) | Source::Npz(_) | Source::Npy(_) => Scaling::Columns,
            Source::Text(_) | Source::Affine(_) => Scaling::None,
        })
    }
}
