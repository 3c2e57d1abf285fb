//! What the readers of files are fuzzed with.

use proptest::collection::vec;
use proptest::prelude::*;

/// A sound file with some bytes changed, and bytes cut off, added at the end, or neither.
pub(super) fn mutated(sound: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let end = prop_oneof![
        Just((sound.len(), vec![])),
        (0..sound.len()).prop_map(|cut| (cut, vec![])),
        (Just(sound.len()), vec(any::<u8>(), 1..20)),
    ];
    (vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), end).prop_map(move |(changes, (cut, added))| {
        let mut bytes = sound.clone();
        changes.iter().for_each(|(i, byte)| bytes[i.index(sound.len())] = *byte);
        bytes.truncate(cut);
        bytes.extend(added);
        bytes
    })
}

/// Whether a message is one line that names the file.
#[track_caller]
pub(super) fn assert_names_file_in_one_line(message: &str, file: &str) {
    assert!(message.contains(file), "{message:?} does not name {file:?}");
    assert!(!message.contains('\n'), "{message:?} is not one line");
}
