//! Bytes of files whose headers are not to be trusted.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::DataError;

/// Bytes of elements that a header may promise at most.
pub(super) const MOST_BYTES: u64 = 1 << 31;

/// The bytes of an array of these sizes, of so many bytes an element; `None` where they are more than [`MOST_BYTES`], or
/// would be if no axis had size 0.
pub(super) fn bytes_of(sizes: &[u64], element: u64) -> Option<u64> {
    let nonzero = sizes.iter().try_fold(element, |n, &size| n.checked_mul(size.max(1)));
    nonzero.filter(|&n| n <= MOST_BYTES).map(|n| if sizes.contains(&0) { 0 } else { n })
}

/// The next bytes, at most so many. The buffer grows as they come, whatever their number was said to be. `place` names the
/// stream in errors.
pub(super) fn read_up_to(path: &Path, place: &str, from: &mut impl Read, most: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match from.take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(match error.kind() {
            // The kinds by which decoders report a stream that is not sound.
            ErrorKind::UnexpectedEof => {
                DataError::content(path, place, "the end of the file", "the rest of the stream")
            }
            ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
                DataError::content(path, place, error, "sound compressed data")
            }
            _ => DataError::Read { path: path.into(), source: error },
        }),
    }
}

/// The elements of an array that a header promised, of so many bytes in all and no more.
pub(super) fn read_elements(
    path: &Path,
    [stream, place]: [&str; 2],
    from: &mut impl Read,
    promised: u64,
) -> Result<Vec<u8>, DataError> {
    // One byte more than promised shows whether there are any, and lets a decoder verify its checksum.
    let bytes = read_up_to(path, stream, from, promised + 1)?;
    if bytes.len() as u64 != promised {
        let more = if bytes.len() as u64 > promised { "more than " } else { "" };
        let found = format!("{more}{} bytes", promised.min(bytes.len() as u64));
        return Err(DataError::content(path, place, found, promised));
    }
    Ok(bytes)
}
