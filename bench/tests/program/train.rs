//! `parabola train` and `parabola line`, and what all commands share.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::program::{one_line_error, parabola, tests_data};

fn run(folder: &Path, args: &str) -> Output {
    parabola().args(args.split_whitespace()).current_dir(folder).output().expect("the program")
}

#[track_caller]
fn succeed(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn fail(folder: &Path, args: &str, code: i32) -> String {
    one_line_error(&run(folder, args), code)
}

/// The names and contents of all files of a folder.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let read = |e: std::io::Result<fs::DirEntry>| {
        let path = e.unwrap().path();
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
    };
    fs::read_dir(folder).unwrap().map(read).collect()
}

/// The lines of the metrics, without their one field of time.
fn metrics(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        assert!(row.as_object_mut().unwrap().remove("ms").unwrap().is_number());
        row
    };
    text.lines().map(row).collect()
}

#[test]
fn a_run_writes_its_folder_and_says_how_it_went() {
    let place = tempfile::tempdir().unwrap();
    let text = succeed(place.path(), "--epochs 3 --hidden 32 --seed 3");
    for row in [
        "train loss",
        "test accuracy",
        "steps ",
        "time",
        "parabola",
        "fallback steps",
        "median α",
        "predicted",
        "actual",
    ] {
        assert!(text.contains(row), "{row} is missing:\n{text}");
    }
    let folder = place.path().join("runs/digits-exact-seed3");
    let names: Vec<String> = contents(&folder).into_keys().collect();
    assert_eq!(
        names,
        ["alpha.svg", "config.toml", "evaluations.jsonl", "metrics.jsonl", "parameters.safetensors", "training.svg"]
    );
    let rows = metrics(&folder);
    assert_eq!(rows.len(), 3 * 22);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["step"], i);
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} of step {i}: {}", row[key]));
        let (num, den, alpha) = (number("num"), number("den"), number("alpha"));
        if row["reason"] == "parabola" {
            assert!((alpha - num / den).abs() <= 1e-12 * alpha, "step {i}");
            assert!((number("predicted") - num * num / den / 2.0).abs() <= 1e-12 * num, "step {i}");
        }
        assert!(number("gn") > 0.0 && number("actual").is_finite());
        assert_eq!((row["gradients"].as_u64(), row["curvatures"].as_u64()), (Some(1), Some(1)));
    }
    let theta = nn::weights::load::<f32>(&folder.join("parameters.safetensors")).unwrap();
    let shapes: Vec<_> = theta.iter().map(|(name, t)| (name.as_str(), t.shape().to_vec())).collect();
    assert_eq!(shapes[0], ("layers.0.bias", vec![32]));
    assert_eq!(shapes[3], ("layers.1.weight", vec![10, 32]));
    // A second run takes the place of the first.
    succeed(place.path(), "--epochs 1 --hidden 32 --seed 3");
    assert_eq!(metrics(&folder).len(), 22);
    let left: Vec<String> = fs::read_dir(place.path().join("runs"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["digits-exact-seed3"]);
}

#[test]
fn one_seed_gives_one_run_for_any_number_of_threads() {
    let place = tempfile::tempdir().unwrap();
    for (out, threads) in [("a", 1), ("b", 1), ("c", 2), ("d", 4)] {
        succeed(
            place.path(),
            &format!("--epochs 1 --hidden 256,256 --batch 256 --quiet --threads {threads} --out {out}"),
        );
    }
    let first = place.path().join("a");
    for other in ["b", "c", "d"].map(|name| place.path().join(name)) {
        assert_eq!(metrics(&first), metrics(&other));
        let parameters = |folder: &Path| fs::read(folder.join("parameters.safetensors")).unwrap();
        assert!(parameters(&first) == parameters(&other), "{other:?}");
    }
}

#[test]
fn every_rule_activation_and_precision_trains() {
    let place = tempfile::tempdir().unwrap();
    for rule in ["exact --lr-max 5 --gamma 0.5 --every 4", "approx", "constant --lr 0.1"] {
        let name = rule.split(' ').next().unwrap();
        succeed(place.path(), &format!("train --epochs 2 --hidden 16 --quiet --dtype f64 --rule {rule} --out {name}"));
        let rows = metrics(&place.path().join(name));
        assert!(rows.last().unwrap()["loss"].as_f64() < rows[0]["loss"].as_f64(), "{rule}");
    }
    let lazy = metrics(&place.path().join("exact"));
    assert_eq!((lazy[1]["reason"].as_str(), lazy[1]["curvatures"].as_u64()), (Some("stale"), Some(0)));
    for act in ["identity", "relu", "leaky_relu", "elu", "sigmoid", "softplus", "gelu", "gelu_tanh", "silu"] {
        succeed(place.path(), &format!("--epochs 1 --hidden 8 --quiet --act {act} --weight-decay 0.001"));
    }
}

#[test]
fn tables_of_one_s_own_are_learnt() {
    let place = tempfile::tempdir().unwrap();
    let rows: String =
        (0..60).map(|i| format!("{},{},{}\n", i % 7, i % 5, (i % 7) as f64 * 0.5 - (i % 5) as f64)).collect();
    fs::write(place.path().join("line.csv"), format!("a,b,y\n{rows}")).unwrap();
    let text = succeed(place.path(), "--data line.csv --target y --loss mse --hidden 8 --batch 16 --epochs 60");
    assert!(!text.contains("accuracy"));
    let rows = metrics(&place.path().join("runs/line-exact-seed0"));
    assert!(rows.last().unwrap()["loss"].as_f64().unwrap() < 0.05 * rows[0]["loss"].as_f64().unwrap());
}

#[test]
fn the_line_is_drawn_and_tabulated() {
    let place = tempfile::tempdir().unwrap();
    let text = succeed(place.path(), "line --at-step 3 --points 11 --hidden 16 --out here");
    assert!(text.contains("α* = num/den") && text.contains("Gauss–Newton"), "{text}");
    let files = contents(&place.path().join("here"));
    assert!(files["line.svg"].starts_with(b"<svg"));
    let csv = String::from_utf8(files["line.csv"].clone()).unwrap();
    let rows: Vec<Vec<f64>> =
        csv.lines().skip(1).map(|line| line.split(',').map(|x| x.parse().unwrap()).collect()).collect();
    assert_eq!((csv.lines().next(), rows.len()), (Some("alpha,loss,parabola"), 11));
    assert_eq!((rows[0][0], rows[0][1]), (0.0, rows[0][2]));
    // The line starts where a run of three steps has got to.
    succeed(place.path(), "--epochs 1 --hidden 16 --quiet --out run");
    let step = &metrics(&place.path().join("run"))[3];
    assert_eq!(step["loss"].as_f64(), Some(rows[0][1]));
}

#[test]
fn cost_prints_what_the_fixture_says() {
    let place = tempfile::tempdir().unwrap();
    let weights = tests_data("mlp-concave.safetensors");
    let expected: Value = serde_json::from_slice(&fs::read(tests_data("expected.json")).unwrap()).unwrap();
    let expected = &expected["mlp-concave"];
    for (dtype, tolerance) in [("f64", 1e-10), ("f32", 2e-5)] {
        let output = parabola()
            .args(["cost", "--json", "--repeats", "1", "--threads", "1", "--dtype", dtype])
            .arg("--weights")
            .arg(&weights)
            .args(["--model", &expected["spec"].to_string()])
            .output()
            .unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        for set in ["check", "check_b"] {
            for key in ["loss", "num", "den", "gn"] {
                let [got, want] = [&found, expected].map(|values| values[set][key].as_f64().unwrap());
                assert!((got - want).abs() <= tolerance * want.abs(), "{dtype} {set}.{key}: {got}, expected {want}");
            }
        }
        for key in ["value", "grad", "hvp", "gen_exact", "gen_approx"] {
            assert!(found["ms"][key].as_f64().unwrap() >= 0.0);
        }
        assert_eq!((found["threads"].as_u64(), found["params"].as_u64()), (Some(1), Some(1133)));
    }
    let text = succeed(place.path(), "cost --model single-layer --repeats 1");
    assert!(text.contains("gradient, exact num and den") && text.contains("Gauss–Newton"), "{text}");
}

#[test]
fn misuse_is_told_in_one_line_with_exit_code_2() {
    let place = tempfile::tempdir().unwrap();
    for (args, culprit) in [
        ("--epochs 0", "--epochs"),
        ("--batch 0", "--batch"),
        ("--batch 5000", "training.batch: found a batch of 5000 rows, expected 1 to 1438"),
        ("--rule constant --lr=-0.1", "--lr"),
        ("--rule constant", "--lr"),
        ("--rule prodigy --direction adam", "--direction: found adam, expected none: prodigy owns its direction"),
        ("--rule exact --lr-min 2 --lr-max 1", "--lr-min 2"),
        ("--act swish", "unknown activation \"swish\""),
        ("--loss hinge", "unknown loss \"hinge\""),
        ("--loss mse", "the built-in digits have class labels"),
        ("--dtype f16", "f16"),
        ("--threads 0", "--threads"),
        ("train --nonsense", "--nonsense"),
        ("cost --model mlp-digit", "did you mean mlp-digits?"),
        (r#"cost --model {"kind":"cnn"}"#, "key `channels` is missing"),
        ("cost --model {", "invalid JSON"),
        (r#"cost --model {"kind":"mlp","sizes":[4],"batch":2,"act":"relu","loss":"ce"}"#, "sizes: found [4]"),
        (r#"cost --model {"kind":"mlp","sizes":[4,2],"batch":2,"act":"swish","loss":"ce"}"#, "act: found \"swish\""),
    ] {
        let message = fail(place.path(), args, 2);
        assert!(message.contains(culprit), "{args}: {message}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn bad_files_are_told_in_one_line_with_exit_code_1() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path().join(name), bytes).unwrap();
    write("nan.csv", b"a,b,y\n1,2,0\n3,nan,1\n");
    write("text.csv", b"a,b,y\n1,2,0\n3,four,1\n");
    write("label.csv", b"a,b,y\n1,2,0\n3,4,-1\n");
    write("ragged.csv", b"a,b,y\n1,2,0\n3,4\n");
    write("foreign.safetensors", b"this is no such file, though it is long enough");
    let whole = fs::read(tests_data("mlp-concave.safetensors")).unwrap();
    write("truncated.safetensors", &whole[..whole.len() - 100]);
    let mut corrupt = whole.clone();
    corrupt[20] ^= 0xff;
    write("corrupt.safetensors", &corrupt);
    write("whole.safetensors", &whole);
    let before = contents(place.path());
    for (args, culprits) in [
        ("--data nan.csv --target y", &["nan.csv: line 3, column \"b\"", "nan"][..]),
        ("--data text.csv --target y", &["text.csv: line 3, column \"b\"", "four"]),
        ("--data label.csv --target y", &["label.csv: line 3, column \"y\"", "-1"]),
        ("--data ragged.csv --target y", &["ragged.csv: line 3"]),
        ("--data text.csv --target z", &["text.csv", "z"]),
        ("--data absent.csv --target y", &["absent.csv: cannot be read"]),
        ("cost --model mlp-concave --weights foreign.safetensors", &["foreign.safetensors"]),
        ("cost --model mlp-concave --weights truncated.safetensors", &["truncated.safetensors", "bytes"]),
        ("cost --model mlp-concave --weights corrupt.safetensors", &["corrupt.safetensors"]),
        ("cost --model mlp-digits --weights whole.safetensors", &["whole.safetensors", "`y`: found real numbers"]),
        (
            r#"cost --weights whole.safetensors --model {"kind":"mlp","sizes":[16,5],"batch":12,"act":"relu","loss":"mse"}"#,
            &["whole.safetensors", "unexpected layers.1.bias", "layers.0.weight is [24, 16], expected [5, 16]"],
        ),
        ("cost --model mlp-concave --weights absent.safetensors", &["absent.safetensors"]),
    ] {
        let message = fail(place.path(), args, 1);
        for culprit in culprits {
            assert!(message.contains(culprit), "{args}: {message}");
        }
    }
    assert_eq!(contents(place.path()), before, "nothing was written or changed");
}

#[test]
fn earlier_results_are_never_lost() {
    let place = tempfile::tempdir().unwrap();
    succeed(place.path(), "--epochs 1 --hidden 8 --quiet --out kept");
    let kept = place.path().join("kept");
    let before = contents(&kept);
    assert!(fail(place.path(), "--epochs 1 --hidden 8 --out kept", 1).contains("kept"));
    assert!(fail(place.path(), "line --hidden 8 --out kept", 1).contains("kept"));
    // A run that fails on the way leaves what stands there, even if it was allowed to replace it.
    assert!(fail(place.path(), "--epochs 1 --hidden 8 --batch 5000 --out kept --force", 2).contains("5000"));
    assert_eq!(contents(&kept), before);
    succeed(place.path(), "--epochs 1 --hidden 8 --seed 1 --quiet --out kept --force");
    assert_ne!(contents(&kept), before);
    // A folder that holds anything but a run is refused, whatever is asked.
    let notes = place.path().join("notes");
    fs::create_dir(&notes).unwrap();
    fs::write(notes.join("thesis.txt"), "years of work").unwrap();
    assert!(fail(place.path(), "--epochs 1 --hidden 8 --out notes --force", 1).contains("notes"));
    assert_eq!(fs::read_to_string(notes.join("thesis.txt")).unwrap(), "years of work");
    // A folder that cannot be written: its parent is a file.
    assert!(fail(place.path(), "--epochs 1 --hidden 8 --out notes/thesis.txt/run", 1).contains("thesis.txt"));
}

#[test]
fn help_is_there_for_every_command() {
    let place = tempfile::tempdir().unwrap();
    for (args, word) in [
        ("--help", "Usage"),
        ("train --help", "--weight-decay"),
        ("line --help", "--at-step"),
        ("cost --help", "--weights"),
    ] {
        assert!(succeed(place.path(), args).contains(word), "{args}");
    }
    assert!(succeed(place.path(), "--version").starts_with("parabola "));
}
