//! A run that is killed and resumed is the run that was never stopped.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use nn::random::Key;

use crate::program::{one_line_error, parabola};

const CONFIG: &str = "\
[data]\n\
item = [1, 8, 8]\n\
augment = { shift = 1 }\n\
[model]\n\
kind = \"cnn\"\n\
channels = [4]\n\
kernel = 3\n\
hidden = [16]\n\
[direction]\n\
kind = \"adam\"\n\
[rule]\n\
kind = \"approx\"\n\
every = 3\n\
[training]\n\
epochs = 3\n\
batch = 32\n";

fn start(folder: &Path, args: &[&str]) -> Child {
    parabola()
        .args(["train", "--quiet", "--threads", "1"])
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program")
}

/// The numbers that a run leaves, without times.
fn numbers(run: &Path) -> (Vec<u8>, Vec<serde_json::Value>) {
    let rows = ["metrics.jsonl", "evaluations.jsonl"].iter().flat_map(|name| {
        let text = fs::read_to_string(run.join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect::<Vec<_>>()
    });
    let timeless = rows.map(|mut row| {
        let row = row.as_object_mut().unwrap();
        row.retain(|key, _| key != "ms" && key != "seconds");
        serde_json::Value::Object(row.clone())
    });
    (fs::read(run.join("parameters.safetensors")).unwrap(), timeless.collect())
}

#[test]
fn a_run_killed_at_random_and_resumed_ends_as_one_that_was_not() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("c.toml"), CONFIG).unwrap();
    let whole = std::time::Instant::now();
    assert!(start(place.path(), &["--config", "c.toml", "--out", "whole"]).wait().unwrap().success());
    let whole = whole.elapsed();
    let mut random = Key::new(7).generator();
    let (mut kills, mut resumed_from, mut runs, mut compared) = (0, Vec::new(), 0, 0);
    while kills < 12 {
        let before = kills;
        runs += 1;
        assert!(runs < 50, "runs end before they can be killed");
        let out = format!("killed-{runs}");
        let mut child = start(place.path(), &["--config", "c.toml", "--checkpoint-every", "7", "--out", &out]);
        let unfinished = place.path().join(format!("{out}.unfinished"));
        let ended = loop {
            // Any time of a run: while it reads, steps, saves or finishes.
            thread::sleep(whole.mul_f64(1.1 * random.uniform() / 2.0));
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{out} ended with {status} after {kills} kills");
                break true;
            }
            child.kill().unwrap();
            child.wait().unwrap();
            kills += 1;
            let saved = fs::read_dir(unfinished.join("checkpoints")).map_or(0, |steps| steps.count());
            if !unfinished.join("config.toml").exists() {
                // Killed before it began, or after it ended: there is nothing to resume.
                break false;
            }
            resumed_from.push(saved);
            child = start(place.path(), &["--resume", &out]);
        };
        let run = place.path().join(&out);
        assert!(run.exists() || !ended, "{out} ended and left nothing");
        if run.exists() {
            assert!(numbers(&run) == numbers(&place.path().join("whole")), "{out} differs after {kills} kills");
            compared += usize::from(kills > before);
            // Killed at the very end, it is finished, but may not have tidied up; whoever resumes it does.
            let output = parabola().args(["train", "--resume", &out]).current_dir(place.path()).output().unwrap();
            assert!(one_line_error(&output, 1).contains("the run is finished"));
            let left: Vec<_> = fs::read_dir(&run).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert!(!left.iter().any(|name| name == "checkpoints" || name == ".lock"), "{left:?}");
        }
    }
    assert!(resumed_from.iter().filter(|checkpoints| **checkpoints > 0).count() >= 3, "{resumed_from:?}");
    assert!(compared >= 1, "{compared} of {runs} runs were killed and came to their end");
}

#[test]
fn what_cannot_be_resumed_is_told() {
    let place = tempfile::tempdir().unwrap();
    let fail = |args: &str, code| {
        let output = parabola().args(args.split_whitespace()).current_dir(place.path()).output().unwrap();
        one_line_error(&output, code)
    };
    assert!(fail("train --resume none", 1).contains("found no unfinished run"));
    assert!(fail("train --resume none --epochs 3", 2).contains("--epochs"));
    assert!(fail("train --resume none --out elsewhere", 2).contains("--out"));
    assert!(fail("train --seed 9223372036854775808", 2).contains("--seed"));
    assert!(start(place.path(), &["--epochs", "1", "--hidden", "8", "--out", "done"]).wait().unwrap().success());
    assert!(fail("train --resume done", 1).contains("the run is finished"));
    // A checkpoint of another model.
    let mut child =
        start(place.path(), &["--epochs", "2000", "--hidden", "8", "--checkpoint-every", "5", "--out", "run"]);
    let folder = place.path().join("run.unfinished");
    while !fs::read_dir(folder.join("checkpoints"))
        .is_ok_and(|mut all| all.any(|e| !e.unwrap().file_name().to_string_lossy().starts_with('.')))
    {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(fail("train --resume run", 1).contains("is being written by another process"));
    child.kill().unwrap();
    child.wait().unwrap();
    let config = fs::read_to_string(folder.join("config.toml")).unwrap();
    fs::write(folder.join("config.toml"), config.replace("hidden = [8]", "hidden = [9]")).unwrap();
    let message = fail("train --resume run", 1);
    let line = "config.toml: line 9: found \"hidden = [8]\", expected \"hidden = [9]\" as in";
    assert!(message.contains(line), "{message}");
    // The same, if somebody changed its configuration too.
    for checkpoint in fs::read_dir(folder.join("checkpoints")).unwrap() {
        fs::copy(folder.join("config.toml"), checkpoint.unwrap().path().join("config.toml")).unwrap();
    }
    let message = fail("train --resume run", 1);
    assert!(
        message.contains("state.safetensors: is no checkpoint of this configuration") && message.contains("shape [8"),
        "{message}"
    );
}
