//! One array in NumPy's format.
//!
//! A file is the bytes `\x93NUMPY`, a version, the length of the header, the header (a Python dictionary of type, order and
//! shape) and the elements (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>). It is read here, not
//! by a library: those at hand make room by the header's word, or multiply its sizes unchecked.

use std::io::Read;
use std::path::Path;

use super::error::{DataError, abridged};
use super::stream::{MOST_BYTES, bytes_of, read_elements, read_up_to};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Bytes that a header may have; those of NumPy have some hundred.
const MOST_HEADER: u64 = 1 << 16;

/// An array as it is stored.
#[derive(Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    element: Element,
    /// Whether the first axis is the fastest.
    fortran: bool,
    bytes: Vec<u8>,
}

/// A type of elements.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Element {
    kind: Kind,
    /// Bytes, at most 8.
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

impl Array {
    /// Reads an array; `name` is what errors call it.
    pub(super) fn read(path: &Path, name: &str, mut from: impl Read) -> Result<Self, DataError> {
        let refuse = |part: &str, found: String, expected: String| {
            Err(DataError::content(path, format!("{name}{part}"), found, expected))
        };
        let start = read_up_to(path, name, &mut from, 8)?;
        let digits = match start.strip_prefix(MAGIC) {
            Some([1, 0]) => 2,
            Some([2 | 3, 0]) => 4,
            Some([major, minor]) => {
                return refuse(", version", format!("{major}.{minor}"), "1.0, 2.0 or 3.0".into());
            }
            _ => return refuse(", magic number", format!("bytes {start:02x?}"), format!("{MAGIC:02x?}")),
        };
        let length = read_up_to(path, name, &mut from, digits)?;
        let promised = length.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte));
        if length.len() as u64 != digits || promised > MOST_HEADER {
            let expected = format!("a number of {digits} bytes, at most {MOST_HEADER}");
            return refuse(", length of the header", format!("bytes {length:02x?}"), expected);
        }
        let header = read_up_to(path, name, &mut from, promised)?;
        if header.len() as u64 != promised {
            return refuse(", header", format!("{} bytes", header.len()), promised.to_string());
        }
        let Some(Header { descr, fortran, shape }) = str::from_utf8(&header).ok().and_then(Header::parse) else {
            let expected = "a dictionary of 'descr', 'fortran_order' and 'shape'".into();
            return refuse(", header", format!("{:?}", abridged(&String::from_utf8_lossy(&header))), expected);
        };
        let Some(element) = Element::parse(descr) else {
            let expected = "f4, f8, i1 to i8 or u1 to u8".into();
            return refuse("", format!("elements of type {:?}", abridged(descr)), expected);
        };
        // Elements are numbers of up to 8 bytes once they are read, however small they are stored.
        let (Some(_), Some(promised)) = (bytes_of(&shape, 8), bytes_of(&shape, element.size as u64)) else {
            let expected = format!("at most {} elements", MOST_BYTES / 8);
            return refuse(", shape", abridged(&format!("{shape:?}")), expected);
        };
        let bytes = read_elements(path, [name, &format!("{name}, elements")], &mut from, promised)?;
        Ok(Array { shape: shape.into_iter().map(|size| size as usize).collect(), element, fortran, bytes })
    }

    /// Whether the elements are integers.
    pub(super) fn holds_integers(&self) -> bool {
        self.element.kind != Kind::Float
    }

    /// The type of the elements, as NumPy calls it.
    pub(super) fn element_name(&self) -> String {
        let kind = match self.element.kind {
            Kind::Float => 'f',
            Kind::Signed => 'i',
            Kind::Unsigned => 'u',
        };
        format!("{kind}{}", self.element.size)
    }

    /// What `f` makes of the elements, in row-major order; integers are rounded to nearest.
    pub(super) fn reals<E: Copy>(&self, f: impl Fn(f64) -> E) -> Vec<E> {
        self.elements(|element, word| {
            f(match (element.kind, element.size) {
                (Kind::Float, 4) => f32::from_bits(word as u32).into(),
                (Kind::Float, _) => f64::from_bits(word),
                (Kind::Signed, size) => sign_extended(word, size) as f64,
                (Kind::Unsigned, _) => word as f64,
            })
        })
    }

    /// What `f` makes of the elements, in row-major order, of an array that [holds integers](Array::holds_integers).
    pub(super) fn integers<E: Copy>(&self, f: impl Fn(i128) -> E) -> Vec<E> {
        self.elements(|element, word| {
            f(match element.kind {
                Kind::Signed => sign_extended(word, element.size).into(),
                _ => word.into(),
            })
        })
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.element.size
    }

    /// What `f` makes of the bits of each element, in row-major order.
    fn elements<E: Copy>(&self, f: impl Fn(Element, u64) -> E) -> Vec<E> {
        let Element { size, big_endian, .. } = self.element;
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..size].copy_from_slice(bytes);
            word[..if big_endian { size } else { 0 }].reverse();
            u64::from_le_bytes(word)
        };
        let stored = self.bytes.chunks_exact(size).map(|bytes| f(self.element, word(bytes))).collect();
        if self.fortran { row_major(&self.shape, stored) } else { stored }
    }
}

/// The integer of the lowest `size` bytes.
fn sign_extended(word: u64, size: usize) -> i64 {
    let unused = 64 - 8 * size;
    (word << unused) as i64 >> unused
}

/// Elements whose first axis was the fastest, with the last the fastest.
fn row_major<E: Copy>(shape: &[usize], stored: Vec<E>) -> Vec<E> {
    let strides: Vec<usize> = shape.iter().scan(1, |step, &size| Some(std::mem::replace(step, *step * size))).collect();
    let (mut index, mut place) = (vec![0; shape.len()], 0);
    let mut out = Vec::with_capacity(stored.len());
    for _ in 0..stored.len() {
        out.push(stored[place]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            place -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    out
}

impl Element {
    /// The type that NumPy describes as this: byte order, kind and size.
    fn parse(descr: &str) -> Option<Self> {
        let [order, kind, size] = descr.as_bytes() else { return None };
        let kind = match (kind, size) {
            (b'f', b'4' | b'8') => Kind::Float,
            (b'i', b'1' | b'2' | b'4' | b'8') => Kind::Signed,
            (b'u', b'1' | b'2' | b'4' | b'8') => Kind::Unsigned,
            _ => return None,
        };
        let big_endian = match (order, size) {
            (b'<', _) | (b'|', b'1') => false,
            (b'>', _) => true,
            _ => return None,
        };
        Some(Element { kind, size: usize::from(size - b'0'), big_endian })
    }
}

/// What a header says.
#[derive(Debug, PartialEq)]
struct Header<'a> {
    descr: &'a str,
    fortran: bool,
    shape: Vec<u64>,
}

impl<'a> Header<'a> {
    /// Reads a dictionary such as `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &'a str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (found, after) = described(value)?;
                    descr = Some(found);
                    after
                }
                "fortran_order" => {
                    let (found, after) = [("True", true), ("False", false)]
                        .into_iter()
                        .find_map(|(word, found)| Some((found, value.strip_prefix(word)?)))?;
                    fortran = Some(found);
                    after
                }
                "shape" => {
                    let (sizes, after) = value.strip_prefix('(')?.split_once(')')?;
                    let sizes = sizes.trim().strip_suffix(',').unwrap_or(sizes).trim();
                    let sizes = sizes.split(',').filter(|_| !sizes.is_empty());
                    shape = Some(sizes.map(|size| size.trim().parse().ok()).collect::<Option<_>>()?);
                    after
                }
                _ => return None,
            }
            .trim_start();
            match rest.strip_prefix(',') {
                Some(after) => rest = after.trim_start(),
                None if rest.is_empty() => {}
                None => return None,
            }
        }
        Some(Header { descr: descr?, fortran: fortran?, shape: shape? })
    }
}

/// A string at the start of a text, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// A description of a type at the start of a text, and what follows it: a string, or the list of fields of a structure.
fn described(text: &str) -> Option<(&str, &str)> {
    if text.starts_with('[') {
        let end = text.rfind(']')? + 1;
        // The list may stand anywhere in the dictionary, but nothing after it holds a bracket.
        return Some(text.split_at(end));
    }
    quoted(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, bool, Vec<u64>)> {
        Header::parse(text).map(|h| (h.descr.into(), h.fortran, h.shape))
    }

    #[test]
    fn headers_are_dictionaries_in_any_order() {
        let sound = |descr: &str, fortran, shape: &[u64]| Some((descr.to_string(), fortran, shape.to_vec()));
        assert_eq!(
            parse("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   \n"),
            sound("<f8", false, &[3, 4])
        );
        assert_eq!(parse("{\"shape\":(5,),\"fortran_order\":True,\"descr\":\"|u1\"}"), sound("|u1", true, &[5]));
        assert_eq!(parse("{'descr': '<f8', 'fortran_order': False, 'shape': ()}"), sound("<f8", false, &[]));
        assert_eq!(
            parse("{'descr': [('a', '<f8'), ('b', '<i4', (2,))], 'fortran_order': False, 'shape': (1,)}"),
            sound("[('a', '<f8'), ('b', '<i4', (2,))]", false, &[1])
        );
        for bad in [
            "",
            "{}",
            "{'descr': '<f8', 'fortran_order': False}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1e3,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}",
            "{'descr': '<f8' 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'more': 1}",
            "{'descr': 8, 'fortran_order': False, 'shape': (1,)}",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn elements_are_decoded_in_either_byte_order() {
        let array = |descr: &str, bytes: &[u8]| {
            let element = Element::parse(descr).unwrap();
            Array { shape: vec![bytes.len() / element.size], element, fortran: false, bytes: bytes.to_vec() }
        };
        assert_eq!(array("<f4", &[0, 0, 0x80, 0xbf]).reals(|x| x), [-1.0]);
        assert_eq!(array(">f8", &[0xbf, 0xf0, 0, 0, 0, 0, 0, 0]).reals(|x| x), [-1.0]);
        assert_eq!(array(">i2", &[0xff, 0xfe, 1, 0]).integers(|x| x), [-2, 256]);
        assert_eq!(array("<i8", &[0xff; 8]).integers(|x| x), [-1]);
        assert_eq!(array("<u8", &[0xff; 8]).integers(|x| x), [u64::MAX.into()]);
        assert_eq!(array("<u8", &[0xff; 8]).reals(|x| x), [u64::MAX as f64]);
        assert_eq!(array("|i1", &[0x80, 0x7f]).reals(|x| x), [-128.0, 127.0]);
        for other in ["<f2", "|b1", "<c16", "|f4", "=f8", "<i3", "|O", "<U5", ""] {
            assert_eq!(Element::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_first_axis_may_be_the_fastest() {
        assert_eq!(row_major(&[2, 3], vec![1, 4, 2, 5, 3, 6]), [1, 2, 3, 4, 5, 6]);
        assert_eq!(row_major(&[2, 2, 2], vec![0, 4, 2, 6, 1, 5, 3, 7]), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(row_major(&[], vec![7]), [7]);
        assert!(row_major::<u8>(&[0, 3], vec![]).is_empty());
    }
}
