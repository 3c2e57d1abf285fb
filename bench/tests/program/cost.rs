//! `parabola cost`, run as a user runs it.

use std::fs;
use std::process::Output;

use ad_core::{HessianOperator, Params, Tensor};
use bench::reference::draw::draw;
use bench::reference::{Case, Spec};
use gen_sched::{Objective, Supervised};
use serde_json::{Value, json};

use crate::program::{one_line_error, parabola};

fn cost(args: &[&str]) -> Output {
    parabola().arg("cost").args(["--repeats", "1", "--threads", "1"]).args(args).output().expect("the program")
}

/// Standard output of a run that succeeds, without a word on standard error.
#[track_caller]
fn succeed(args: &[&str]) -> String {
    let Output { status, stdout, stderr } = cost(args);
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success() && stderr.is_empty(), "{args:?}: {stderr}");
    String::from_utf8(stdout).expect("text")
}

/// The message of a run that fails: the only line that it prints.
#[track_caller]
fn fail(args: &[&str], code: i32) -> String {
    let output = cost(args);
    let message = one_line_error(&output, code);
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{args:?}");
    assert!(output.stdout.is_empty(), "{args:?}");
    message
}

fn dot(a: &Params<Tensor<f64>>, b: &Params<Tensor<f64>>) -> f64 {
    let product = |a: &Tensor<f64>, b: &Tensor<f64>| a.data().iter().zip(b.data()).map(|(a, b)| a * b).sum::<f64>();
    a.zip(b, product).arrays().iter().sum()
}

/// Gradients on a set itself and on the other one, elementwise, to the direction ω.
type Omega = fn(f64, f64) -> f64;

/// The moving average from zero with coefficient β of x and what came before it.
fn decayed(beta: f64, x: f64, before: f64) -> f64 {
    (1.0 - beta) * (x + beta * before)
}

/// Adam's ω at its second step with second moment v.
fn adam(own: f64, other: f64, v: f64) -> f64 {
    decayed(0.9, own, other) / (1.0 - 0.9 * 0.9) / ((v / (1.0 - 0.999 * 0.999)).sqrt() + 1e-8)
}

/// Loss, g·ω, ω·Hω and ω·Gω on `case` from products with the whole Hessian and Gauss–Newton matrix.
fn by_products(spec: &Spec, case: &Case, other: &Case, omega: Omega) -> [f64; 4] {
    let net = spec.net::<f64>();
    let [here, there] = [case, other].map(|c| Supervised::new(&*net, &spec.loss, &c.batch));
    let h = HessianOperator::new(|p| here.record(p), &case.theta);
    let g = h.gradient();
    let before = HessianOperator::new(|p| there.record(p), &other.theta).gradient();
    let omega = g.zip(&before, |own, other| {
        let elements = own.data().iter().zip(other.data()).map(|(&own, &other)| omega(own, other));
        Tensor::from_vec(own.shape(), elements.collect())
    });
    [h.value().item(), dot(&g, &omega), dot(&omega, &h.hvp(&omega)), dot(&omega, &h.ggn_vp(&omega))]
}

/// Checks both sets of a JSON object that `parabola cost` printed of a drawn model.
#[track_caller]
fn assert_checks(found: &Value, model: &str, omega: Omega) {
    let spec = Spec::from_name_or_json(model).unwrap();
    let case = draw(&spec);
    let case_b = case.set_b();
    for (set, case, other) in [("check", &case, &case_b), ("check_b", &case_b, &case)] {
        for (key, want) in ["loss", "num", "den", "gn"].into_iter().zip(by_products(&spec, case, other, omega)) {
            let got = found[set][key].as_f64().expect("a number");
            assert!((got - want).abs() <= 1e-11 * want.abs(), "{model} {set}.{key}: {got}, expected {want}");
        }
    }
}

#[test]
fn drawn_models_print_the_values_of_the_library() {
    for model in [
        r#"{"kind":"mlp","sizes":[6,9,4],"batch":7,"act":"gelu","loss":"ce","seed":5}"#,
        r#"{"kind":"mlp","sizes":[3,4,4,2],"batch":1,"act":"softplus","loss":"mse","act_out":true,"timed":false}"#,
        r#"{"kind":"mlp","sizes":[5,3],"batch":8,"act":"silu","loss":"nsq","scale":2}"#,
        r#"{"kind":"cnn","channels":[2,3,4],"kernel":3,"stride":2,"padding":2,"pool":"none","image":9,"fc":[6,5],"batch":3,"act":"tanh","loss":"ce"}"#,
        r#"{"kind":"cnn","channels":[1,3],"kernel":2,"pool":"avg","image":7,"fc":[4],"batch":3,"act":"gelu","loss":"ce"}"#,
        r#"{"kind":"cnn","channels":[1,2],"kernel":3,"image":8,"fc":[],"batch":3,"act":"relu","loss":"ce"}"#,
        r#"{"kind":"cnn","channels":[2],"kernel":3,"image":4,"fc":[6,3],"batch":3,"act":"silu","loss":"ce"}"#,
        r#"{"kind":"gpt","vocab":7,"d":12,"heads":3,"layers":2,"ctx":5,"batch":2,"act":"gelu","loss":"ce"}"#,
        r#"{"kind":"gpt","vocab":7,"d":6,"heads":1,"layers":0,"ctx":3,"batch":2,"act":"gelu","loss":"ce","seed":3}"#,
    ] {
        let text = succeed(&["--model", model, "--dtype", "f64", "--json"]);
        assert_eq!(text.lines().count(), 1, "one JSON object: {text}");
        let found: Value = serde_json::from_str(&text).expect("JSON");
        assert_checks(&found, model, |own, _| own);
        let given = ["program", "model", "dtype", "direction"].map(|key| found[key].as_str().unwrap());
        assert_eq!(given, ["parabola", model, "f64", "sgd"]);
        let parameters = Spec::from_name_or_json(model).unwrap().parameters();
        assert_eq!(found["params"].as_u64(), Some(parameters as u64));
    }
}

#[test]
fn num_and_den_are_along_the_direction_that_is_asked_for() {
    let model = r#"{"kind":"mlp","sizes":[6,9,4],"batch":7,"act":"tanh","loss":"ce","seed":5}"#;
    let omegas: [(&str, Omega, &str); 9] = [
        ("sgd", |own, _| own, "ω = g, the gradient,"),
        ("momentum", |own, other| own + 0.9 * other, "ω = m, with m ← 0.9 m + g,"),
        ("nesterov", |own, other| own + 0.9 * (own + 0.9 * other), "ω = g + 0.9 m,"),
        ("rmsprop", |own, other| own / (decayed(0.99, own * own, other * other).sqrt() + 1e-8), "ω = g / (√v + ε),"),
        (
            "rmsprop_centered",
            |own, other| {
                let spread = decayed(0.99, own * own, other * other) - decayed(0.99, own, other).powi(2);
                own / (spread.sqrt() + 1e-8)
            },
            "ω = g / (√(v − μ²) + ε),",
        ),
        ("adagrad", |own, other| own / (own.hypot(other) + 1e-10), "ω = g / (√s + ε),"),
        ("adam", |own, other| adam(own, other, decayed(0.999, own * own, other * other)), "ω = m̂ / (√v̂ + ε), Adam's,"),
        (
            "amsgrad",
            |own, other| adam(own, other, decayed(0.999, own * own, other * other).max(0.001 * other * other)),
            "ω = m̂ / (√v̂ + ε), Adam's with the greatest v so far,",
        ),
        ("lion", |own, other| (0.9 * 0.01 * other + 0.1 * own).signum(), "ω = sign(0.9 m + 0.1 g), Lion's,"),
    ];
    for (name, omega, formula) in omegas {
        let args = ["--model", model, "--dtype", "f64", "--direction", name];
        let found: Value = serde_json::from_str(&succeed(&[&args[..], &["--json"]].concat())).expect("JSON");
        assert_eq!(found["direction"], name);
        assert_checks(&found, model, omega);
        let table = succeed(&args);
        assert!(table.contains(formula) && table.contains(&format!("direction {name}\n")), "{table}");
    }
}

#[test]
fn the_object_has_the_keys_that_are_compared_and_no_others() {
    let found: Value = serde_json::from_str(&succeed(&["--model", "mlp-concave", "--json"])).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&found),
        [
            "check",
            "check_b",
            "direction",
            "dtype",
            "flop",
            "model",
            "ms",
            "params",
            "peak_bytes",
            "products",
            "program",
            "threads",
            "version",
        ]
    );
    // Operations of 16-24-24-5 with batch 12: 2 · 12 · 1080 a product of the layers, and no adjoint of the data.
    assert_eq!((&found["flop"]["value"], &found["flop"]["grad"]), (&json!(25_920), &json!(25_920 * 3 - 2 * 12 * 384)));
    assert_eq!(found["products"]["flop"], found["flop"]["grad"]);
    assert!(found["flop"]["gen_exact"].as_u64() > found["flop"]["grad"].as_u64());
    assert_eq!(keys(&found["check"]), ["den", "gn", "loss", "num"]);
    assert_eq!(keys(&found["ms"]), ["gen_approx", "gen_exact", "grad", "hvp", "hvp_again", "value"]);
}

#[test]
fn the_table_says_what_its_rows_mean() {
    let text = succeed(&["--model", "mlp-concave", "--dtype", "f64"]);
    for words in [
        "mlp-concave: 1133 parameters, f64, 1 thread, direction sgd\n",
        "the median of 1;",
        "MFLOP",
        "the gradient's products alone",
        "gradient, exact num and den",
        "steps by α* = num/den",
        "one more Hv on the recorded operator",
        "θ ∓ 0.01 ω",
        "Along the direction ω = g, the gradient,",
        "Gauss–Newton part of den is",
    ] {
        assert!(text.contains(words), "{words} is missing:\n{text}");
    }
}

const SMALL: &str = r#"{"kind":"mlp","sizes":[3,4,4,2],"batch":2,"act":"tanh","loss":"ce"}"#;

#[test]
fn a_sweep_prints_every_size_and_draws_them() {
    let place = tempfile::tempdir().unwrap();
    let figure = place.path().join("growth.svg");
    let out = figure.to_str().expect("text");
    fs::write(&figure, "an older figure").unwrap();
    for (axis, sizes, words) in [
        ("batch", [1, 2, 4, 8, 16], ["exact, µs/row", "time grows as rows^exponent", "1 to 16"]),
        ("width", [1, 2, 4, 8, 16], ["exact, ns/parameter", "time grows as parameters^exponent", "8 to 16"]),
        ("depth", [1, 2, 4, 8, 16], ["hidden layers", "time grows as parameters^exponent", "4 to 8"]),
    ] {
        let text = succeed(&["--model", SMALL, "--scaling", axis, "--out", out]);
        for word in words.into_iter().chain([&*format!("direction sgd, by {axis}\n"), &*format!("wrote {out}\n")]) {
            assert!(text.contains(word), "{word} is missing:\n{text}");
        }
        for size in sizes {
            let row = |line: &&str| line.split_whitespace().next() == Some(&size.to_string());
            assert!(text.lines().any(|line| row(&line)), "no row for {size}:\n{text}");
        }
        let svg = fs::read_to_string(&figure).unwrap();
        assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("mlp: exact GeN takes") && svg.contains("slope 1"), "{svg}");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing is left beside the figure");
    }
}

#[test]
fn a_sweep_is_one_json_object() {
    let place = tempfile::tempdir().unwrap();
    let args = ["--model", SMALL, "--dtype", "f64", "--scaling", "width", "--json"];
    let mut program = parabola();
    let output = program.arg("cost").args(args).args(["--repeats", "1"]).current_dir(&place).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1, "{text}");
    let found: Value = serde_json::from_str(&text).expect("JSON");
    assert_checks(&found, SMALL, |own, _| own);
    assert_eq!((&found["axis"], &found["plot"]), (&"width".into(), &"cost-scaling-mlp-width.svg".into()));
    assert!(place.path().join("cost-scaling-mlp-width.svg").is_file());
    let entries = found["scaling"].as_array().expect("a list");
    assert_eq!(entries.len(), 5);
    for (entry, width) in entries.iter().zip([1u64, 2, 4, 8, 16]) {
        assert_eq!(entry["size"], width);
        assert_eq!(entry["hidden"], serde_json::json!([width, width]));
        assert_eq!(
            (&entry["batch"], &entry["params"]),
            (&2.into(), &(4 * width + width * (width + 1) + 2 * width + 2).into())
        );
        let number = |value: &Value| value.as_f64().expect("a number");
        let ms = &entry["ms"];
        for key in ["value", "grad", "hvp", "hvp_again", "gen_exact", "gen_approx"] {
            assert!(number(&ms[key]) > 0.0, "{key}: {entry}");
            assert_eq!(entry["exponents"][key].is_f64(), width > 1, "{key}: {entry}");
        }
        let (exact, gradient, params) = (number(&ms["gen_exact"]), number(&ms["grad"]), number(&entry["params"]));
        assert!((number(&entry["exact_per_gradient"]) - exact / gradient).abs() <= 1e-12 * exact / gradient);
        assert!((number(&entry["exact_ms_per_unit"]) - exact / params).abs() <= 1e-12 * exact / params);
    }
    assert_eq!(entries[2]["ms"], found["ms"], "the model's own size");
}

#[test]
fn sweeps_that_make_no_sense_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().expect("text").to_owned();
    let flat = SMALL.replace("[3,4,4,2]", "[3,2]");
    let large = SMALL.replace("[3,4,4,2]", "[3,20000,20000,2]");
    let out = path("a.svg");
    for (args, culprit) in [
        (vec!["--model", SMALL, "--scaling", "height"], "batch, width, depth"),
        (vec!["--model", SMALL, "--scaling", "batch", "--weights", "w.safetensors"], "--weights"),
        (vec!["--model", SMALL, "--out", &out], "--scaling"),
        (vec!["--model", &flat, "--scaling", "width", "--out", &out], "--scaling width: sizes [3, 2] has no hidden"),
        (vec!["--model", &flat, "--scaling", "depth", "--out", &out], "--scaling depth: sizes [3, 2] has no hidden"),
        (vec!["--model", &large, "--scaling", "width", "--out", &out], "sizes [3, 40000, 40000, 2] with batch 2"),
        (vec!["--model", r#"{"kind":"rnn"}"#, "--scaling", "width", "--out", &out], "found \"rnn\""),
    ] {
        let message = fail(&args, 2);
        assert!(message.contains(culprit), "{args:?}: {message}");
    }
    let (absent, folder) = (path("absent/a.svg"), path("folder"));
    fs::create_dir(&folder).unwrap();
    for out in [&absent, &folder] {
        let message = fail(&["--model", SMALL, "--scaling", "batch", "--out", out], 1);
        assert!(message.contains(&format!("--out {out}: cannot be written:")), "{message}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "a refused sweep leaves nothing");
}

#[test]
fn models_that_make_no_sense_are_misuse() {
    for (model, culprit) in [
        ("resnet", "unknown model \"resnet\"; expected one of single-layer, mlp-digits, mlp-mnist"),
        ("mlp-wyde", "did you mean mlp-wide?"),
        (r#"{"kind":"cnn","batch":64}"#, "key `channels` is missing"),
        (r#"{"kind":"mlp","sizes":[4,2]"#, "invalid JSON"),
        (r#"{"kind":"mlp","sizes":[4,2],"batch":0,"act":"relu","loss":"ce"}"#, "batch: found 0"),
        (r#"{"kind":"mlp","sizes":[4,2],"batch":2,"act":"gelu_tanh","loss":"ce"}"#, "expected one of tanh, relu, gelu"),
        (r#"{"kind":"mlp","sizes":[4,2],"batch":2,"act":"relu","loss":"huber"}"#, "expected one of nsq, mse, ce"),
        (r#"{"kind":"mlp","sizes":[4,2],"batch":2,"atc":"relu","loss":"ce"}"#, "did you mean act?"),
    ] {
        let message = fail(&["--model", model], 2);
        assert!(message.contains(culprit), "{model}: {message}");
    }
    assert!(fail(&[], 2).contains("--model"));
    assert!(fail(&["--model", "mlp-digits", "--dtype", "f16"], 2).contains("f16"));
    assert!(fail(&["--model", "mlp-digits", "--direction", "newton"], 2).contains("sgd, momentum, nesterov"));
    let zero = parabola().args(["cost", "--model", "mlp-digits", "--repeats", "0"]).output().unwrap();
    assert!(one_line_error(&zero, 2).contains("--repeats"));
}

#[test]
fn values_beyond_the_precision_are_a_failure() {
    let model = r#"{"kind":"mlp","sizes":[4,2],"batch":3,"act":"relu","loss":"mse","scale":1e20}"#;
    let message = fail(&["--model", model, "--json"], 1);
    assert!(message.contains("on set A, loss is inf in f32, expected a finite number"), "{message}");
    succeed(&["--model", model, "--dtype", "f64", "--json"]);
    let place = tempfile::tempdir().unwrap();
    let figure = place.path().join("a.svg");
    let message = fail(&["--model", model, "--scaling", "batch", "--out", figure.to_str().unwrap()], 1);
    assert!(message.contains("of sizes [4, 2] and batch 2: on set A, loss is inf in f32"), "{message}");
    assert!(!figure.exists());
}

const TWO_CLASSES: &str = r#"{"kind":"mlp","sizes":[2,2],"batch":2,"act":"relu","loss":"ce"}"#;

/// A safetensors file of [`TWO_CLASSES`] with these inputs and labels, written out byte by byte.
fn file(x: [f32; 4], y: [i64; 2]) -> Vec<u8> {
    let header = r#"{"layers.0.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"layers.0.bias":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},"x":{"dtype":"F32","shape":[2,2],"data_offsets":[24,40]},"y":{"dtype":"I64","shape":[2],"data_offsets":[40,56]}}"#;
    let parameters = [0.5f32, -1.0, 0.25, 2.0, 0.1, -0.1];
    let reals = parameters.into_iter().chain(x).flat_map(f32::to_le_bytes);
    let length = (header.len() as u64).to_le_bytes();
    length.into_iter().chain(header.bytes()).chain(reals).chain(y.into_iter().flat_map(i64::to_le_bytes)).collect()
}

#[test]
fn files_that_do_not_fit_their_model_are_failures() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("case.safetensors");
    let weights = path.to_str().expect("text");
    let x = [1.0, 2.0, 3.0, 4.0];
    let whole = file(x, [0, 1]);
    fs::write(&path, &whole).unwrap();
    succeed(&["--model", TWO_CLASSES, "--weights", weights]);
    let wider = TWO_CLASSES.replace("[2,2]", "[3,2]");
    let mut foreign_name = whole.clone();
    let at = whole.windows(3).position(|w| w == b"\"x\"").unwrap();
    foreign_name[at + 1] = b'z';
    for (bytes, model, culprit) in [
        (file([1.0, f32::NAN, 3.0, 4.0], [0, 1]), TWO_CLASSES, "NaN"),
        (file([1.0, 2.0, f32::INFINITY, 4.0], [0, 1]), TWO_CLASSES, "inf"),
        (file(x, [0, 2]), TWO_CLASSES, "`y`: found 2 at position 1, expected 0 to 1"),
        (file(x, [-1, 0]), TWO_CLASSES, "`y`: found -1 at position 0, expected 0 to 1"),
        (whole.clone(), &wider, "layers.0.weight is [2, 2], expected [2, 3]"),
        (foreign_name, TWO_CLASSES, "missing x [2, 2]"),
        (whole[..whole.len() - 1].to_vec(), TWO_CLASSES, "bytes"),
        (whole[..4].to_vec(), TWO_CLASSES, ""),
        (Vec::new(), TWO_CLASSES, ""),
        (b"\x89PNG\r\n\x1a\nno such file at all".to_vec(), TWO_CLASSES, ""),
    ] {
        fs::write(&path, bytes).unwrap();
        let message = fail(&["--model", model, "--weights", weights], 1);
        assert!(message.contains("case.safetensors") && message.contains(culprit), "{culprit}: {message}");
    }
    fs::remove_file(&path).unwrap();
    assert!(fail(&["--model", TWO_CLASSES, "--weights", weights], 1).contains("cannot be read"));
}
