//! `[compare]`: several rules and seeds on one configuration.

use std::collections::BTreeSet;
use std::path::Path;

use nn::{Loss, Optimizer};
use serde::Deserialize;
use toml::{Table, Value};

use super::error::ConfigError;
use super::read::{self, Reader};
use super::{COMPARE, Config, Direction, Rule};
use crate::report::run_folder::plain;

/// A configuration with a table `[compare]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is compared.
    pub entries: Vec<Entry>,
    /// The seeds that each of them is trained with.
    pub seeds: Vec<u64>,
    /// What is to be reached.
    pub target: Option<Target>,
}

/// One thing of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub label: String,
    /// Its configuration with every seed's but the seed.
    pub config: Config,
}

impl Entry {
    /// The configuration of one run.
    pub fn seeded(&self, seed: u64) -> Config {
        let mut config = self.config.clone();
        config.training.seed = seed;
        config
    }
}

/// What is to be reached on the test rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// At most this loss.
    Loss(f64),
    /// At least this accuracy.
    Accuracy(f64),
}

/// The settings of the table but its entries.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    seeds: Vec<u64>,
    target: Option<f64>,
    target_accuracy: Option<f64>,
}

impl Comparison {
    /// Reads a configuration with a table `[compare]`.
    ///
    /// # Errors
    /// As for [`Config::open`].
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        Comparison::parse(path, &read::text(path)?)
    }

    /// Reads one from the text of a file, which errors name.
    ///
    /// # Errors
    /// As for [`open`](Comparison::open).
    ///
    /// ```
    /// use bench::config::Comparison;
    /// use std::path::Path;
    /// let text = "[compare]\nseeds = [0, 1]\n[[compare.entries]]\nlabel = \"a\"\nrule = { kind = \"approx\" }\n";
    /// let comparison = Comparison::parse(Path::new("a.toml"), text)?;
    /// assert_eq!(comparison.entries[0].config.rule.name(), "approx");
    /// let error = Comparison::parse(Path::new("a.toml"), &text.replace("kind", "knd")).unwrap_err().to_string();
    /// assert!(error.starts_with("a.toml: line 5, compare.entries[0].rule.knd: unknown key (did you mean kind?)"), "{error}");
    /// # Ok::<(), bench::config::ConfigError>(())
    /// ```
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        Config::parse_beside((path, text), COMPARE, |table, config, at| read_table(table, &config, at))
    }
}

/// Reads the table `[compare]` of a configuration.
fn read_table(mut table: Table, config: &Config, reader: Reader<'_>) -> Result<Comparison, ConfigError> {
    reader.only(&table, &["seeds", "target", "target_accuracy", "entries"])?;
    let Some(entries) = table.remove("entries") else {
        return Err(reader.complaint("missing key entries: expected a list of what is compared"));
    };
    let entries = reader.below("entries", |at| read_entries(at.list(entries)?, config, at))?;
    let settings: Settings = reader.settings(table)?;
    if settings.seeds.is_empty() {
        return Err(reader.complaint_at("seeds", "found none, expected at least one"));
    }
    let mut seen = BTreeSet::new();
    if let Some(seed) = settings.seeds.iter().find(|seed| !seen.insert(**seed)) {
        return Err(reader.complaint_at("seeds", format!("found {seed} twice, expected different seeds")));
    }
    let target = settings.target(&config.loss, reader)?;
    Ok(Comparison { entries, seeds: settings.seeds, target })
}

impl Settings {
    fn target(&self, loss: &Loss, reader: Reader<'_>) -> Result<Option<Target>, ConfigError> {
        match (self.target, self.target_accuracy) {
            (Some(_), Some(_)) => {
                Err(reader.complaint_at("target_accuracy", "found beside target, expected one of them"))
            }
            (Some(loss), None) if loss.is_finite() => Ok(Some(Target::Loss(loss))),
            (Some(loss), None) => Err(reader.complaint_at("target", format!("found {loss}, expected a finite number"))),
            (None, Some(_)) if !matches!(loss, Loss::CrossEntropy { .. }) => {
                let message = "found with a loss of values, expected target, a test loss";
                Err(reader.complaint_at("target_accuracy", message))
            }
            (None, Some(share)) if 0.0 < share && share <= 1.0 => Ok(Some(Target::Accuracy(share))),
            (None, Some(share)) => {
                let message = format!("found {share}, expected a number above 0 and at most 1");
                Err(reader.complaint_at("target_accuracy", message))
            }
            (None, None) => Ok(None),
        }
    }
}

fn read_entries(list: Vec<Value>, config: &Config, reader: Reader<'_>) -> Result<Vec<Entry>, ConfigError> {
    if list.is_empty() {
        return Err(reader.complaint("found none, expected at least one"));
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (i, value) in list.into_iter().enumerate() {
        let entry = reader.below(&format!("[{i}]"), |at| {
            let entry = read_entry(at.table(value)?, config, at)?;
            // Runs are told apart by folders of these names, which on some systems know no capitals.
            let folder = |label: &str| plain(label).to_lowercase();
            match entries.iter().position(|other| folder(&other.label) == folder(&entry.label)) {
                Some(j) => Err(at.complaint_at(
                    "label",
                    format!(
                        "found {:?}, which differs from that of entry {j} in no letter or digit, expected one of its own",
                        entry.label
                    ),
                )),
                None => Ok(entry),
            }
        })?;
        entries.push(entry);
    }
    Ok(entries)
}

fn read_entry(mut table: Table, config: &Config, reader: Reader<'_>) -> Result<Entry, ConfigError> {
    reader.only(&table, &["label", "rule", "direction"])?;
    let label = match table.remove("label") {
        None => return Err(reader.complaint("missing key label: expected the entry's name")),
        Some(Value::String(label)) if !label.trim().is_empty() && !label.contains(char::is_control) => label,
        Some(_) => return Err(reader.complaint_at("label", "expected a text on one line that is not empty")),
    };
    let mut config = config.clone();
    if let Some(rule) = table.remove("rule") {
        config.rule = reader.below("rule", |at| Rule::read(at.table(rule)?, at))?;
    }
    // A rule that owns its direction has no use for that of the others.
    if config.rule.formula.is_joint() {
        config.direction = Optimizer::Sgd.into();
    }
    if let Some(direction) = table.remove("direction") {
        config.direction = reader.below("direction", |at| Direction::read(at.table(direction)?, at))?;
    }
    config.check_direction(reader)?;
    Ok(Entry { label, config })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Comparison, String> {
        Comparison::parse(Path::new("a.toml"), text).map_err(|e| e.to_string())
    }

    const ENTRY: &str = "[[compare.entries]]\nlabel = \"a b\"\n";

    #[test]
    fn entries_differ_from_the_configuration_in_rule_and_direction_only() {
        let text = format!(
            "[training]\nepochs = 3\nseed = 9\n[rule]\nkind = \"approx\"\n[compare]\nseeds = [4, 5]\ntarget_accuracy = 0.5\n\
            {ENTRY}[[compare.entries]]\nlabel = \"c\"\nrule = {{ kind = \"constant\", lr = 0.1 }}\ndirection = {{ kind = \"adam\" }}\n"
        );
        let comparison = parse(&text).unwrap();
        let [first, second] = &comparison.entries[..] else { panic!("two entries") };
        assert_eq!((first.label.as_str(), first.config.rule.name()), ("a b", "approx"));
        assert_eq!((second.config.rule.name(), second.config.direction.optimizer), ("constant", nn::Optimizer::Adam));
        assert_eq!((comparison.seeds.as_slice(), comparison.target), (&[4, 5][..], Some(Target::Accuracy(0.5))));
        let run = second.seeded(5);
        assert_eq!((run.training.epochs, run.training.seed), (3, 5));
    }

    #[test]
    fn complaints_name_line_and_key() {
        for (text, complaint) in [
            ("", "a.toml: compare: missing key entries"),
            ("compare = 1\n", "a.toml: line 1, compare: found integer 1, expected a table"),
            ("[compair]\n", "a.toml: line 1, compair: unknown key (did you mean compare?)"),
            ("[training]\nepoch = 1\n", "a.toml: line 2, training.epoch: unknown key"),
            ("[compare]\nentries = []\n", "a.toml: line 2, compare.entries: found none"),
            ("[compare]\nseed = [1]\n", "a.toml: line 2, compare.seed: unknown key (did you mean seeds?)"),
            (&format!("[compare]\n{ENTRY}"), "a.toml: line 1, compare: missing key seeds"),
            (&format!("[compare]\nseeds = []\n{ENTRY}"), "a.toml: line 2, compare.seeds: found none"),
            (&format!("[compare]\nseeds = [1, 2, 1]\n{ENTRY}"), "a.toml: line 2, compare.seeds: found 1 twice"),
            (&format!("[compare]\nseeds = [-1]\n{ENTRY}"), "a.toml: line 2, compare.seeds[0]: found integer -1"),
            (
                &format!("[compare]\nseeds = [1]\ntarget = 1\ntarget_accuracy = 0.9\n{ENTRY}"),
                "a.toml: line 4, compare.target_accuracy: found beside target",
            ),
            (
                &format!("[compare]\nseeds = [1]\ntarget_accuracy = 90\n{ENTRY}"),
                "a.toml: line 3, compare.target_accuracy: found 90, expected a number above 0 and at most 1",
            ),
            (
                &format!("[loss]\nkind = \"mse\"\n[compare]\nseeds = [1]\ntarget_accuracy = 0.9\n{ENTRY}"),
                "a.toml: line 5, compare.target_accuracy: found with a loss of values",
            ),
            ("[[compare.entries]]\nlabel = \" \"\n", "a.toml: line 2, compare.entries[0].label: expected a text"),
            ("[[compare.entries]]\nrule = {}\n", "a.toml: line 1, compare.entries[0]: missing key label"),
            (
                &format!("{ENTRY}[[compare.entries]]\nlabel = \"A-b\"\n"),
                "a.toml: line 4, compare.entries[1].label: found \"A-b\", which differs from that of entry 0",
            ),
            (
                &format!("{ENTRY}rule = {{ kind = \"exat\" }}\n"),
                "a.toml: line 3, compare.entries[0].rule.kind: found \"exat\" (did you mean exact?)",
            ),
            (&format!("{ENTRY}lr = 0.1\n"), "a.toml: line 3, compare.entries[0].lr: unknown key"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.starts_with(complaint), "{text}\nfound    {error}\nexpected {complaint}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn what_trains_refuses_a_comparison() {
        let error = Config::parse(Path::new("a.toml"), "[compare]\nseeds = [1]\n").unwrap_err().to_string();
        assert!(error.starts_with("a.toml: line 1, compare: expected a configuration of one run"), "{error}");
    }
}
