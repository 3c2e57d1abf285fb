//! `[loss]`: what training minimises.

use nn::Loss;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::error::ConfigError;
use super::read::Reader;

/// The loss as it is saved: its name and those of its settings that differ from the usual.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    #[serde(skip_serializing_if = "Option::is_none")]
    smoothing: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<f64>,
}

/// The loss that a table describes: `kind` is its name, `smoothing` and `weights` are for `ce`, `delta` for `huber`.
pub(super) fn read(mut table: Table, reader: Reader<'_>) -> Result<Loss, ConfigError> {
    let kind = reader.kind(&mut table, "kind", Loss::NAMES, Some("ce"))?;
    reader.only(&table, &[own(kind), &["kind"]].concat())?;
    let settings: Settings = reader.settings(table)?;
    let within = |key: &str, x: Option<f64>, least: f64, most: f64| match x {
        Some(x) if !(least..=most).contains(&x) => {
            Err(reader.complaint_at(key, format!("found {x}, expected a number from {least} to {most}")))
        }
        _ => Ok(()),
    };
    within("smoothing", settings.smoothing, 0.0, 1.0)?;
    within("delta", settings.delta, f64::MIN_POSITIVE, f64::MAX)?;
    for (i, weight) in settings.weights.iter().flatten().enumerate() {
        within(&format!("weights[{i}]"), Some(*weight), 0.0, f64::MAX)?;
    }
    Ok(match kind.parse().expect("a listed loss") {
        Loss::CrossEntropy { .. } => {
            Loss::CrossEntropy { smoothing: settings.smoothing.unwrap_or(0.0), weights: settings.weights }
        }
        Loss::Huber { delta } => Loss::Huber { delta: settings.delta.unwrap_or(delta) },
        other => other,
    })
}

fn own(kind: &str) -> &'static [&'static str] {
    match kind {
        "ce" => &["smoothing", "weights"],
        "huber" => &["delta"],
        _ => &[],
    }
}

/// Saves a loss as [`read`] reads it.
pub(super) fn save<S: serde::Serializer>(loss: &Loss, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Named {
        kind: String,
        #[serde(flatten)]
        settings: Settings,
    }
    let settings = match loss {
        Loss::CrossEntropy { smoothing, weights } => {
            Settings { smoothing: Some(*smoothing), weights: weights.clone(), delta: None }
        }
        Loss::Huber { delta } => Settings { delta: Some(*delta), ..Settings::default() },
        _ => Settings::default(),
    };
    Named { kind: loss.to_string(), settings }.serialize(to)
}
