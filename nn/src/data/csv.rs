//! Tables in comma-separated text.

use std::fs;
use std::path::Path;

use ad_core::Tensor;
use csv::{ErrorKind, Position, Reader, ReaderBuilder, StringRecord, Trim};

use super::error::{DataError, abridged};
use super::{Dataset, Targets};

/// What the target column of a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// Class numbers from 0, below the number of classes where it is given. Where it is not, it is the largest number
    /// found plus one, and may not exceed the number of rows.
    Classes(Option<usize>),
    /// Numbers.
    Values,
}

/// Reads a table of numbers with a header of column names; the column named `target` is learnt from all others.
///
/// Fields are separated by commas and may be quoted; blanks around them are ignored. The file's path names the data.
///
/// # Errors
/// If the file cannot be read, has no header or no rows or no such column, its rows differ in length, or a field is not
/// a finite number, or not a class in the target column. Messages name file, line and column.
pub fn read_csv(path: &Path, target: &str, holds: TargetKind) -> Result<Dataset, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Read { path: path.into(), source })?;
    let mut table = Table::open(path, &bytes, target)?;
    let mut inputs = Vec::new();
    let mut lines = Vec::new();
    let mut targets = match holds {
        TargetKind::Classes(classes) => Target::Classes(Vec::new(), classes),
        TargetKind::Values => Target::Values(Vec::new()),
    };
    while let Some(row) = table.next()? {
        for j in 0..table.header.len() {
            match (&mut targets, j == table.target) {
                (_, false) => inputs.push(table.number(&row, j)?),
                (Target::Values(values), true) => values.push(table.number(&row, j)?),
                (Target::Classes(labels, classes), true) => labels.push(table.label(&row, j, *classes)?),
            }
        }
        lines.push(table.line(row.position()));
    }
    let inputs = Tensor::from_vec(&[lines.len(), table.header.len() - 1], inputs);
    let targets = match targets {
        Target::Values(values) => Targets::Values(Tensor::from_vec(&[lines.len(), 1], values)),
        Target::Classes(labels, Some(classes)) => Targets::Classes { labels, classes },
        Target::Classes(labels, None) => table.with_counted_classes(labels, &lines)?,
    };
    Dataset::new(path.display().to_string(), inputs, targets)
}

/// The target column as read so far; classes with their number where it is known.
enum Target {
    Classes(Vec<u32>, Option<usize>),
    Values(Vec<f64>),
}

/// A file whose header was read.
struct Table<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    reader: Reader<&'a [u8]>,
    header: StringRecord,
    target: usize,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path, bytes: &'a [u8], target: &str) -> Result<Self, DataError> {
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(bytes);
        let header = reader.headers().map_err(|error| unreadable(path, line(bytes, error.position()), error))?.clone();
        let refuse = |found: String, expected: String| DataError::Table { path: path.into(), line: 1, found, expected };
        if header.iter().all(|name| name.parse::<f64>().is_ok()) {
            return Err(refuse("no column names".into(), "a header".into()));
        }
        let mut places = (0..header.len()).filter(|&j| &header[j] == target);
        match (places.next(), places.next()) {
            (Some(target), None) => Ok(Table { path, bytes, reader, header, target }),
            (None, _) => Err(refuse(format!("columns {}", listed(&header)), format!("one named {target:?}"))),
            (Some(_), Some(_)) => Err(refuse(format!("two columns named {target:?}"), "one".into())),
        }
    }

    fn next(&mut self) -> Result<Option<StringRecord>, DataError> {
        let mut row = StringRecord::new();
        match self.reader.read_record(&mut row) {
            Ok(more) => Ok(more.then_some(row)),
            Err(error) => Err(self.unread(error)),
        }
    }

    fn unread(&self, error: csv::Error) -> DataError {
        let line = self.line(error.position());
        match error.kind() {
            // A row that ends early is told by the first column that it lacks.
            ErrorKind::UnequalLengths { len, .. } if (*len as usize) < self.header.len() => {
                let found = format!("{len} fields, none for column {:?}", abridged(&self.header[*len as usize]));
                let expected = self.header.len().to_string();
                DataError::Table { path: self.path.into(), line, found, expected }
            }
            _ => unreadable(self.path, line, error),
        }
    }

    fn line(&self, position: Option<&Position>) -> u64 {
        line(self.bytes, position)
    }

    fn number(&self, row: &StringRecord, column: usize) -> Result<f64, DataError> {
        match row[column].parse() {
            Ok(x) if f64::is_finite(x) => Ok(x),
            _ => Err(self.refuse(self.line(row.position()), column, &row[column], "a finite number".into())),
        }
    }

    fn label(&self, row: &StringRecord, column: usize, classes: Option<usize>) -> Result<u32, DataError> {
        match row[column].parse::<u32>() {
            Ok(label) if classes.is_none_or(|classes| (label as usize) < classes) => Ok(label),
            _ => {
                let below = classes.map(|n| format!(" below {n}")).unwrap_or_default();
                Err(self.refuse(
                    self.line(row.position()),
                    column,
                    &row[column],
                    format!("a class number from 0{below}"),
                ))
            }
        }
    }

    /// Labels with their number of classes, which must be plausible: a network is made as wide.
    fn with_counted_classes(&self, labels: Vec<u32>, lines: &[u64]) -> Result<Targets, DataError> {
        match labels.iter().position(|&label| label as usize >= labels.len()) {
            Some(row) => {
                let expected = format!("a class below {}, the number of rows", labels.len());
                Err(self.refuse(lines[row], self.target, &labels[row].to_string(), expected))
            }
            None => {
                let classes = labels.iter().max().map_or(0, |&largest| largest as usize + 1);
                Ok(Targets::Classes { labels, classes })
            }
        }
    }

    fn refuse(&self, line: u64, column: usize, found: &str, expected: String) -> DataError {
        let (column, found) = (abridged(&self.header[column]), abridged(found));
        DataError::Field { path: self.path.into(), line, column, found, expected }
    }
}

/// The line on which a row begins. The parser's position is before the blank lines above it.
fn line(bytes: &[u8], position: Option<&Position>) -> u64 {
    position.map_or(1, |position| {
        let from = bytes.iter().skip(position.byte() as usize);
        position.line() + from.take_while(|byte| b"\r\n".contains(byte)).filter(|byte| **byte == b'\n').count() as u64
    })
}

/// The first few names of a header.
fn listed(header: &StringRecord) -> String {
    const SHOWN: usize = 8;
    let mut names: Vec<String> = header.iter().take(SHOWN).map(|name| format!("{:?}", abridged(name))).collect();
    if header.len() > SHOWN {
        names.push(format!("and {} more", header.len() - SHOWN));
    }
    names.join(", ")
}

fn unreadable(path: &Path, line: u64, error: csv::Error) -> DataError {
    let path = path.to_path_buf();
    match error.into_kind() {
        ErrorKind::Io(source) => DataError::Read { path, source },
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            DataError::Table { path, line, found: format!("{len} fields"), expected: expected_len.to_string() }
        }
        ErrorKind::Utf8 { .. } => {
            DataError::Table { path, line, found: "bytes that are not text".into(), expected: "UTF-8".into() }
        }
        other => DataError::Table { path, line, found: format!("{other:?}"), expected: "a row of fields".into() },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::fuzz::{assert_names_file_in_one_line, mutated};

    /// What reading a file of these bytes gives, with the folder's name left out of the message.
    fn read(bytes: &[u8], target: &str, holds: TargetKind) -> Result<Dataset, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        fs::write(&path, bytes).unwrap();
        let shown = format!("{}/", folder.path().display());
        read_csv(&path, target, holds).map_err(|error| error.to_string().replace(&shown, ""))
    }

    #[test]
    fn a_table_is_read_whatever_the_place_of_its_target() {
        let data = read(b"a,kind,b\n1,0, 2.5\n\n-3e1,2,4\r\n0,0,0\n", "kind", TargetKind::Classes(None)).unwrap();
        assert_eq!(data.inputs(), &Tensor::from_vec(&[3, 2], vec![1.0, 2.5, -30.0, 4.0, 0.0, 0.0]));
        assert_eq!(data.targets(), &Targets::Classes { labels: vec![0, 2, 0], classes: 3 });

        let data = read(b"\xef\xbb\xbf\"y\",a\n0.5,1\n", "y", TargetKind::Values).unwrap();
        assert_eq!(data.targets(), &Targets::Values(Tensor::from_vec(&[1, 1], vec![0.5])));
        let data = read(b"a,y\n0,1\n", "y", TargetKind::Classes(Some(4))).unwrap();
        assert_eq!(data.targets(), &Targets::Classes { labels: vec![1], classes: 4 });
    }

    #[test]
    fn bad_fields_are_named_by_line_and_column() {
        for field in ["", "x", "nan", "inf", "1e999", "1;2"] {
            assert_eq!(
                read(format!("a,y\n1,0\n{field},0\n").as_bytes(), "y", TargetKind::Classes(None)).unwrap_err(),
                format!("table.csv: line 3, column \"a\": found {field:?}, expected a finite number")
            );
        }
        for label in ["-1", "1.5", "", "setosa", "9999999999"] {
            assert_eq!(
                read(format!("a,y\n1,{label}\n").as_bytes(), "y", TargetKind::Classes(None)).unwrap_err(),
                format!("table.csv: line 2, column \"y\": found {label:?}, expected a class number from 0")
            );
        }
        assert_eq!(
            read(b"a,y\n1,0\n1,3\n", "y", TargetKind::Classes(Some(3))).unwrap_err(),
            "table.csv: line 3, column \"y\": found \"3\", expected a class number from 0 below 3"
        );
        assert_eq!(
            read(b"a,y\n1,0\n1,4000000000\n", "y", TargetKind::Classes(None)).unwrap_err(),
            "table.csv: line 3, column \"y\": found \"4000000000\", expected a class below 2, the number of rows"
        );
    }

    #[test]
    fn files_that_are_no_table_are_refused() {
        let refusal = |bytes: &[u8]| read(bytes, "y", TargetKind::Values).unwrap_err();
        assert_eq!(refusal(b"a,b\n1,2\n"), "table.csv: line 1: found columns \"a\", \"b\", expected one named \"y\"");
        assert_eq!(refusal(b"1,2\n3,4\n"), "table.csv: line 1: found no column names, expected a header");
        assert_eq!(refusal(b""), "table.csv: line 1: found no column names, expected a header");
        assert_eq!(refusal(b"y,y\n1,2\n"), "table.csv: line 1: found two columns named \"y\", expected one");
        assert_eq!(refusal(b"a,y\n1,2\n3\n"), "table.csv: line 3: found 1 fields, none for column \"y\", expected 2");
        assert_eq!(refusal(b"a,y\n1,2\n\n3,4,5\n"), "table.csv: line 4: found 3 fields, expected 2");
        assert_eq!(
            refusal(b"\xef\xbb\xbf\r\na,y\r\n\r\n\n1,2\r\n\r\n3,x\n"),
            "table.csv: line 7, column \"y\": found \"x\", expected a finite number"
        );
        let long = format!("a,y\n1,\"{}\n\"\n", "x".repeat(1 << 20));
        assert_eq!(
            refusal(long.as_bytes()),
            format!("table.csv: line 2, column \"y\": found \"{}…\", expected a finite number", "x".repeat(80))
        );
        assert_eq!(refusal(b"a,y\n1,\xff\n"), "table.csv: line 2: found bytes that are not text, expected UTF-8");
        assert_eq!(refusal(b"a,y\n"), "table.csv: found 0 rows of 1 features, expected at least one of each");
        assert_eq!(refusal(b"y\n1\n"), "table.csv: found 1 rows of 0 features, expected at least one of each");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_csv(Path::new("absent.csv"), "y", TargetKind::Values).unwrap_err();
        assert!(error.to_string().starts_with("absent.csv: cannot be read: "), "{error}");
        assert!(!error.to_string().contains('\n'));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            bytes: Vec<u8>,
            text in "[ay01.,\"\\n\\r -]{0,60}",
            holds in prop_oneof![
                Just(TargetKind::Classes(None)),
                Just(TargetKind::Classes(Some(2))),
                Just(TargetKind::Values),
            ],
            spoilt in mutated("a,y,\"b\"\n1,0,2.5\n-3e1,2,4\r\n0,0,0\n".into()),
        ) {
            let headed = [b"y,a\n", text.as_bytes()].concat();
            for bytes in [bytes, text.into_bytes(), headed, spoilt] {
                if let Err(error) = read(&bytes, "y", holds) {
                    assert_names_file_in_one_line(&error, "table.csv: ");
                }
            }
        }
    }
}
