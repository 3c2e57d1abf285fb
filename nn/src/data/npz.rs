//! Data sets in NumPy's files.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use ad_core::{Real, Tensor};
use zip::ZipArchive;
use zip::result::ZipError;

use super::npy::Array;
use super::{DataError, Dataset, TargetKind, Targets};

/// Reads inputs and targets from an archive of `numpy.savez` or `numpy.savez_compressed`, the arrays of these names.
///
/// Inputs have shape (rows, features) or (rows, item shape); class numbers (rows,), or (rows, length) for
/// [sequences](Targets::Sequences); values (rows,) or (rows, outputs). Elements are f4, f8, i1 to i8 or u1 to u8, class
/// numbers integers, in either byte order and either order of the axes. The file's path names the data.
///
/// # Errors
/// If the file cannot be read, is corrupt or no such archive, has no such array, an array's elements are of another type, its
/// header promises what is not there, or the arrays make no [`Dataset`]. Messages name file and array.
pub fn read_npz<T: Real>(path: &Path, inputs: &str, targets: &str, holds: TargetKind) -> Result<Dataset<T>, DataError> {
    let file = BufReader::new(open(path)?);
    let mut archive = ZipArchive::new(file).map_err(|error| unreadable(path, "archive", error))?;
    let mut member = |name: &str| {
        let place = format!("array {name:?}");
        let Some(index) = archive.index_for_name(&format!("{name}.npy")) else {
            let (found, expected) = (listed(archive.file_names()), format!("one named {name:?}"));
            return Err(DataError::content(path, "archive", format!("arrays {found}"), expected));
        };
        let bytes = archive.by_index(index).map_err(|error| unreadable(path, &place, error))?;
        Ok(Found { array: Array::read(path, &place, bytes)?, path, place })
    };
    let (x, y) = (member(inputs)?, member(targets)?);
    assemble(&x, &y, holds)
}

/// Reads inputs and targets from two files of `numpy.save`; otherwise as [`read_npz`]. The path of the inputs names the data.
///
/// # Errors
/// As of [`read_npz`].
pub fn read_npy<T: Real>(inputs: &Path, targets: &Path, holds: TargetKind) -> Result<Dataset<T>, DataError> {
    let file = |path| {
        let place = "array".to_string();
        Ok(Found { array: Array::read(path, &place, BufReader::new(open(path)?))?, path, place })
    };
    let (x, y) = (file(inputs)?, file(targets)?);
    assemble(&x, &y, holds)
}

/// An array, and where it was found.
struct Found<'a> {
    array: Array,
    path: &'a Path,
    place: String,
}

fn assemble<T: Real>(x: &Found<'_>, y: &Found<'_>, holds: TargetKind) -> Result<Dataset<T>, DataError> {
    // Told before anything is made of what they hold.
    let rows = |of: &Found<'_>| of.array.shape.first().copied();
    if let (Some(inputs), Some(targets)) = (rows(x), rows(y))
        && inputs != targets
    {
        return Err(DataError::content(
            y.path,
            &y.place,
            format!("{targets} rows"),
            format!("{inputs}, as many as inputs"),
        ));
    }
    let inputs = reals(&x.array, &x.array.shape);
    let targets = match holds {
        TargetKind::Classes(classes) => y.classes(classes)?,
        // One value a row may be written without an axis for it.
        TargetKind::Values => match y.array.shape[..] {
            [rows] => Targets::Values(reals(&y.array, &[rows, 1])),
            _ => Targets::Values(reals(&y.array, &y.array.shape)),
        },
    };
    Dataset::new(x.path.display().to_string(), inputs, targets)
}

fn reals<T: Real>(array: &Array, shape: &[usize]) -> Tensor<T> {
    Tensor::from_vec(shape, array.reals(T::from_f64))
}

impl Found<'_> {
    /// The class numbers, whose number may not exceed that of the labels where it is not given: a network is made as wide.
    fn classes<T: Real>(&self, classes: Option<usize>) -> Result<Targets<T>, DataError> {
        let Found { array, path, place } = self;
        if !array.holds_integers() {
            let found = format!("elements of type {:?}", array.element_name());
            return Err(DataError::content(path, place, found, "integers, which are class numbers"));
        }
        let length = match array.shape[..] {
            [_] => 1,
            [_, length] if length > 0 => length,
            _ => {
                let found = format!("shape {:?}", array.shape);
                return Err(DataError::content(path, place, found, "(rows,) or (rows, length)"));
            }
        };
        let below = classes.unwrap_or(array.len());
        // Which of the numbers is the first that is no class is asked once there is one.
        let label = |found| u32::try_from(found).ok().filter(|label| (*label as usize) < below);
        let labels = array.integers(|found| label(found).unwrap_or(u32::MAX));
        if let Some(i) = labels.iter().position(|found| *found == u32::MAX) {
            let what = if classes.is_some() { "" } else { ", the number of labels" };
            let (found, expected) =
                (array.integers(|found| found)[i], format!("a class number from 0 below {below}{what}"));
            return Err(DataError::content(path, format!("{place}, element {i}"), found, expected));
        }
        let classes = classes.unwrap_or_else(|| labels.iter().max().map_or(0, |&largest| largest as usize + 1));
        Ok(match length {
            1 => Targets::Classes { labels, classes },
            _ => Targets::Sequences { labels, length, classes },
        })
    }
}

fn open(path: &Path) -> Result<File, DataError> {
    File::open(path).map_err(|source| DataError::Read { path: path.into(), source })
}

/// The first few arrays of an archive.
fn listed<'a>(files: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<String> = files.map(|file| format!("{:?}", file.strip_suffix(".npy").unwrap_or(file))).collect();
    if names.len() > SHOWN {
        let more = format!("and {} more", names.len() - SHOWN);
        names.splice(SHOWN.., [more]);
    }
    names.join(", ")
}

fn unreadable(path: &Path, place: &str, error: ZipError) -> DataError {
    match error {
        // The end of the file comes early where the directory promises more.
        ZipError::Io(source) if source.kind() != ErrorKind::UnexpectedEof => {
            DataError::Read { path: path.into(), source }
        }
        other => DataError::content(path, place, format!("{:?}", other.to_string()), "a sound zip archive"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Cursor, Write};

    use proptest::prelude::*;
    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;
    use crate::data::fuzz::{assert_names_file_in_one_line, mutated};

    /// A file of `numpy.save`.
    fn npy(descr: &str, fortran: bool, shape: &str, elements: &[u8]) -> Vec<u8> {
        let order = if fortran { "True" } else { "False" };
        let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), elements].concat()
    }

    /// A file of `numpy.savez`, compressed or not.
    fn npz(arrays: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in arrays {
            let options = SimpleFileOptions::default().compression_method(method).large_file(true);
            archive.start_file(format!("{name}.npy"), options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn bytes<const N: usize, E: Copy>(numbers: &[E], of: impl Fn(E) -> [u8; N]) -> Vec<u8> {
        numbers.iter().flat_map(|&x| of(x)).collect()
    }

    fn x() -> Vec<u8> {
        npy("<f4", false, "(3, 2)", &bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.5], f32::to_le_bytes))
    }

    fn y() -> Vec<u8> {
        npy("<i8", false, "(3,)", &bytes(&[0, 2, 1], i64::to_le_bytes))
    }

    const CLASSES: TargetKind = TargetKind::Classes(None);

    /// What reading a file of these bytes gives, with the folder's name left out of the message.
    fn read(archive: &[u8], holds: TargetKind) -> Result<Dataset<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        fs::write(&path, archive).unwrap();
        let shown = format!("{}/", folder.path().display());
        read_npz(&path, "x", "y", holds).map_err(|error| error.to_string().replace(&shown, ""))
    }

    fn read_arrays(x: &[u8], y: &[u8], holds: TargetKind) -> Result<Dataset<f32>, String> {
        read(&npz(&[("x", x), ("more", &[]), ("y", y)], CompressionMethod::Stored), holds)
    }

    #[test]
    fn arrays_are_read_by_name_compressed_or_not() {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let data = read(&npz(&[("y", &y()), ("x", &x())], method), CLASSES).unwrap();
            assert_eq!(data.inputs(), &Tensor::from_vec(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5]));
            assert_eq!(data.targets(), &Targets::Classes { labels: vec![0, 2, 1], classes: 3 });
        }
        let folder = tempfile::tempdir().unwrap();
        let [in_x, in_y] = ["x.npy", "y.npy"].map(|name| folder.path().join(name));
        fs::write(&in_x, x()).unwrap();
        fs::write(&in_y, y()).unwrap();
        let data = read_npy::<f32>(&in_x, &in_y, CLASSES).unwrap();
        assert_eq!(data.batch::<f32>(&[0, 1, 2]), read_arrays(&x(), &y(), CLASSES).unwrap().all());
        let error = read_npy::<f32>(&in_x, &in_x, CLASSES).unwrap_err().to_string();
        assert!(
            error.ends_with("x.npy: array: found elements of type \"f4\", expected integers, which are class numbers")
        );
    }

    #[test]
    fn shapes_types_and_orders_vary() {
        let images = npy("|u1", false, "(2, 1, 2)", &[0, 255, 7, 1]);
        let tokens = npy(">u2", false, "(2, 3)", &[0, 1, 0, 5, 0, 3, 0, 0, 0, 2, 0, 4]);
        let data = read_arrays(&images, &tokens, TargetKind::Classes(Some(6))).unwrap();
        assert_eq!(data.inputs(), &Tensor::from_vec(&[2, 1, 2], vec![0.0, 255.0, 7.0, 1.0]));
        assert_eq!(data.targets(), &Targets::Sequences { labels: vec![1, 5, 3, 0, 2, 4], length: 3, classes: 6 });

        let transposed = npy("<f8", true, "(2, 3)", &bytes(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0], f64::to_le_bytes));
        let column = npy("<i4", false, "(2, 1)", &bytes(&[0, 1], i32::to_le_bytes));
        let data = read_arrays(&transposed, &column, CLASSES).unwrap();
        assert_eq!(data.inputs().data(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(data.targets(), &Targets::Classes { labels: vec![0, 1], classes: 2 });

        let values = npy("<f8", false, "(3,)", &bytes(&[0.5, -1.0, 2.0], f64::to_le_bytes));
        let expected = Targets::Values(Tensor::from_vec(&[3, 1], vec![0.5, -1.0, 2.0]));
        assert_eq!(read_arrays(&x(), &values, TargetKind::Values).unwrap().targets(), &expected);
        let outputs = Targets::Values(Tensor::from_vec(&[3, 2], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.5]));
        assert_eq!(read_arrays(&x(), &x(), TargetKind::Values).unwrap().targets(), &outputs);
    }

    #[test]
    fn bad_arrays_are_refused_by_name_and_place() {
        let of_x = |x: &[u8]| read_arrays(x, &y(), CLASSES).unwrap_err();
        assert_eq!(
            of_x(&npy("<f2", false, "(3, 1)", &[0; 6])),
            "a.npz: array \"x\": found elements of type \"<f2\", expected f4, f8, i1 to i8 or u1 to u8"
        );
        assert_eq!(
            of_x(b"no array"),
            "a.npz: array \"x\", magic number: found bytes [6e, 6f, 20, 61, 72, 72, 61, 79], \
             expected [93, 4e, 55, 4d, 50, 59]"
        );
        assert_eq!(of_x(b"\x93NUMPY\x09\x00"), "a.npz: array \"x\", version: found 9.0, expected 1.0, 2.0 or 3.0");
        assert_eq!(
            of_x(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
            "a.npz: array \"x\", length of the header: found bytes [ff, ff, ff, ff], \
             expected a number of 4 bytes, at most 65536"
        );
        assert_eq!(of_x(b"\x93NUMPY\x01\x00\x10\x00{'descr"), "a.npz: array \"x\", header: found 7 bytes, expected 16");
        assert_eq!(
            of_x(&npy("<f4", false, "3", &[0; 4])),
            "a.npz: array \"x\", header: found \"{'descr': '<f4', 'fortran_order': False, 'shape': 3, }\", \
             expected a dictionary of 'descr', 'fortran_order' and 'shape'"
        );
        for shape in ["(9223372036854775807, 4)", "(0, 4294967296, 4294967296)", "(3, 1000000000)"] {
            let found = shape.replace(['(', ')'], "");
            assert_eq!(
                of_x(&npy("<f4", false, shape, &[0; 4])),
                format!("a.npz: array \"x\", shape: found [{found}], expected at most 268435456 elements")
            );
        }
        assert_eq!(of_x(&x()[..x().len() - 1]), "a.npz: array \"x\", elements: found 23 bytes, expected 24");
        assert_eq!(
            of_x(&[x(), vec![0]].concat()),
            "a.npz: array \"x\", elements: found more than 24 bytes, expected 24"
        );
        assert_eq!(
            of_x(&npy("<f4", false, "(3,)", &[0; 12])),
            "a.npz: found inputs of shape [3], expected rows and columns"
        );
        assert_eq!(
            of_x(&npy("<f4", false, "(3, 1)", &[&f32::NAN.to_le_bytes()[..], &[0; 8]].concat())),
            "a.npz: inputs, row 0, column 0: found NaN, expected a finite number"
        );
    }

    #[test]
    fn bad_class_numbers_are_refused_by_place() {
        let of_y = |y: &[u8], classes| read_arrays(&x(), y, TargetKind::Classes(classes)).unwrap_err();
        assert_eq!(
            of_y(&x(), None),
            "a.npz: array \"y\": found elements of type \"f4\", expected integers, which are class numbers"
        );
        assert_eq!(
            of_y(&npy("|i1", false, "(3,)", &[0, 0xff, 1]), None),
            "a.npz: array \"y\", element 1: found -1, expected a class number from 0 below 3, the number of labels"
        );
        assert_eq!(
            of_y(&y(), Some(2)),
            "a.npz: array \"y\", element 1: found 2, expected a class number from 0 below 2"
        );
        assert_eq!(
            of_y(&npy("|i1", false, "(3, 1, 1)", &[0; 3]), None),
            "a.npz: array \"y\": found shape [3, 1, 1], expected (rows,) or (rows, length)"
        );
        assert_eq!(
            of_y(&npy("|i1", false, "(2,)", &[0; 2]), None),
            "a.npz: array \"y\": found 2 rows, expected 3, as many as inputs"
        );
    }

    #[test]
    fn files_that_are_no_archive_and_names_that_are_not_there_are_refused() {
        let archive = npz(&[("x", &x()), ("labels", &y())], CompressionMethod::Deflated);
        assert_eq!(
            read(&archive, CLASSES).unwrap_err(),
            "a.npz: archive: found arrays \"x\", \"labels\", expected one named \"y\""
        );
        for bytes in [&b""[..], b"PK", &x(), &archive[..archive.len() - 30]] {
            let error = read(bytes, CLASSES).unwrap_err();
            assert!(error.starts_with("a.npz: archive: found \"invalid Zip archive"), "{error}");
            assert!(error.ends_with(", expected a sound zip archive"), "{error}");
        }
        let error = read_npz::<f32>(Path::new("absent.npz"), "x", "y", CLASSES).unwrap_err().to_string();
        assert!(error.starts_with("absent.npz: cannot be read: "), "{error}");
        // A byte of the elements changed: the archive's checksum tells.
        let mut stored = npz(&[("x", &x()), ("y", &y())], CompressionMethod::Stored);
        let place = stored.windows(4).position(|bytes| bytes == 6.5f32.to_le_bytes()).unwrap();
        stored[place] ^= 1;
        assert_eq!(
            read(&stored, CLASSES).unwrap_err(),
            "a.npz: array \"x\": found Invalid checksum, expected sound compressed data"
        );
    }

    proptest! {
        #[test]
        fn any_array_is_read_or_refused(
            bytes: Vec<u8>,
            header in r#"[{}()\[\]':,<|fiu0-9 a-z_]{0,40}"#,
            spoilt in mutated(x()),
        ) {
            let written = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes()].concat();
            let shaped = npy("<f4", true, &header, &bytes);
            for array in [bytes, written, shaped, spoilt] {
                for (x, y) in [(&array, &y()), (&x(), &array)] {
                    if let Err(error) = read_arrays(x, y, CLASSES) {
                        assert_names_file_in_one_line(&error, "a.npz: ");
                    }
                }
            }
        }

        #[test]
        fn any_archive_is_read_or_refused(
            bytes: Vec<u8>,
            stored in mutated(npz(&[("x", &x()), ("y", &y())], CompressionMethod::Stored)),
            deflated in mutated(npz(&[("x", &x()), ("y", &y())], CompressionMethod::Deflated)),
        ) {
            for archive in [bytes, stored, deflated] {
                if let Err(error) = read(&archive, CLASSES) {
                    assert_names_file_in_one_line(&error, "a.npz: ");
                }
            }
        }
    }
}
