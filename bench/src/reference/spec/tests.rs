//! Reading of descriptions, good and bad.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const SMALL: &str = r#"{"kind":"mlp","sizes":[4,3],"batch":2,"act":"relu","loss":"ce"}"#;

fn error(json: &str) -> String {
    let message = Spec::from_name_or_json(json).expect_err(json).to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn every_named_model_is_read() {
    for (name, parameters) in [
        ("single-layer", 7850),
        ("mlp-digits", 26122),
        ("mlp-mnist", 535818),
        ("mlp-wide", 3159050),
        ("cnn", 80202),
        ("gpt", 429664),
        ("mlp-concave", 1133),
    ] {
        let spec = Spec::from_name_or_json(name).unwrap();
        assert_eq!((spec.parameters(), spec.name.as_deref()), (parameters, Some(name)));
    }
    assert_eq!(Spec::from_name_or_json("mlp-wide-256").unwrap().batch, 256);
    let concave = Spec::from_name_or_json("mlp-concave").unwrap();
    assert!(matches!(concave.network, Network::Mlp { act_out: true, .. }));
    assert_eq!((concave.scale, concave.loss), (4.0, Loss::Mse));
}

#[test]
fn defaults_are_those_of_the_reference() {
    let spec = Spec::from_name_or_json(SMALL).unwrap();
    assert!(matches!(spec.network, Network::Mlp { act_out: false, .. }));
    assert_eq!((spec.seed, spec.scale, spec.name), (0, 1.0, None));
    let cnn = Spec::from_name_or_json("cnn").unwrap();
    assert!(matches!(cnn.network, Network::Cnn { stride: 1, padding: 0, pool: Some(Pool2d::Max(_)), .. }));
}

#[test]
fn unknown_names_and_keys_name_the_nearest() {
    assert!(error("mlp-digit").contains("unknown model \"mlp-digit\" (did you mean mlp-digits?)"));
    assert!(error("resnet").contains("expected one of single-layer, mlp-digits"));
    assert!(error(&SMALL.replace("act\"", "atc\"")).contains("unknown key \"atc\" (did you mean act?)"));
    assert!(
        error(&SMALL.replace("{", r#"{"colour":1,"#)).contains("unknown key \"colour\"; expected kind, batch, act")
    );
}

#[test]
fn kinds_have_keys_of_their_own() {
    assert!(error(r#"{"kind":"rnn"}"#).contains(r#"kind: found "rnn", expected one of mlp, cnn, gpt"#));
    assert!(error(r#"{"kind":"gpt","vocab":96,"sizes":[1,2]}"#).contains("unknown key \"sizes\""));
    assert!(error(r#"{"kind":"gpt","vocab":96,"head":4}"#).contains("unknown key \"head\" (did you mean heads?)"));
    assert!(error(r#"{"kind":"gpt","vocab":96}"#).contains("key `d` is missing"));
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    const CNN: &str =
        r#"{"kind":"cnn","batch":2,"act":"relu","loss":"ce","channels":[1,2],"kernel":3,"image":8,"fc":[3]}"#;
    const GPT: &str =
        r#"{"kind":"gpt","batch":2,"vocab":5,"d":8,"heads":2,"layers":1,"ctx":4,"act":"gelu","loss":"ce"}"#;
    for (json, from, to, message) in [
        (CNN, "\"kernel\":3", "\"kernel\":9", "images of 8 pixels become smaller than a kernel or a pool"),
        (CNN, "\"image\":8", "\"image\":3", "images of 3 pixels become smaller"),
        (CNN, "\"kernel\":3", "\"kernel\":99999", "kernel: found 99999, expected a whole number from 1 to 16384"),
        (CNN, "\"fc\":[3]", "\"fc\":3", "fc: found 3, expected a list of sizes, outputs last"),
        (CNN, "[1,2]", "[]", "channels: found [], expected a list of at least one number of channels"),
        (
            CNN,
            "[1,2],\"kernel\":3,\"image\":8,\"fc\":[3]",
            "[1],\"kernel\":3,\"image\":8,\"fc\":[]",
            "found neither convolutions nor fc",
        ),
        (CNN, "\"fc\":[3]", "\"fc\":[3],\"pool\":\"min\"", "pool: found \"min\", expected one of max, avg, none"),
        (CNN, "\"fc\":[3]", "\"fc\":[3],\"padding\":-1", "padding: found -1, expected a whole number from 0"),
        (CNN, "\"fc\":[3]", "\"fc\":[4294967295]", "more than the supported"),
        (CNN, "[1,2]", "[4294967295,4294967295]", "more than the supported"),
        (
            CNN,
            "[1,2],\"kernel\":3",
            "[1,1,1,1,1,1,1],\"kernel\":1,\"pool\":\"none\",\"padding\":5000",
            "more than the supported",
        ),
        (CNN, "\"ce\"", "\"mse\"", "loss: found \"mse\", expected ce for this kind of model"),
        (GPT, "\"heads\":2", "\"heads\":3", "heads: found 3, expected a divisor of the width 8"),
        (GPT, "\"layers\":1", "\"layers\":5000", "layers: found 5000, expected a whole number from 0 to 4096"),
        (GPT, "\"layers\":1", "\"layers\":-1", "layers: found -1, expected a whole number from 0 to 4096"),
        (GPT, "\"d\":8", "\"d\":4294967294", "more than the supported"),
        (GPT, "\"ctx\":4", "\"ctx\":4294967294", "more than the supported"),
    ] {
        Spec::from_name_or_json(json).unwrap();
        let found = error(&json.replace(from, to));
        assert!(found.contains(message), "{to}: {found}");
    }
}

#[test]
fn networks_may_lack_a_kind_of_layer() {
    let read = |json: &str| Spec::from_name_or_json(json).unwrap();
    let cnn = |keys: &str| {
        read(&format!(r#"{{"kind":"cnn","batch":2,"act":"relu","loss":"ce","image":8,"kernel":3,{keys}}}"#))
    };
    // 6 × 6 pixels, halved by pooling.
    let bare = cnn(r#""channels":[1,2],"fc":[]"#);
    assert_eq!((bare.network.outputs(), bare.parameters()), (2 * 3 * 3, 2 * 9 + 2));
    let flat = cnn(r#""channels":[3],"fc":[5]"#);
    assert_eq!((flat.network.outputs(), flat.parameters()), (5, 3 * 64 * 5 + 5));
    let gpt = read(r#"{"kind":"gpt","batch":2,"vocab":5,"d":8,"heads":2,"layers":0,"ctx":4,"act":"gelu","loss":"ce"}"#);
    assert_eq!(gpt.parameters(), (5 + 4) * 8 + 2 * 8 + 8 * 5 + 5);
}

#[test]
fn bad_values_name_key_found_and_expected() {
    let cases = [
        ("[4,3]", "[4]", "sizes: found [4], expected a list of at least two sizes"),
        ("[4,3]", "7", "sizes: found 7"),
        ("[4,3]", "[4,0]", "sizes[1]: found 0, expected a whole number from 1"),
        ("[4,3]", "[-4,3]", "sizes[0]: found -4"),
        ("[4,3]", "[4.5,3]", "sizes[0]: found 4.5"),
        ("[4,3]", "[4,\"3\"]", "sizes[1]: found \"3\""),
        ("[4,3]", "[99999999999999999999,3]", "sizes[0]: found"),
        ("[4,3]", "[4294967295,4294967295]", "more than the supported 1073741824 numbers"),
        ("\"batch\":2", "\"batch\":0", "batch: found 0"),
        ("\"batch\":2", "\"batch\":null", "batch: found null"),
        ("\"batch\":2", "\"batch\":4000000000", "more than the supported"),
        ("relu", "swish", "act: found \"swish\", expected one of tanh, relu, gelu, sigmoid, softplus, silu"),
        ("\"ce\"", "\"hinge\"", "loss: found \"hinge\", expected one of nsq, mse, ce"),
        ("\"ce\"", "3", "loss: found 3"),
        ("\"ce\"", "\"ce\",\"seed\":-1", "seed: found -1"),
        ("\"ce\"", "\"ce\",\"scale\":\"big\"", "scale: found \"big\""),
        ("\"ce\"", "\"ce\",\"scale\":1e300", "scale: found 1e+300"),
        ("\"ce\"", "\"ce\",\"act_out\":1", "act_out: found 1, expected true or false"),
        ("\"batch\":2,", "", "key `batch` is missing"),
        ("\"kind\":\"mlp\",", "", "key `kind` is missing"),
    ];
    for (from, to, message) in cases {
        let found = error(&SMALL.replace(from, to));
        assert!(found.contains(message), "{to}: {found}");
    }
}

#[test]
fn text_that_is_no_object_is_refused() {
    assert!(error("{\"kind\":").contains("invalid JSON"));
    assert!(error("[1,2]").contains("the model: found [1,2], expected a JSON object"));
    assert!(error("").contains("invalid JSON"));
    assert!(error("two\nlines").contains("unknown model \"two\\nlines\"; expected one of"));
    assert!(error(&SMALL.replace("[4,3]", &format!("{:?}", vec![0; 1000]))).len() < 200);
}

/// A named model with some of its bytes changed, and numbers put in the place of others.
fn mutated() -> impl Strategy<Value = String> {
    let numbers = ["0", "1", "-1", "7", "16384", "4294967295", "18446744073709551615", "1e30", "1e999", "[]", "null"];
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let number = (any::<prop::sample::Index>(), prop::sample::select(numbers.to_vec()));
    let named = prop::sample::select(MODELS.map(|(_, json)| json).to_vec());
    (named, vec(number, 0..3), changes).prop_map(|(json, numbers, changes)| {
        let mut text = json.to_owned();
        for (place, by) in numbers {
            let starts: Vec<usize> = text.match_indices([':', ',', '[']).map(|(i, _)| i + 1).collect();
            let start = starts[place.index(starts.len())];
            let end = text[start..].find([',', ']', '}']).map_or(text.len(), |n| start + n);
            text.replace_range(start..end, by);
        }
        let mut bytes = text.into_bytes();
        let length = bytes.len();
        changes.iter().for_each(|(place, byte)| bytes[place.index(length)] = *byte);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

proptest! {
    #[test]
    fn any_description_is_read_or_refused_in_one_line(text in prop_oneof![mutated(), any::<String>()]) {
        match Spec::from_name_or_json(&text) {
            Ok(spec) => prop_assert!(spec.parameters() <= MAX_NUMBERS),
            Err(error) => prop_assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
}
