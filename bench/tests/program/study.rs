//! `parabola study`: its data, figures and reports, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::program::{one_line_error, parabola};

const NETWORK: &str = "[model]\nhidden = [8]\n[training]\nepochs = 1\nbatch = 64\n";

fn study(folder: &Path, text: &str) -> Output {
    fs::write(folder.join("s.toml"), text).unwrap();
    parabola().args(["study", "--config", "s.toml", "-q"]).current_dir(folder).output().expect("the program")
}

/// The files of a study that must succeed, and its report.
#[track_caller]
fn made(text: &str, files: &[&str]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = study(folder.path(), text);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let runs = folder.path().join("runs/s-study");
    for file in files {
        assert!(fs::metadata(runs.join(file)).is_ok_and(|file| file.len() > 0), "{file} is missing or empty");
    }
    let report = fs::read_to_string(runs.join("report.md")).unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(&report));
    (folder, report)
}

#[test]
fn estimates_are_measured_and_exact_ones_are_exact() {
    let text = "[study]\nkind = \"estimation\"\nsteps = [0, 3]\nbatches = [16, 32]\nsamples = 3\nprobes = [0.01, 1.0]\n\
        activations = [\"tanh\", \"gelu\"]\nfollowed = 5\n";
    let figures = ["error-probe.svg", "error-steps.svg", "error-batches.svg", "error-activations.svg", "sign.svg"];
    let files = [&figures[..], &["estimates.csv", "averages.csv", "averages.svg", "config.toml"]].concat();
    let (folder, report) = made(&format!("{text}{NETWORK}"), &files);
    assert!(report.contains("| 3 points, f64 |") && report.contains("| gelu |") && !report.contains("NaN"), "{report}");
    // Two activations, two moments, two sizes, three batches, two precisions; one exact row and two ways at two probes each.
    let csv = fs::read_to_string(folder.path().join("runs/s-study/estimates.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 2 * 2 * 2 * 3 * 2 * (1 + 2 * 2));
    for line in csv.lines().filter(|line| line.contains(",f64,exact,")) {
        let error: f64 = line.split(',').nth(11).unwrap().parse().unwrap();
        assert!(error < 1e-12, "{line}");
    }
    let followed = fs::read_to_string(folder.path().join("runs/s-study/averages.csv")).unwrap();
    assert_eq!(followed.lines().count(), 1 + 5);
}

#[test]
fn lines_are_sampled_and_layers_share_the_curvature() {
    let text = "[study]\nkind = \"reach\"\nsteps = [0, 3]\nsamples = 2\npoints = 7\n";
    let figures = ["line-0.svg", "line-3.svg", "deviation.svg", "layers.svg"];
    let files = [&figures[..], &["lines.csv", "points.csv", "layers.csv", "config.toml"]].concat();
    let (folder, report) = made(&format!("{text}{NETWORK}"), &files);
    assert!(report.contains("| layers.0 |"), "{report}");
    let read = |name: &str| fs::read_to_string(folder.path().join("runs/s-study").join(name)).unwrap();
    assert_eq!(read("points.csv").lines().count(), 1 + 2 * 2 * 7);
    // The blocks of the layers add up to den, in single precision.
    let sum: f64 = read("layers.csv").lines().filter(|line| line.starts_with("0,")).map(last).sum();
    let first = read("lines.csv").lines().nth(1).unwrap().to_owned();
    let den: f64 = first.split(',').nth(4).unwrap().parse().unwrap();
    assert!((sum / den - 1.0).abs() < 1e-4, "{sum} and {den}");
}

fn last(line: &str) -> f64 {
    line.rsplit(',').next().unwrap().parse().unwrap()
}

#[test]
fn what_makes_no_sense_is_misuse() {
    let folder = tempfile::tempdir().unwrap();
    for (text, complaint) in [
        (NETWORK, "s.toml: study: missing key kind: expected one of estimation, reach"),
        (
            "[study]\nkind = \"reach\"\nrange = -1.0\n",
            "s.toml: line 3, study.range: found -1, expected a number above 0",
        ),
    ] {
        let output = study(folder.path(), text);
        let message = one_line_error(&output, 2);
        assert!(message.contains(complaint), "{message}");
        assert!(!folder.path().join("runs").exists());
    }
}
