//! The keys of a JSON object that describes a reference model.

use serde_json::{Map, Value};

use super::SpecError;
use crate::suggest::hint;

/// The keys of a JSON spec.
pub(super) struct Keys(pub(super) Map<String, Value>);

impl Keys {
    /// Refuses keys that this kind of model does not have.
    pub(super) fn check(&self, known: &[&str]) -> Result<(), SpecError> {
        match self.0.keys().find(|k| !known.contains(&k.as_str())) {
            Some(key) => {
                Err(SpecError::UnknownKey { key: key.clone(), hint: hint(key, known), known: known.join(", ") })
            }
            None => Ok(()),
        }
    }

    pub(super) fn required(&self, key: &'static str) -> Result<&Value, SpecError> {
        self.0.get(key).ok_or(SpecError::Missing(key))
    }

    pub(super) fn optional<T>(
        &self,
        key: &str,
        default: T,
        read: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<T, SpecError> {
        self.0.get(key).map_or(Ok(default), |v| read(v).ok_or_else(|| mismatch(key, v, expected)))
    }

    /// A list of at least so many positive sizes, of which `what` says what they are.
    pub(super) fn sizes(&self, key: &'static str, least: usize, what: &str) -> Result<Vec<usize>, SpecError> {
        let value = self.required(key)?;
        match value.as_array() {
            Some(sizes) if sizes.len() >= least => {
                sizes.iter().enumerate().map(|(i, n)| count(&format!("{key}[{i}]"), n)).collect()
            }
            _ => Err(mismatch(key, value, what)),
        }
    }

    /// A positive size.
    pub(super) fn size(&self, key: &'static str) -> Result<usize, SpecError> {
        count(key, self.required(key)?)
    }

    /// A size of at most `most`.
    pub(super) fn size_up_to(&self, key: &'static str, most: usize) -> Result<usize, SpecError> {
        self.within(key, 1, most)
    }

    /// A number of things, of at most `most`, that may be none.
    pub(super) fn count_up_to(&self, key: &'static str, most: usize) -> Result<usize, SpecError> {
        self.within(key, 0, most)
    }

    fn within(&self, key: &'static str, least: usize, most: usize) -> Result<usize, SpecError> {
        let value = self.required(key)?;
        let found = value.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| (least..=most).contains(n));
        found.ok_or_else(|| mismatch(key, value, &format!("a whole number from {least} to {most}")))
    }
}

/// A positive whole number that a `u32` holds.
pub(super) fn count(key: &str, value: &Value) -> Result<usize, SpecError> {
    let number = value.as_u64().filter(|n| (1..=u64::from(u32::MAX)).contains(n));
    number.map(|n| n as usize).ok_or_else(|| mismatch(key, value, "a whole number from 1 to 4294967295"))
}

pub(super) fn moderate(value: &Value) -> Option<f64> {
    value.as_f64().filter(|s| s.abs() <= 1e30)
}

/// The value of a key that names one of a few things.
pub(super) fn choice<E: Clone>(key: &str, value: &Value, known: &[(&str, E)]) -> Result<E, SpecError> {
    let found = value.as_str().and_then(|s| known.iter().find(|(name, _)| *name == s));
    found.map(|(_, choice)| choice.clone()).ok_or_else(|| {
        let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
        mismatch(key, value, &format!("one of {}", names.join(", ")))
    })
}

pub(super) fn mismatch(key: &str, found: &Value, expected: &str) -> SpecError {
    const SHOWN: usize = 60;
    let text = found.to_string();
    let found = if text.chars().count() > SHOWN { text.chars().take(SHOWN).collect::<String>() + "..." } else { text };
    SpecError::Value { key: key.to_owned(), found, expected: expected.to_owned() }
}
