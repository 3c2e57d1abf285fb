//! Reading a data file of any content takes no more memory than a few times the file: no size that a header promises is made
//! room for before it is there.

use std::fs;
use std::sync::atomic::Ordering;

use ad_core::buffer;
use nn::data::{TargetKind, Text, read_csv, read_idx, read_npy, read_npz};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::{LARGEST, alone};

/// Bytes that a reader of a file of some hundred bytes may ask for at once: buffers of files and decoders.
const BUFFERS: usize = 1 << 17;

/// Starts of files, after which the sizes come.
fn start() -> impl Strategy<Value = Vec<u8>> {
    let npy = |version: &[u8]| [b"\x93NUMPY", version].concat();
    let sized = move |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}");
        [&npy(&[1, 0])[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()
    };
    prop_oneof![
        Just(vec![]),
        (2u8..5).prop_map(|axes| vec![0, 0, 8, axes]),
        (1u8..4).prop_map(move |version| npy(&[version, 0])),
        // Sizes that a reader could believe, and any.
        (0..1u32 << 14, 0..1u32 << 14).prop_map(move |(n, m)| sized(&format!("({n}, {m})"))),
        (any::<u32>(), any::<u32>()).prop_map(move |(n, m)| sized(&format!("({n}, {m})"))),
        (0..1u32 << 15, 0..1u32 << 15).prop_map(|(n, m)| [
            vec![0, 0, 8, 2],
            n.to_be_bytes().into(),
            m.to_be_bytes().into()
        ]
        .concat()),
        Just(b"PK\x03\x04".to_vec()),
        Just(b"PK\x05\x06".to_vec()),
        Just(vec![0x1f, 0x8b, 8, 0]),
        Just(b"y,a\n".to_vec()),
    ]
}

#[test]
fn no_reader_makes_room_by_a_header_s_word() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let check = |bytes: Vec<u8>| {
        fs::write(&path, bytes).unwrap();
        LARGEST.store(0, Ordering::Relaxed);
        let taken = buffer::taken_bytes();
        let read = [
            read_idx::<f32>(&path, &path, None).is_ok(),
            read_npy::<f32>(&path, &path, TargetKind::Values).is_ok(),
            read_npz::<f32>(&path, "x", "y", TargetKind::Values).is_ok(),
            read_csv(&path, "y", TargetKind::Values).is_ok(),
            Text::read(&path).is_ok(),
        ];
        let largest = LARGEST.load(Ordering::Relaxed).max(buffer::taken_bytes() - taken);
        prop_assert!(largest <= BUFFERS, "{largest} bytes at once; read: {read:?}");
        Ok(())
    };
    let files = (start(), prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(start, rest)| [start, rest].concat());
    TestRunner::default().run(&files, check).unwrap();
}
