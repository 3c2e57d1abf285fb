//! `parabola sums`, run as a user runs it.

use std::fs;
use std::process::Output;

use serde_json::Value;

use crate::program::{one_line_error, parabola};

fn sums(args: &[&str]) -> Output {
    parabola().arg("sums").args(["--repeats", "1", "--inputs", "6", "--outputs", "3"]).args(args).output().unwrap()
}

/// Standard output of a run that succeeds, without a word on standard error.
#[track_caller]
fn succeed(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = sums(args);
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success() && stderr.is_empty(), "{args:?}: {stderr}");
    String::from_utf8(stdout).expect("text")
}

#[test]
fn a_table_and_a_figure_show_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let figure = folder.path().join("sums.svg");
    let text = succeed(&["--rows", "8,4", "--threads", "1,2", "--out", figure.to_str().unwrap()]);
    for part in ["6→3, relu, squared loss, f64", "triple sum", "network and direct form over engine", "4 to 8"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(text.ends_with(&format!("wrote {}\n", figure.display())), "{text}");
    let svg = fs::read_to_string(&figure).unwrap();
    for part in ["<svg ", "triple sum, 1 thread", "Gram, 2 threads", "engine, 2 threads"] {
        assert!(svg.contains(part), "{part} is missing");
    }
}

#[test]
fn the_same_stands_in_one_json_object() {
    let folder = tempfile::tempdir().unwrap();
    let figure = folder.path().join("sums.svg");
    let flags = ["--rows", "3,5", "--threads", "2,1", "--act", "leaky_relu", "--json", "--out"];
    let text = succeed(&[&flags[..], &[figure.to_str().unwrap()]].concat());
    assert_eq!(text.lines().count(), 1);
    let found: Value = serde_json::from_str(&text).unwrap();
    let places: Vec<_> =
        found["times"].as_array().unwrap().iter().map(|row| (row["rows"].clone(), row["threads"].clone())).collect();
    let expected = [(3, 1), (3, 2), (5, 1), (5, 2)].map(|(m, n)| (Value::from(m), Value::from(n)));
    assert_eq!(places, expected);
    for row in found["times"].as_array().unwrap() {
        for call in ["network", "sums", "gram", "direct", "engine"] {
            assert!(row[call].as_f64().unwrap() > 0.0, "{call} of {row}");
        }
    }
    assert!(found["difference"].as_f64().unwrap() < 1e-12);
    assert_eq!((found["act"].as_str(), found["left_out"].as_array().map(Vec::len)), (Some("leaky_relu"), Some(0)));
    // One speed of two threads over one, and two ratios on either number of threads.
    assert_eq!(found["ratios"].as_array().unwrap().len(), 5);
}

#[test]
fn what_would_take_too_long_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let figure = folder.path().join("sums.svg");
    let text = succeed(&["--rows", "1500", "--threads", "1", "--out", figure.to_str().unwrap()]);
    assert!(text.contains("Left out: triple sum at M = 1500, predicted to take "), "{text}");
    assert!(!text.contains("triple sum on one thread"), "{text}");
}

#[test]
fn misuse_and_failure_are_told_in_one_line() {
    for (args, code, culprit) in [
        (&["--rows", "0"][..], 2, "--rows"),
        (&["--rows", "4000000000"], 2, "--rows 4000000000: a layer 6→3 with so many rows"),
        (&["--rows", "99999999999999"], 2, "--rows <SIZES>': must be at most 4294967295"),
        (&["--act", "gelu"], 2, "[possible values: identity, relu, leaky_relu]"),
        (&["--rows", "2", "--out", "/nowhere/to/be/found.svg"], 1, "--out /nowhere/to/be/found.svg: cannot be written"),
    ] {
        let output = sums(args);
        let message = one_line_error(&output, code);
        assert!(message.contains(culprit) && output.stdout.is_empty(), "{args:?}: {message}");
    }
}
