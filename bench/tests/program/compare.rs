//! `parabola compare`: its files, that it goes on where it was ended, and what it refuses.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::program::{one_line_error, parabola};

const CONFIG: &str = "\
[model]\n\
hidden = [8]\n\
[training]\n\
epochs = 2\n\
[checkpoint]\n\
every = 5\n\
[compare]\n\
seeds = [3, 5]\n\
target_accuracy = 0.2\n\
[[compare.entries]]\n\
label = \"Exact GeN\"\n\
[[compare.entries]]\n\
label = \"Adam, averaged\"\n\
rule = { kind = \"exact\", gamma = 0.9 }\n\
direction = { kind = \"adam\" }\n";

/// A configuration whose runs take long enough to be killed.
fn longer() -> String {
    CONFIG.replace("epochs = 2", "epochs = 8").replace("hidden = [8]", "hidden = [64]")
}

fn compare(folder: &Path, args: &str) -> Output {
    let args = args.split_whitespace();
    parabola().arg("compare").args(args).current_dir(folder).output().expect("the program")
}

#[track_caller]
fn succeed(folder: &Path, args: &str) -> (String, String) {
    let output = compare(folder, args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{args}: {err}");
    (out, err)
}

/// Every file below a folder, with its contents and the time of its last change.
fn files(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => {
                let changed = entry.metadata().unwrap().modified().unwrap();
                found.insert(entry.path(), (fs::read(entry.path()).unwrap(), changed));
            }
        }
    }
    found
}

/// The lines of `comparison.csv` without their seconds, and the parameters of all runs.
fn numbers(folder: &Path) -> (Vec<String>, Vec<Vec<u8>>) {
    let text = fs::read_to_string(folder.join("comparison.csv")).unwrap();
    let timeless = |line: &str| {
        // The label may hold a comma, so fields are counted from the end.
        let mut fields: Vec<&str> = line.split(',').collect();
        fields.remove(fields.len() - 5);
        fields.join(",")
    };
    let parameters = files(&folder.join("runs")).into_iter();
    let parameters = parameters.filter(|(path, _)| path.ends_with("parameters.safetensors"));
    (text.lines().map(timeless).collect(), parameters.map(|(_, (bytes, _))| bytes).collect())
}

#[test]
fn a_comparison_is_a_study_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rules.toml"), CONFIG).unwrap();
    let output =
        parabola().args(["study", "--config", "rules.toml", "--quiet"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = fs::read_to_string(folder.path().join("runs/rules-compare/comparison.md")).unwrap();
    assert!(report.contains("Adam, averaged") && String::from_utf8_lossy(&output.stdout).contains("Adam, averaged"));
}

#[test]
fn a_comparison_is_written_once_whatever_runs_side_by_side() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("c.toml"), CONFIG).unwrap();
    let (table, progress) = succeed(place.path(), "--config c.toml --jobs 2 --threads 2");
    let out = place.path().join("runs/c-compare");
    for name in [
        "comparison.csv",
        "summary.csv",
        "comparison.md",
        "loss-steps.svg",
        "loss-gradients.svg",
        "loss-seconds.svg",
        "accuracy-gradients.svg",
        "alpha.svg",
        "runs/Exact-GeN-seed3/config.toml",
        "runs/Exact-GeN-seed5/metrics.jsonl",
        "runs/Adam--averaged-seed5/parameters.safetensors",
    ] {
        assert!(out.join(name).is_file(), "{name} is missing");
    }
    let markdown = fs::read_to_string(out.join("comparison.md")).unwrap();
    let summary = fs::read_to_string(out.join("summary.csv")).unwrap();
    for label in ["Exact GeN", "Adam, averaged"] {
        assert!([&table, &markdown, &summary].iter().all(|text| text.contains(label)), "{label} is missing:\n{table}");
    }
    assert!(table.contains("gradients to target") && table.contains("wrote runs/c-compare"), "{table}");
    assert!(progress.contains("Exact GeN, seed 5: test loss") && progress.contains("; 0 left"), "{progress}");
    // Two entries, two seeds, two epochs.
    assert_eq!(fs::read_to_string(out.join("comparison.csv")).unwrap().lines().count(), 1 + 2 * 2 * 2);
    let before = files(&out.join("runs"));
    let (again, progress) = succeed(place.path(), "--config c.toml");
    assert_eq!((again, progress.as_str()), (table, ""));
    assert!(files(&out.join("runs")) == before, "finished runs were touched");
    succeed(place.path(), "--config c.toml --jobs 1 --threads 1 --quiet --out one");
    assert!(numbers(&place.path().join("one")) == numbers(&out), "numbers depend on --jobs");
}

#[test]
fn a_comparison_that_was_killed_goes_on() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("c.toml"), longer()).unwrap();
    succeed(place.path(), "--config c.toml --quiet --out whole");
    let started = || {
        let args = ["compare", "--config", "c.toml", "--quiet", "--out", "killed", "--jobs", "1"];
        parabola().args(args).current_dir(place.path()).stdout(Stdio::null()).spawn().unwrap()
    };
    let runs = place.path().join("killed/runs");
    let (finished, begun) = (runs.join("Exact-GeN-seed3"), runs.join("Exact-GeN-seed5.unfinished/checkpoints"));
    let mut child = started();
    // Into the second run, past its first checkpoint.
    while !fs::read_dir(&begun)
        .is_ok_and(|mut all| all.any(|e| !e.unwrap().file_name().to_string_lossy().starts_with('.')))
    {
        assert!(child.try_wait().unwrap().is_none() || begun.exists(), "it ended before it could be killed");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!place.path().join("killed/comparison.csv").exists());
    let before = files(&finished);
    let (_, progress) = succeed(place.path(), "--config c.toml --out killed");
    assert!(progress.starts_with("4 runs, 1 of them finished before"), "{progress}");
    assert!(files(&finished) == before, "a finished run was touched");
    assert!(numbers(&place.path().join("killed")) == numbers(&place.path().join("whole")));
}

#[test]
fn another_configuration_is_replaced_only_when_asked() {
    let place = tempfile::tempdir().unwrap();
    let write = |text: &str| fs::write(place.path().join("c.toml"), text).unwrap();
    write(CONFIG);
    succeed(place.path(), "--config c.toml --quiet --out a");
    let before = files(&place.path().join("a"));
    write(&CONFIG.replace("gamma = 0.9", "gamma = 0.5"));
    let message = one_line_error(&compare(place.path(), "--config c.toml --out a"), 1);
    assert!(message.contains("a/runs/Adam--averaged-seed3: holds a run of another configuration"), "{message}");
    assert!(files(&place.path().join("a")) == before, "something was touched");
    succeed(place.path(), "--config c.toml --quiet --out a --force");
    let after = files(&place.path().join("a"));
    let same = |name: &str| {
        let path = place.path().join("a/runs").join(name).join("metrics.jsonl");
        before[&path] == after[&path]
    };
    assert!(same("Exact-GeN-seed3") && !same("Adam--averaged-seed3"));
}

#[test]
fn a_run_that_diverges_is_shown() {
    let place = tempfile::tempdir().unwrap();
    let wild = "[[compare.entries]]\nlabel = \"wild\"\nrule = { kind = \"constant\", lr = 1e30 }\n";
    fs::write(place.path().join("c.toml"), format!("{CONFIG}{wild}")).unwrap();
    let (table, _) = succeed(place.path(), "--config c.toml --quiet --out a");
    let line = table.lines().find(|line| line.starts_with("wild")).unwrap();
    assert!(line.contains("2 of 2") && table.contains("Diverged"), "{table}");
    let figure = fs::read_to_string(place.path().join("a/loss-steps.svg")).unwrap();
    assert!(figure.contains("wild (2 of 2 diverged)"));
}

#[test]
fn what_makes_no_sense_is_told_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let fail = |text: &str, args: &str, code| {
        fs::write(place.path().join("c.toml"), text).unwrap();
        one_line_error(&compare(place.path(), args), code)
    };
    let message = fail(&CONFIG.replace("gamma", "gama"), "--config c.toml", 2);
    assert!(message.contains("c.toml: line 14, compare.entries[1].rule.gama: unknown key (did you mean gamma?)"));
    assert!(fail(&CONFIG.replace("[3, 5]", "[]"), "--config c.toml", 2).contains("compare.seeds: found none"));
    assert!(
        fail(
            "[training]\nbatch = 100000\n[compare]\nseeds = [1]\n[[compare.entries]]\nlabel = \"a\"\n",
            "--config c.toml",
            2
        )
        .contains("100000")
    );
    assert!(fail("", "--config none.toml", 1).contains("none.toml"));
    assert!(fail(CONFIG, "--config c.toml --jobs 0", 2).contains("--jobs"));
    assert!(fail(CONFIG, "--config c.toml --out c.toml", 1).contains("c.toml: cannot hold a comparison: found a file"));
    let trained = parabola().args(["train", "--config", "c.toml"]).current_dir(place.path()).output().unwrap();
    assert!(one_line_error(&trained, 2).contains("`parabola compare` takes this file"));
    let left: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["c.toml"]);
}
