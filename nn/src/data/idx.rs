//! Images and labels in IDX files, the format of MNIST.
//!
//! A file is two zero bytes, the type of its elements (0x08 for u8), the number of axes, the size of each axis (32 bits,
//! big-endian) and the elements in row-major order (<http://yann.lecun.com/exdb/mnist/>).

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use ad_core::{Real, Tensor};
use flate2::bufread::MultiGzDecoder;

use super::stream::{MOST_BYTES, bytes_of, read_elements, read_up_to};
use super::{DataError, Dataset, Targets};

/// What errors call a compressed file.
const STREAM: &str = "gzip stream";

/// Reads images of bytes and a label each from two IDX files, plain or compressed by gzip; the pixels are scaled to [0, 1].
///
/// Images of shape (height, width) come as items of shape (1, height, width), those of any other shape as they are. Without
/// a number of classes it is the largest label plus one; a test part that may lack the last class needs it given. The path
/// of the images names the data.
///
/// # Errors
/// If a file cannot be read, is truncated, corrupt, of another format or of other elements than u8, the images have less
/// than two axes or the labels not one, there are none, their numbers differ, or a label is none of the classes. Messages
/// name file and place.
pub fn read_idx<T: Real>(images: &Path, labels: &Path, classes: Option<usize>) -> Result<Dataset<T>, DataError> {
    let pixels = Array::read(images, 2..=usize::MAX)?;
    let marks = Array::read(labels, 1..=1)?;
    let (rows, found) = (pixels.shape[0], marks.shape[0]);
    if found != rows {
        let expected = format!("{rows}, as there are images in {}", images.display());
        return Err(DataError::content(labels, "number of labels", found, expected));
    }
    let classes = classes.unwrap_or_else(|| marks.elements.iter().max().map_or(0, |&last| usize::from(last) + 1));
    if let Some(row) = marks.elements.iter().position(|&label| usize::from(label) >= classes) {
        let (place, expected) = (format!("label of row {row}"), format!("a class below {classes}"));
        return Err(DataError::content(labels, place, marks.elements[row], expected));
    }
    let targets = Targets::Classes { labels: marks.elements.into_iter().map(u32::from).collect(), classes };
    Dataset::new(images.display().to_string(), pixels.scaled(), targets)
}

/// What a file holds.
struct Array {
    shape: Vec<usize>,
    elements: Vec<u8>,
}

impl Array {
    fn read(path: &Path, rank: RangeInclusive<usize>) -> Result<Self, DataError> {
        let open = || {
            let mut file = BufReader::new(File::open(path)?);
            let compressed = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
            Ok((file, compressed))
        };
        let (file, compressed) = open().map_err(|source| DataError::Read { path: path.into(), source })?;
        if compressed { Array::parse(path, MultiGzDecoder::new(file), rank) } else { Array::parse(path, file, rank) }
    }

    fn parse(path: &Path, mut from: impl Read, rank: RangeInclusive<usize>) -> Result<Self, DataError> {
        let magic = read_up_to(path, STREAM, &mut from, 4)?;
        let rank = match magic[..] {
            [0, 0, 0x08, axes] if rank.contains(&usize::from(axes)) => usize::from(axes),
            [0, 0, 0x08, axes] => {
                let least = rank.start();
                let expected = if rank == (1..=1) { "1 axis".into() } else { format!("at least {least}") };
                return Err(DataError::content(path, "magic number", format!("{axes} axes"), expected));
            }
            [0, 0, other, _] => {
                let found = format!("elements of type {}", type_name(other));
                return Err(DataError::content(path, "magic number", found, type_name(0x08)));
            }
            _ => {
                let found = format!("bytes {magic:02x?}");
                return Err(DataError::content(path, "magic number", found, "two zeros, a type and a number of axes"));
            }
        };
        let sizes = read_up_to(path, STREAM, &mut from, 4 * rank as u64)?;
        if sizes.len() < 4 * rank {
            let (found, expected) = (format!("{} bytes", sizes.len()), format!("{rank} numbers of 4 bytes"));
            return Err(DataError::content(path, "sizes of the axes", found, expected));
        }
        let size = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("4 bytes")).into();
        let sizes: Vec<u64> = sizes.chunks_exact(4).map(size).collect();
        // A byte becomes a number of up to 8.
        let Some(promised) = bytes_of(&sizes, 8).and(bytes_of(&sizes, 1)) else {
            let expected = format!("at most {} elements", MOST_BYTES / 8);
            return Err(DataError::content(path, "sizes of the axes", format!("{sizes:?}"), expected));
        };
        let elements = read_elements(path, [STREAM, "elements"], &mut from, promised)?;
        Ok(Array { shape: sizes.into_iter().map(|size| size as usize).collect(), elements })
    }

    /// The elements over 255, with an axis of one channel where an item has only height and width.
    fn scaled<T: Real>(self) -> Tensor<T> {
        let levels: Vec<T> = (0..=u8::MAX).map(|level| T::from_f64(f64::from(level) / 255.0)).collect();
        let mut shape = self.shape;
        if shape.len() == 3 {
            shape.insert(1, 1);
        }
        Tensor::from_vec(&shape, self.elements.iter().map(|&x| levels[usize::from(x)]).collect())
    }
}

/// The format's name for a type of elements.
fn type_name(code: u8) -> String {
    let name = match code {
        0x08 => "u8",
        0x09 => "i8",
        0x0b => "i16",
        0x0c => "i32",
        0x0d => "f32",
        0x0e => "f64",
        _ => "unknown",
    };
    format!("{name} (0x{code:02x})")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::data::fuzz::{assert_names_file_in_one_line, mutated};

    fn idx(kind: u8, sizes: &[u32], elements: &[u8]) -> Vec<u8> {
        let header = [0, 0, kind, sizes.len() as u8];
        [&header[..], &sizes.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<_>>(), elements].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// What reading files of these bytes gives, with the folder's name left out of the message.
    fn read_as(images: &[u8], labels: &[u8], classes: Option<usize>) -> Result<Dataset<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let [x, y] = ["x.idx", "y.idx"].map(|name| folder.path().join(name));
        fs::write(&x, images).unwrap();
        fs::write(&y, labels).unwrap();
        let shown = format!("{}/", folder.path().display());
        read_idx(&x, &y, classes).map_err(|error| error.to_string().replace(&shown, ""))
    }

    fn images() -> Vec<u8> {
        idx(8, &[3, 1, 2], &[0, 255, 51, 102, 153, 204])
    }

    fn labels() -> Vec<u8> {
        idx(8, &[3], &[1, 0, 4])
    }

    #[test]
    fn images_are_read_plain_or_compressed_and_scaled() {
        let plain = read_as(&images(), &labels(), None).unwrap();
        assert_eq!(plain.inputs(), &Tensor::from_vec(&[3, 1, 1, 2], vec![0.0, 1.0, 0.2, 0.4, 0.6, 0.8]));
        assert_eq!(plain.targets(), &Targets::Classes { labels: vec![1, 0, 4], classes: 5 });
        let compressed = read_as(&gzip(&images()), &gzip(&labels()), Some(10)).unwrap();
        assert_eq!((compressed.inputs(), compressed.outputs()), (plain.inputs(), 10));
        // Two members one after another are one stream.
        let members = [gzip(&images()[..20]), gzip(&images()[20..])].concat();
        assert_eq!(read_as(&members, &labels(), None).unwrap().inputs(), plain.inputs());
        assert_eq!(read_as(&idx(8, &[3, 2], &[0; 6]), &labels(), None).unwrap().item_shape(), [2]);
        assert_eq!(read_as(&idx(8, &[3, 2, 1, 2], &[0; 12]), &labels(), None).unwrap().item_shape(), [2, 1, 2]);
    }

    #[test]
    fn bad_files_are_refused_by_name_and_place() {
        let of_images = |bytes: &[u8]| read_as(bytes, &labels(), None).unwrap_err();
        assert_eq!(
            of_images(b""),
            "x.idx: magic number: found bytes [], expected two zeros, a type and a number of axes"
        );
        assert_eq!(
            of_images(b"\x89PNG\r\n"),
            "x.idx: magic number: found bytes [89, 50, 4e, 47], expected two zeros, a type and a number of axes"
        );
        assert_eq!(
            of_images(&idx(0x0d, &[1, 1, 1], &[0; 4])),
            "x.idx: magic number: found elements of type f32 (0x0d), expected u8 (0x08)"
        );
        assert_eq!(of_images(&labels()), "x.idx: magic number: found 1 axes, expected at least 2");
        assert_eq!(
            of_images(&images()[..15]),
            "x.idx: sizes of the axes: found 11 bytes, expected 3 numbers of 4 bytes"
        );
        assert_eq!(of_images(&images()[..20]), "x.idx: elements: found 4 bytes, expected 6");
        assert_eq!(of_images(&[images(), vec![0]].concat()), "x.idx: elements: found more than 6 bytes, expected 6");
        assert_eq!(
            of_images(&idx(8, &[u32::MAX; 3], &[])),
            "x.idx: sizes of the axes: found [4294967295, 4294967295, 4294967295], expected at most 268435456 elements"
        );
        // Nothing is promised, but a row would be larger than memory.
        assert_eq!(
            of_images(&idx(8, &[0, u32::MAX, u32::MAX], &[])),
            "x.idx: sizes of the axes: found [0, 4294967295, 4294967295], expected at most 268435456 elements"
        );
        assert_eq!(of_images(&idx(8, &[1 << 28, 1, 1], &[7])), "x.idx: elements: found 1 bytes, expected 268435456");
        assert_eq!(
            of_images(&idx(8, &[0, 4, 4], &[])),
            "y.idx: number of labels: found 3, expected 0, as there are images in x.idx"
        );
        let of_labels = |bytes: &[u8], classes| read_as(&images(), bytes, classes).unwrap_err();
        assert_eq!(of_labels(&images(), None), "y.idx: magic number: found 3 axes, expected 1 axis");
        assert_eq!(
            of_labels(&idx(8, &[2], &[0, 1]), None),
            "y.idx: number of labels: found 2, expected 3, as there are images in x.idx"
        );
        assert_eq!(of_labels(&labels(), Some(4)), "y.idx: label of row 2: found 4, expected a class below 4");
        let none = read_as(&idx(8, &[0, 4, 4], &[]), &idx(8, &[0], &[]), None).unwrap_err();
        assert_eq!(none, "x.idx: found 0 rows of 16 features, expected at least one of each");
    }

    #[test]
    fn broken_compression_is_refused() {
        let whole = gzip(&images());
        for length in 2..whole.len() {
            assert_eq!(
                read_as(&whole[..length], &labels(), None).unwrap_err(),
                "x.idx: gzip stream: found the end of the file, expected the rest of the stream",
                "cut at {length}"
            );
        }
        let mut wrong = whole.clone();
        let checksum = whole.len() - 8;
        wrong[checksum] ^= 1;
        let error = read_as(&wrong, &labels(), None).unwrap_err();
        assert!(error.starts_with("x.idx: gzip stream: found corrupt gzip stream"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_idx::<f32>(Path::new("absent"), Path::new("absent"), None).unwrap_err().to_string();
        assert!(error.starts_with("absent: cannot be read: "), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, header in 0..3usize) {
            let bytes = [&images()[..4 * header], &bytes].concat();
            for (x, y) in [(&bytes, &labels()), (&images(), &bytes), (&gzip(&bytes), &labels())] {
                if let Err(error) = read_as(x, y, None) {
                    assert_names_file_in_one_line(&error, ".idx: ");
                }
            }
        }

        #[test]
        fn spoilt_files_are_read_or_refused(x in mutated(images()), y in mutated(labels()), z in mutated(gzip(&images()))) {
            for (x, y) in [(&x, &labels()), (&images(), &y), (&x, &y), (&z, &labels())] {
                if let Err(error) = read_as(x, y, None) {
                    assert_names_file_in_one_line(&error, ".idx: ");
                }
            }
        }
    }
}
