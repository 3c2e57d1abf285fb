//! No text makes the reading of a configuration panic, or take memory without bound.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use toml::Value;

use super::*;
use crate::config::study::Study;

const EXAMPLES: [&str; 8] = [
    include_str!("../../../examples/mlp.toml"),
    include_str!("../../../examples/cnn.toml"),
    include_str!("../../../examples/gpt.toml"),
    include_str!("../../../examples/layers.toml"),
    include_str!("../../../examples/gpt-layers.toml"),
    include_str!("../../../examples/resnet-layers.toml"),
    include_str!("../../../examples/compare.toml"),
    include_str!("../../../examples/studies/reach.toml"),
];

/// Numbers at the ends of what types hold.
const EXTREMES: [i64; 10] = [i64::MIN, -1, 0, 1, 3, 1 << 14, 1 << 24, 1 << 32, 1 << 53, i64::MAX];

/// A text with some of its bytes changed, and perhaps its end cut off.
fn mutated() -> impl Strategy<Value = String> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(EXAMPLES.to_vec()), changes, prop::option::of(any::<prop::sample::Index>())).prop_map(
        |(text, changes, cut)| {
            let mut bytes = text.as_bytes().to_vec();
            changes.iter().for_each(|(place, byte)| bytes[place.index(text.len())] = *byte);
            bytes.truncate(cut.map_or(text.len(), |cut| cut.index(text.len())));
            String::from_utf8_lossy(&bytes).into_owned()
        },
    )
}

/// Puts another value in the place of the one that comes after so many.
fn replace(value: &mut Value, left: &mut usize, by: &Value) {
    let below: Vec<&mut Value> = match value {
        Value::Table(table) => table.iter_mut().map(|(_, value)| value).collect(),
        Value::Array(list) => list.iter_mut().collect(),
        _ if *left == 0 => {
            *value = by.clone();
            *left = usize::MAX;
            return;
        }
        _ => {
            *left -= 1;
            return;
        }
    };
    below.into_iter().for_each(|value| {
        if *left != usize::MAX {
            replace(value, left, by);
        }
    });
}

/// Checks that a text is read, or refused in one line that names the file; what is read is built, or refused in one line.
fn check(text: &str) -> Result<(), TestCaseError> {
    let path = Path::new("a.toml");
    let one_line = |message: String| {
        prop_assert!(!message.contains('\n') && message.starts_with("a.toml: "), "{message:?}\n{text}");
        Ok(())
    };
    let read = Config::parse(path, text);
    for error in [Comparison::parse(path, text).err(), Study::parse(path, text).err()].into_iter().flatten() {
        one_line(error.to_string())?;
    }
    let config = match read {
        Ok(config) => config,
        Err(error) => return one_line(error.to_string()),
    };
    let saved = config.to_toml();
    prop_assert_eq!(Config::parse(path, &saved).map(|again| again.to_toml()).map_err(|e| e.to_string()), Ok(saved));
    for (item, is_text) in [(&[64][..], false), (&[1, 8, 8], false), (&[32], true), (&[1 << 15, 1 << 15], false)] {
        if let Err(message) = config.model.build::<f32>(&Ends { item, outputs: 10, is_text }) {
            prop_assert!(!message.contains('\n'), "{message:?}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn changed_examples_are_read_or_refused(text in mutated()) {
        check(&text)?;
    }

    #[test]
    fn extreme_numbers_are_read_or_refused(
        example in prop::sample::select(EXAMPLES.to_vec()),
        changes in vec((0usize..60, prop::sample::select(EXTREMES.to_vec())), 1..4),
    ) {
        let mut table = Value::Table(example.parse().expect("an example"));
        for (place, number) in changes {
            replace(&mut table, &mut place.clone(), &Value::Integer(number));
        }
        check(&table.to_string())?;
    }
}

#[test]
fn sizes_are_bounded_together() {
    let error = |text: &str| match Config::parse(Path::new("a.toml"), text) {
        Err(error) => error.to_string(),
        Ok(config) => {
            config.model.build::<f32>(&Ends { item: &[4], outputs: 10, is_text: false }).map(|_| ()).unwrap_err()
        }
    };
    for (text, message) in [
        ("[model]\nhidden = [16777216, 16777216]\n", "found 281475245146122 parameters, expected at most 1073741824"),
        (
            "[data]\nkind = \"affine\"\ninputs = 1024\nsamples = 16777216\n",
            "a.toml: line 1, data: found an array of shape [16777216, 1024], expected at most 1073741824 numbers",
        ),
        (
            "[data]\nitem = [65536, 65536]\n",
            "a.toml: line 2, data.item: found [65536, 65536], expected at most 1073741824 numbers in all",
        ),
        ("[training]\nepochs = 4294967296\n", "a.toml: line 2, training.epochs: found 4294967296, expected at most"),
        (
            "[model]\nkind = \"gpt\"\nblocks = 5000\n",
            "a.toml: line 3, model.blocks: found 5000 layers or blocks in all, expected at most 4096",
        ),
        (
            "[model]\nkind = \"resnet\"\nblocks = 4096\nwidths = [1, 1]\n",
            "a.toml: line 3, model.blocks: found 8192 layers or blocks in all, expected at most 4096",
        ),
        (
            "[model]\nkind = \"layers\"\nlayers = [{ kind = \"lstm\", hidden = 1, layers = 4096 }, { kind = \"linear\" }]\n",
            "a.toml: line 3, model.layers: found 4097 layers or blocks in all",
        ),
        ("[model]\nkind = \"cnn\"\npadding = 20000\n", "a.toml: line 3, model.padding: found 20000, expected at most"),
        (
            "[model]\nkind = \"layers\"\nlayers = [{ kind = \"lstm\", hidden = 2, layers = 5000 }]\n",
            "a.toml: line 3, model.layers[0].layers: found 5000, expected at most 4096",
        ),
    ] {
        let found = error(text);
        assert!(found.starts_with(message), "{text}\nfound    {found}\nexpected {message}");
    }
}
