//! Numbers as little-endian bytes.

use ad_core::Real;
use safetensors::Dtype;

/// Turns the bytes of one element into a number; `None` for types that are not floating-point.
pub(super) fn real(dtype: Dtype) -> Option<fn(&[u8]) -> f64> {
    Some(match dtype {
        Dtype::F64 => |b| f64::from_le_bytes(whole(b)),
        Dtype::F32 => |b| f32::from_le_bytes(whole(b)).into(),
        // The upper half of a single-precision number.
        Dtype::BF16 => |b| f32::from_bits(u32::from(u16::from_le_bytes(whole(b))) << 16).into(),
        Dtype::F16 => |b| half(u16::from_le_bytes(whole(b))),
        _ => return None,
    })
}

/// Turns the bytes of one element into an integer; `None` for types that are no integers or exceed `i64`.
pub(super) fn integer(dtype: Dtype) -> Option<fn(&[u8]) -> i64> {
    Some(match dtype {
        Dtype::I64 => |b| i64::from_le_bytes(whole(b)),
        Dtype::I32 => |b| i32::from_le_bytes(whole(b)).into(),
        Dtype::U8 => |b| u8::from_le_bytes(whole(b)).into(),
        _ => return None,
    })
}

/// The type that stores a `T` without loss, and its elements in bytes.
pub(super) fn encode<T: Real>(numbers: &[T]) -> (Dtype, Vec<u8>) {
    match T::NAME {
        "f32" => (Dtype::F32, numbers.iter().flat_map(|x| (x.to_f64() as f32).to_le_bytes()).collect()),
        _ => (Dtype::F64, numbers.iter().flat_map(|x| x.to_f64().to_le_bytes()).collect()),
    }
}

/// Size of an element in bytes of a type that [`real`] or [`integer`] knows.
pub(super) fn size(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}

fn whole<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("elements are cut at their size")
}

/// The IEEE 754 half-precision number of these bits: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_decoded() {
        // Values of the standard's table of binary16.
        for (bits, x) in [
            (0x0000, 0.0),
            (0x0001, 2f64.powi(-24)),
            (0x03ff, 1023.0 * 2f64.powi(-24)),
            (0x0400, 2f64.powi(-14)),
            (0x3555, 0.333251953125),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), x, "{bits:#06x}");
        }
        assert!(half(0x7e00).is_nan());
        assert!(half(0x8000).is_sign_negative());
    }

    #[test]
    fn elements_are_little_endian() {
        let decode = |dtype, bytes: &[u8]| real(dtype).map(|f| f(bytes));
        assert_eq!(decode(Dtype::F32, &[0, 0, 0x80, 0xbf]), Some(-1.0));
        assert_eq!(decode(Dtype::BF16, &[0x80, 0xbf]), Some(-1.0));
        assert_eq!(decode(Dtype::F16, &[0x00, 0xbc]), Some(-1.0));
        assert_eq!(decode(Dtype::F64, &[0, 0, 0, 0, 0, 0, 0xf0, 0xbf]), Some(-1.0));
        assert_eq!(decode(Dtype::I64, &[0; 8]), None);
        assert_eq!(integer(Dtype::I64).map(|f| f(&[0xfe, 255, 255, 255, 255, 255, 255, 255])), Some(-2));
        assert_eq!(integer(Dtype::I32).map(|f| f(&[0xfe, 255, 255, 255])), Some(-2));
        assert_eq!(integer(Dtype::U8).map(|f| f(&[0xfe])), Some(254));
        assert_eq!(encode(&[-1.0f32]), (Dtype::F32, vec![0, 0, 0x80, 0xbf]));
        assert_eq!(encode(&[-1.0f64]), (Dtype::F64, vec![0, 0, 0, 0, 0, 0, 0xf0, 0xbf]));
    }
}
