//! Configurations: what they train, and what is told of bad ones and of bad files.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Output;

use crate::program::{one_line_error, parabola};

fn run(folder: &Path, args: &str) -> Output {
    parabola().args(args.split_whitespace()).current_dir(folder).output().expect("the program")
}

fn succeed(folder: &Path, args: &str) -> String {
    let output = run(folder, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Images of 6 × 6 pixels of which the class can be seen, in MNIST's format, gzipped or not.
fn write_images(folder: &Path, name: &str, rows: usize, gzipped: bool) {
    let header = |kind: u8, sizes: &[usize]| {
        let sizes = sizes.iter().flat_map(|n| (*n as u32).to_be_bytes());
        [0, 0, 8, kind].into_iter().chain(sizes).collect::<Vec<u8>>()
    };
    let mut images = header(3, &[rows, 6, 6]);
    let mut labels = header(1, &[rows]);
    for row in 0..rows {
        let class = row % 3;
        labels.push(class as u8);
        images.extend(
            (0..36).map(|pixel| if pixel / 12 == class { 200 + (row % 50) as u8 } else { (7 * pixel % 40) as u8 }),
        );
    }
    for (kind, bytes) in [("images", images), ("labels", labels)] {
        let bytes = if gzipped { gzip(&bytes) } else { bytes };
        fs::write(folder.join(format!("{name}-{kind}")), bytes).unwrap();
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const IMAGES: &str = "[data]\nkind = \"idx\"\nimages = \"train-images\"\nlabels = \"train-labels\"\n";
const SHORT: &str = "[training]\nepochs = 2\nbatch = 16\n";

#[test]
fn every_kind_of_model_trains_on_its_data() {
    let place = tempfile::tempdir().unwrap();
    write_images(place.path(), "train", 90, true);
    write_images(place.path(), "test", 30, false);
    let text: String = (0..400).map(|i| "the quick brown fox. "[i % 21..].chars().next().unwrap()).collect();
    fs::write(place.path().join("book.txt"), text).unwrap();
    let tested = "test_images = \"test-images\"\ntest_labels = \"test-labels\"\n";
    let book = "[data]\nkind = \"text\"\nfile = \"book.txt\"\ncontext = 8\n";
    let layer = |kind: &str| format!("[[model.layers]]\nkind = \"{kind}\"\n");
    let recurrent = format!(
        "{book}[model]\nkind = \"layers\"\n{}size = 4\n{}hidden = 6\n{}p = 0.1\n{}outputs = 17\n",
        layer("embedding"),
        layer("lstm"),
        layer("dropout"),
        layer("linear"),
    );
    let normalised = format!(
        "{IMAGES}[model]\nkind = \"layers\"\n{}outputs = 4\nkernel = 3\n{}{}name = \"relu\"\n{}{}outputs = 3\n",
        layer("conv2d"),
        layer("batch_norm"),
        layer("activation"),
        layer("global_avg_pool2d"),
        layer("linear"),
    );
    let positioned = format!(
        "{book}[model]\nkind = \"layers\"\n{}size = 4\n{}{}outputs = 17\n",
        layer("embedding"),
        layer("batch_norm"),
        layer("linear"),
    );
    for (name, text) in [
        (
            "cnn",
            format!(
                "{IMAGES}{tested}augment = {{ shift = 1, flip = true, crop = [5, 5] }}\n[model]\nkind = \"cnn\"\nchannels = [4]\nkernel = 3\nhidden = [8]\npool = \"avg\"\n"
            ),
        ),
        ("resnet", format!("{IMAGES}scaling = \"range\"\n[model]\nkind = \"resnet\"\nwidths = [4, 8]\n")),
        (
            "gpt",
            format!(
                "{book}[model]\nkind = \"gpt\"\nwidth = 8\nheads = 2\nblocks = 1\ndropout = 0.1\n[direction]\nkind = \"adamw\"\n"
            ),
        ),
        ("recurrent", recurrent),
        ("normalised", normalised),
        ("positioned", positioned),
    ] {
        fs::write(place.path().join(format!("{name}.toml")), format!("{text}{SHORT}")).unwrap();
        let report = succeed(place.path(), &format!("train --quiet --config {name}.toml"));
        assert!(report.contains("test accuracy"), "{name}: {report}");
        let direction = if name == "gpt" { "-adamw" } else { "" };
        let run = format!("runs/{name}-exact{direction}-seed0");
        // What was saved repeats the run, parameters are where another can start from, and its cost is known.
        succeed(place.path(), &format!("train --quiet --config {run}/config.toml --out again-{name}"));
        let parameters = |run: &str| fs::read(place.path().join(run).join("parameters.safetensors")).unwrap();
        assert!(parameters(&run) == parameters(&format!("again-{name}")), "{name}");
        succeed(
            place.path(),
            &format!("train --quiet --config {name}.toml --from {run}/parameters.safetensors --out more-{name}"),
        );
        let cost = succeed(place.path(), &format!("cost --config {name}.toml --repeats 1"));
        let along = if name == "gpt" { "direction adamw\n" } else { "direction sgd\n" };
        assert!(cost.contains("exact num and den") && cost.contains(along), "{name}: {cost}");
    }
    for name in ["gpt-exact-adamw", "recurrent-exact", "positioned-exact"] {
        let text = succeed(place.path(), &format!("sample runs/{name}-seed0 --length 20 --prompt the"));
        assert!(text.starts_with("the") && text.trim_end_matches('\n').chars().count() == 23, "{text:?}");
    }
}

#[test]
fn init_writes_configurations() {
    let place = tempfile::tempdir().unwrap();
    for kind in ["mlp", "table", "cnn", "resnet", "gpt", "layers"] {
        let told = succeed(place.path(), &format!("init {kind} --out {kind}.toml"));
        assert_eq!(told, format!("wrote {kind}.toml; train with: parabola train --config {kind}.toml\n"));
    }
    succeed(place.path(), "train --quiet --config layers.toml --epochs 1 --batch 700");
    let error = one_line_error(&run(place.path(), "init mlp --out layers.toml"), 1);
    assert!(error.contains("layers.toml: exists; give --force"), "{error}");
    succeed(place.path(), "init mlp --out layers.toml --force");
}

/// An archive of arrays as `numpy.savez` writes it: name, type, shape and bytes of each.
fn npz(arrays: [(&str, &str, &str, &[u8]); 2]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, descr, shape, elements) in arrays {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        archive.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        let length = (header.len() as u16).to_le_bytes();
        archive.write_all(&[b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), elements].concat()).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn bad_configurations_and_files_are_told_in_one_line() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(place.path().join(name), bytes).unwrap();
    write_images(place.path(), "train", 30, false);
    write_images(place.path(), "other", 20, false);
    let images = fs::read(place.path().join("train-images")).unwrap();
    let packed = gzip(&images);
    write("cut.gz", &packed[..packed.len() / 2]);
    write("magic", &[&[1, 2, 3, 4], &images[4..]].concat());
    write("short", &images[..images.len() - 5]);
    write("words.csv", b"a,b,y\n1,2,0\n3,four,1\n");
    write("ragged.csv", b"a,b,y\n1,2,0\n3,4\n");
    write("book.txt", &[b'a', 0xff]);
    write("foreign.safetensors", &fs::read(crate::program::tests_data("mlp-concave.safetensors")).unwrap());
    let rows = (0..12u8).flat_map(|i| f32::from(i).to_le_bytes()).collect::<Vec<_>>();
    write("complex.npz", &npz([("x", "<c16", "(3, 4)", &rows), ("y", "<i8", "(3,)", &[0; 24])]));
    write("words.npz", &npz([("x", "<f4", "(3, 4)", &rows), ("y", "<U3", "(3,)", &[0; 36])]));
    write("short.npz", &npz([("x", "<f4", "(3, 5)", &rows), ("y", "<i8", "(3,)", &[0; 24])]));
    write("long.npz", &npz([("x", "<f4", "(3, 4)", &rows), ("y", "<i8", "(3, 2)", &[0; 48])]));
    write("few.npz", &npz([("x", "<f4", "(3, 4)", &rows), ("y", "<i8", "(2,)", &[0; 16])]));
    // Images of 5 × 5 pixels, beside those of 6 × 6.
    write("small-images", &[&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 5][..], &[7; 50]].concat());
    write("small-labels", &[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]);
    write("words.txt", "over and over and over again ".repeat(9).as_bytes());
    let small = "test_images = \"small-images\"\ntest_labels = \"small-labels\"\n";
    let arrays = |file: &str| format!("[data]\nkind = \"npz\"\nfile = \"{file}\"\n");
    let idx = |images: &str, labels: &str| {
        format!(
            "[data]\nkind = \"idx\"\nimages = \"{images}\"\nlabels = \"{labels}\"\n[model]\nkind = \"cnn\"\nkernel = 3\n[training]\nbatch = 8\n"
        )
    };
    let csv = |file: &str, target: &str| format!("[data]\nkind = \"csv\"\nfile = \"{file}\"\ntarget = \"{target}\"\n");
    for (text, code, culprits) in [
        (idx("cut.gz", "train-labels"), 1, &["cut.gz"][..]),
        (idx("magic", "train-labels"), 1, &["magic", "expected"]),
        (idx("short", "train-labels"), 1, &["short", "expected"]),
        (idx("train-images", "other-labels"), 1, &["other-labels", "20", "30"]),
        (idx("none", "train-labels"), 1, &["none"]),
        (csv("words.csv", "y"), 1, &["words.csv: line 3, column \"b\"", "four"]),
        (csv("words.csv", "z"), 1, &["words.csv", "\"z\""]),
        (csv("ragged.csv", "y"), 1, &["ragged.csv: line 3"]),
        (
            arrays("complex.npz"),
            1,
            &["complex.npz: array \"x\"", "found elements of type \"<c16\", expected f4, f8, i1 to i8"],
        ),
        (
            arrays("words.npz"),
            1,
            &["words.npz: array \"y\"", "found elements of type \"<U3\", expected f4, f8, i1 to i8"],
        ),
        (arrays("short.npz"), 1, &["short.npz: array \"x\"", "found", "48", "expected", "60"]),
        (arrays("long.npz"), 1, &["long.npz: found 2 labels for each sample, expected one"]),
        (arrays("few.npz"), 1, &["few.npz: array \"y\": found 2 rows, expected 3"]),
        (
            format!("{IMAGES}{small}"),
            1,
            &["small-images: found samples of shape [1, 5, 5], expected [1, 6, 6], as in train-images"],
        ),
        (
            format!("{IMAGES}{small}test_share = 0.1\n"),
            2,
            &["data.test_share: found beside test_images, expected one of them"],
        ),
        (
            "[data]\nkind = \"text\"\nfile = \"words.txt\"\ncontext = 4\nscaling = \"range\"\n".to_owned(),
            2,
            &["c.toml: line 5, data.scaling: found one for a text, expected none"],
        ),
        (
            "[loss]\nweights = [1.0, 2.0]\n".to_owned(),
            2,
            &["c.toml: loss.weights: found 2 numbers, expected 10, one for each class"],
        ),
        (
            "[direction]\ngroups = [{ pattern = \"*.bais\", scale = 0.0 }]\n".to_owned(),
            2,
            &[
                "c.toml: direction.groups: found pattern \"*.bais\"",
                "expected one that fits a parameter, such as layers.0",
            ],
        ),
        (
            "[rule]\nkind = \"grouped\"\ngroups = [\"*.weight\", \"nope*\"]\n".to_owned(),
            2,
            &["c.toml: rule.groups: found pattern \"nope*\""],
        ),
        ("[training]\nbatch = 5000\n".to_owned(), 2, &["c.toml: training.batch: found a batch of 5000 rows"]),
        (arrays("words.csv"), 1, &["words.csv", "found", "expected"]),
        (
            "[data]\nkind = \"text\"\nfile = \"book.txt\"\ncontext = 2\n[model]\nkind = \"gpt\"\n".to_owned(),
            1,
            &["book.txt: byte 1", "0xff"],
        ),
        ("[training]\nepochs = \"x\"\n".to_owned(), 2, &["c.toml: line 2, training.epochs: found string \"x\""]),
        (
            "[training]\nepoch = 1\n".to_owned(),
            2,
            &["c.toml: line 2, training.epoch: unknown key (did you mean epochs?)"],
        ),
        ("[training\n".to_owned(), 2, &["c.toml: line 1"]),
        ("[model]\nkind = \"cnn\"\n".to_owned(), 2, &["model: found samples of shape [64]", "data.item"]),
        ("[model]\nkind = \"gpt\"\n".to_owned(), 2, &["expected a text for gpt"]),
        ("[data]\nitem = [2, 2]\n".to_owned(), 2, &["data.item: found [2, 2], expected a shape of 64 numbers"]),
        ("[data]\naugment = { shift = 1 }\n".to_owned(), 2, &["data.augment: found samples of shape [64]"]),
        (
            format!("{IMAGES}[model]\nkind = \"resnet\"\n[training]\nbatch = 9\nmicro_batch = 4\n"),
            2,
            &["training.batch: found 9 in micro-batches of 4, expected two rows"],
        ),
        ("[loss]\nkind = \"mse\"\n".to_owned(), 2, &["expected ce"]),
        (
            "[training]\nfrom = \"foreign.safetensors\"\n".to_owned(),
            1,
            &[
                "foreign.safetensors: does not fit the model: unexpected x",
                "layers.0.weight is [24, 16], expected [128, 64]",
            ],
        ),
    ] {
        write("c.toml", text.as_bytes());
        let error = one_line_error(&run(place.path(), "train --config c.toml"), code);
        for culprit in culprits {
            assert!(error.contains(culprit), "{text}: {error}");
        }
        assert!(!place.path().join("runs").exists(), "{text}: something was written");
    }
    let error = one_line_error(&run(place.path(), "train --config none.toml"), 1);
    assert!(error.contains("none.toml: cannot read the configuration"), "{error}");
    let error = one_line_error(&run(place.path(), "sample none"), 1);
    assert!(error.contains("none/config.toml"), "{error}");
}
