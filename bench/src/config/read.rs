//! From TOML to settings: every complaint names the file, the line and the key.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::error::{ConfigError, Place};
use crate::suggest::hint;

/// One place of a configuration that is being read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The file and its text, for the lines of complaints.
    pub(super) source: Option<(&'a Path, &'a str)>,
    /// The keys from the top to here.
    pub(super) at: &'a str,
}

impl<'a> Reader<'a> {
    /// A complaint about what stands here.
    pub(super) fn complaint(&self, message: impl Into<String>) -> ConfigError {
        let place = Place {
            file: self.source.map(|(path, _)| path.to_owned()),
            line: self.source.and_then(|(_, text)| line_of(text, self.at)),
            key: self.at.to_owned(),
        };
        ConfigError::Content { place, message: message.into() }
    }

    /// Calls `f` with the reader of a key below.
    pub(super) fn below<R>(&self, key: &str, f: impl FnOnce(Reader<'_>) -> R) -> R {
        let at = if self.at.is_empty() || key.starts_with('[') {
            format!("{}{key}", self.at)
        } else {
            format!("{}.{key}", self.at)
        };
        f(Reader { source: self.source, at: &at })
    }

    /// A complaint about a key below.
    pub(super) fn complaint_at(&self, key: &str, message: impl Into<String>) -> ConfigError {
        self.below(key, |reader| reader.complaint(message))
    }

    /// The settings that a table holds.
    pub(super) fn settings<S: DeserializeOwned>(&self, table: Table) -> Result<S, ConfigError> {
        self.settings_beside(table, &[])
    }

    /// Settings from what is left of a table of which these keys were taken: a complaint about an unknown key knows them too.
    pub(super) fn settings_beside<S: DeserializeOwned>(&self, table: Table, taken: &[&str]) -> Result<S, ConfigError> {
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
            let path = error.path().to_string();
            let message = error.inner().message().to_owned();
            match unknown(&message) {
                Some((key, known)) => {
                    let parent = path.strip_suffix(&key).unwrap_or(&path).trim_end_matches(['.', '?']).to_owned();
                    let (known, path) = match parent.is_empty() {
                        true => ([&known, taken].concat(), key.clone()),
                        false => (known, format!("{parent}.{key}")),
                    };
                    self.complaint_at(&path, unknown_key(&key, &known))
                }
                None if path == "." => self.complaint(reworded(&message)),
                None => self.complaint_at(&path, reworded(&message)),
            }
        })
    }

    /// A table, or a complaint.
    pub(super) fn table(&self, value: Value) -> Result<Table, ConfigError> {
        match value {
            Value::Table(table) => Ok(table),
            other => Err(self.complaint(format!("found {}, expected a table", described(&other)))),
        }
    }

    /// A list, or a complaint.
    pub(super) fn list(&self, value: Value) -> Result<Vec<Value>, ConfigError> {
        match value {
            Value::Array(list) => Ok(list),
            other => Err(self.complaint(format!("found {}, expected a list", described(&other)))),
        }
    }

    /// Takes the name of what a table is about out of it, which must be one of those known.
    pub(super) fn kind(
        &self,
        table: &mut Table,
        key: &str,
        known: &[&'static str],
        default: Option<&'static str>,
    ) -> Result<&'static str, ConfigError> {
        let expected = known.join(", ");
        let name = match (table.remove(key), default) {
            (Some(Value::String(name)), _) => name,
            (Some(other), _) => {
                return Err(self.complaint_at(key, format!("found {}, expected one of {expected}", described(&other))));
            }
            (None, Some(default)) => return Ok(default),
            (None, None) => return Err(self.complaint(format!("missing key {key}: expected one of {expected}"))),
        };
        known.iter().find(|k| **k == name).copied().ok_or_else(|| {
            self.complaint_at(key, format!("found {name:?}{}, expected one of {expected}", hint(&name, known)))
        })
    }

    /// Refuses keys other than these.
    pub(super) fn only(&self, table: &Table, known: &[&str]) -> Result<(), ConfigError> {
        match table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(self.complaint_at(key, unknown_key(key, known))),
            None => Ok(()),
        }
    }
}

/// A value as complaints show it.
fn described(value: &Value) -> String {
    match value {
        Value::String(s) => format!("string {s:?}"),
        Value::Integer(n) => format!("integer {n}"),
        Value::Float(x) => format!("number {x}"),
        Value::Boolean(b) => format!("{b}"),
        Value::Datetime(_) => "a date".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Table(_) => "a table".to_owned(),
    }
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    match known {
        [] => "unknown key: expected none".to_owned(),
        _ => format!("unknown key{}: expected one of {}", hint(key, known), known.join(", ")),
    }
}

/// The key and those that are known, where serde complains of an unknown field: its message quotes the names.
fn unknown(message: &str) -> Option<(String, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let (key, rest) = rest.split_once('`')?;
    Some((key.to_owned(), rest.split('`').skip(1).step_by(2).collect()))
}

/// Serde's complaints in the words of the others: what was found, what was expected.
fn reworded(message: &str) -> String {
    let message = message.lines().next().unwrap_or_default();
    for (start, word) in
        [("invalid type: ", "found "), ("invalid value: ", "found "), ("missing field ", "missing key ")]
    {
        if let Some(rest) = message.strip_prefix(start) {
            return format!("{word}{}", rest.replace('`', ""));
        }
    }
    message.replace('`', "")
}

/// The text of a file.
pub(super) fn text(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

/// The complaint about a text that is no TOML.
pub(super) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let place = error.span().map_or_else(String::new, |span| {
        let before = &text[..span.start.min(text.len())];
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("line {}, column {column}: ", before.matches('\n').count() + 1)
    });
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    ConfigError::Syntax { path: path.to_owned(), place, message }
}

/// The line on which a key stands, from 1: the key itself or, where the text has none (it is missing), the nearest above it.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut found = None;
    let mut level = Level::Table(document.get_ref());
    for step in key.replace('[', ".[").split('.').filter(|step| !step.is_empty()) {
        let (start, below) = match level {
            Level::Table(table) => {
                let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == step) else { break };
                (key.span().start, value)
            }
            Level::Array(array) => {
                let index = step.trim_matches(['[', ']']).parse::<usize>().ok();
                let Some(value) = index.and_then(|i| array.get(i)) else { break };
                (value.span().start, value)
            }
            Level::Leaf => break,
        };
        found = Some(start);
        level = Level::of(below);
    }
    found.map(|start| text[..start].matches('\n').count() + 1)
}

/// What a value has below it.
enum Level<'a, 'b> {
    Table(&'a DeTable<'b>),
    Array(&'a [Spanned<DeValue<'b>>]),
    Leaf,
}

impl<'a, 'b> Level<'a, 'b> {
    fn of(value: &'a Spanned<DeValue<'b>>) -> Self {
        match value.get_ref() {
            DeValue::Table(table) => Level::Table(table),
            DeValue::Array(array) => Level::Array(array),
            _ => Level::Leaf,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "seed = 1\n\n[model]\nkind = \"layers\"\n[[model.layers]]\nkind = \"conv2d\"\n[[model.layers]]\nkind = \"linear\"\noutputs = 3\n";

    #[test]
    fn lines_are_those_of_the_keys() {
        for (key, line) in [
            ("seed", 1),
            ("model", 3),
            ("model.kind", 4),
            ("model.layers[1].outputs", 9),
            ("model.layers[0].kernel", 5),
        ] {
            assert_eq!(line_of(TEXT, key), Some(line), "{key}");
        }
        assert_eq!(line_of(TEXT, "data"), None);
    }

    #[test]
    fn serde_is_reworded() {
        assert_eq!(reworded("invalid type: string \"x\", expected usize"), "found string \"x\", expected usize");
        assert_eq!(reworded("missing field `file`"), "missing key file");
        let (key, known) = unknown("unknown field `epoch`, expected `epochs` or `batch`").unwrap();
        let message = unknown_key(&key, &known);
        assert_eq!(
            (key.as_str(), message.as_str()),
            ("epoch", "unknown key (did you mean epochs?): expected one of epochs, batch")
        );
    }
}
