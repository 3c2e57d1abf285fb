//! Files sound and broken.

use std::fs;
use std::path::Path;

use ad_core::{Real, Tensor};
use proptest::prelude::*;

use super::read::parse;
use super::{Entry, WeightsError, load, read, save};

/// The file that a header and data make.
fn file(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// A sound file of two tensors: `a`, of type F32 and shape (2), and `y`, of type I64 and shape ().
fn sound() -> Vec<u8> {
    let a = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let y = r#""y":{"dtype":"I64","shape":[],"data_offsets":[8,16]}"#;
    file(&format!("{{{a},{y}}}"), &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7, 0, 0, 0, 0, 0, 0, 0])
}

fn read_bytes(bytes: &[u8]) -> Result<Vec<(String, Entry<f32>)>, WeightsError> {
    parse(Path::new("m"), bytes, true)
}

fn refusal(bytes: &[u8]) -> String {
    read_bytes(bytes).unwrap_err().to_string()
}

/// The refusal of one tensor `a` described so, over these bytes.
fn refused_tensor(description: &str, data: &[u8]) -> String {
    refusal(&file(&format!(r#"{{"a":{{{description}}}}}"#), data))
}

fn holds_names_and_one_line(error: &WeightsError) {
    let message = error.to_string();
    assert!(message.starts_with("m: ") && !message.contains(char::is_control), "{message:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        // A sound file among them would be a wonder: its first eight bytes say how long the header is.
        holds_names_and_one_line(&read_bytes(&bytes).unwrap_err());
    }

    #[test]
    fn any_header_is_read_or_refused(header in r#"[{}\[\]":,0-9aF\n\\]{0,60}"#, data: Vec<u8>) {
        if let Err(error) = read_bytes(&file(&format!("{{{header}"), &data)) {
            holds_names_and_one_line(&error);
        }
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(at in 0..sound().len(), byte: u8) {
        let mut bytes = sound();
        bytes[at] = byte;
        if let Err(error) = read_bytes(&bytes) {
            holds_names_and_one_line(&error);
        }
    }

    #[test]
    fn what_is_written_is_read(shape in proptest::collection::vec(0usize..4, 0..4), scale in -1e30f64..1e30) {
        let tensor = Tensor::from_fn(&shape, |i| scale / (i + 1) as f64);
        prop_assert_eq!(round_trip(&tensor), tensor.clone());
        prop_assert_eq!(round_trip(&tensor.cast::<f32>()), tensor.cast::<f32>());
    }
}

fn round_trip<T: Real>(tensor: &Tensor<T>) -> Tensor<T> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    save(&path, [("a", tensor)]).unwrap();
    let [(name, read)] = <[_; 1]>::try_from(load(&path).unwrap()).unwrap();
    assert_eq!(name, "a");
    read
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let bytes = sound();
    for n in 0..bytes.len() {
        holds_names_and_one_line(&read_bytes(&bytes[..n]).unwrap_err());
    }
    assert_eq!(refusal(&bytes[..bytes.len() - 1]), "m: data: found 15 bytes, expected 16");
    assert_eq!(refusal(&[bytes.as_slice(), b"\0"].concat()), "m: data: found 17 bytes, expected 16");
    assert_eq!(refusal(&bytes[..30]), format!("m: header: found 22 bytes, expected {}", bytes.len() - 24));
    assert_eq!(refusal(&bytes[..3]), "m: length of the header: found 3 bytes, expected 8");
}

#[test]
fn foreign_files_are_recognised() {
    assert_eq!(refusal(b"epoch,loss,accuracy\n0,1,2\n"), "m: found no JSON header, expected a safetensors file");
    let zip = "m: found a zip archive, as PyTorch's own checkpoints are, expected a safetensors file";
    assert_eq!(refusal(b"PK\x03\x04\x14\0\0\0\x08\0\0\0"), zip);
}

#[test]
fn corrupt_headers_are_refused_on_one_line() {
    for (description, data, reason) in [
        (r#""dtype":"F32","shape":[1],"data_offsets":[4,8]"#, 8, "invalid offset for tensor `a`"),
        (r#""dtype":"F32","shape":[2],"data_offsets":[0,4]"#, 4, "invalid shape, data type, or offset"),
        (r#""dtype":"F32","shape":[9223372036854775807,3],"data_offsets":[0,4]"#, 4, "overflow"),
        (r#""dtype":"X\n","shape":[1],"data_offsets":[0,4]"#, 4, r"unknown variant `X\n`"),
        (r#""dtype":"F32","shape":[-1],"data_offsets":[0,4]"#, 4, "invalid value"),
        (r#""dtype":"F32""#, 0, "missing field"),
    ] {
        let message = refused_tensor(description, &vec![0; data]);
        assert!(message.starts_with("m: corrupt header: ") && message.contains(reason), "{message}");
        assert!(!message.contains('\n'));
    }
    assert!(refusal(&file("{\u{7}", b"")).starts_with("m: corrupt header: "));
    assert!(refusal(&[&8u64.to_le_bytes()[..], b"{\xff\xff\xff\xff\xff\xff}"].concat()).contains("utf-8"));
}

#[test]
fn lengths_that_overflow_together_are_refused() {
    // Each is as large as the format's own check allows; with the header's length they exceed 2⁶⁴.
    let largest = (1u64 << 61) - 1;
    let ends: Vec<u64> = (1..=8).map(|k| k * largest).collect();
    let tensor = |(k, end): (usize, &u64)| {
        let start = end - largest;
        format!(r#""t{k}":{{"dtype":"U8","shape":[{largest}],"data_offsets":[{start},{end}]}}"#)
    };
    let header = format!("{{{}}}", ends.iter().enumerate().map(tensor).collect::<Vec<_>>().join(","));
    let message = format!("m: data: found 3 bytes, expected {}", 8 * largest);
    assert_eq!(refusal(&file(&header, &[0; 3])), message);
}

#[test]
fn unusable_elements_are_named() {
    let nan = [0, 0, 0x80, 0x3f, 0, 0, 0xc0, 0x7f];
    assert_eq!(
        refused_tensor(r#""dtype":"F32","shape":[2],"data_offsets":[0,8]"#, &nan),
        "m: tensor \"a\", element 1: found NaN, expected a finite f32 number"
    );
    assert_eq!(
        refused_tensor(r#""dtype":"F64","shape":[],"data_offsets":[0,8]"#, &1e300f64.to_le_bytes()),
        format!("m: tensor \"a\", element 0: found {}, expected a finite f32 number", 1e300)
    );
    assert_eq!(
        refused_tensor(r#""dtype":"BOOL","shape":[1],"data_offsets":[0,1]"#, &[1]),
        "m: tensor \"a\": found elements of type BOOL, expected F64, F32, F16, BF16, I64, I32 or U8"
    );
}

#[test]
fn reals_and_integers_are_read_in_the_order_of_their_names() {
    let a = Tensor::from_vec(&[2], vec![1.0, -2.0]);
    let y = Entry::Integers { shape: Default::default(), data: vec![7] };
    assert_eq!(read_bytes(&sound()).unwrap(), [("a".into(), Entry::Reals(a)), ("y".into(), y)]);
}

#[test]
fn integers_are_no_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    fs::write(&path, sound()).unwrap();
    let error = load::<f64>(&path).unwrap_err().to_string();
    assert!(
        error.ends_with("m: tensor \"y\": found elements of type integer, expected F64, F32, F16 or BF16"),
        "{error}"
    );
}

#[test]
fn a_file_of_the_python_library_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mlp-concave.safetensors");
    let tensors = load::<f64>(&path).unwrap();
    let shapes: Vec<(&str, &[usize])> = tensors.iter().map(|(name, t)| (name.as_str(), t.shape())).collect();
    let expected: [(&str, &[usize]); 8] = [
        ("layers.0.bias", &[24]),
        ("layers.0.weight", &[24, 16]),
        ("layers.1.bias", &[24]),
        ("layers.1.weight", &[24, 24]),
        ("layers.2.bias", &[5]),
        ("layers.2.weight", &[5, 24]),
        ("x", &[12, 16]),
        ("y", &[12, 5]),
    ];
    assert_eq!(shapes, expected);
    // The first number of the data, read off the file's bytes.
    assert_eq!(tensors[0].1.data()[0], f64::from(f32::from_bits(0x3c7d_2b50)));
}

#[test]
fn a_failed_save_leaves_the_earlier_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m");
    let sound = Tensor::scalar(1.0);
    save(&path, [("a", &sound)]).unwrap();
    let error = save(&path, [("a", &Tensor::full(&[2], f64::INFINITY))]).unwrap_err();
    assert!(matches!(error, WeightsError::NotFinite { element: 0, .. }), "{error}");
    assert_eq!(load(&path).unwrap(), [("a".to_string(), sound.clone())]);

    let error = save(&folder.path().join("absent/m"), [("a", &sound)]).unwrap_err();
    assert!(matches!(error, WeightsError::Write { .. }), "{error}");
    let error = read::<f32>(&folder.path().join("absent")).unwrap_err();
    assert!(matches!(error, WeightsError::Read { .. }), "{error}");
}

#[test]
#[should_panic(expected = "save: two tensors are named \"a\"")]
fn a_name_given_twice_is_refused() {
    let tensor = Tensor::scalar(1.0);
    let _ = save(Path::new("m"), [("a", &tensor), ("a", &tensor)]);
}

#[test]
#[should_panic(expected = "save: the format reserves the name \"__metadata__\"")]
fn a_reserved_name_is_refused() {
    let _ = save(Path::new("m"), [("__metadata__", &Tensor::scalar(1.0))]);
}
