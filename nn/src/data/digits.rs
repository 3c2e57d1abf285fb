//! A real data set that comes with the crate.

use std::io::Read;

use ad_core::Tensor;
use flate2::read::GzDecoder;

use super::{Dataset, Targets};

/// See `assets/README.md` for its origin and layout.
const COMPRESSED: &[u8] = include_bytes!("../../assets/digits.bin.gz");
const ROWS: usize = 1797;
const PIXELS: usize = 64;

/// 1797 handwritten digits of 8×8 pixels: inputs of shape (1797, 64), from 0 (paper) to 16 (ink), and labels 0 to 9.
///
/// The test part of *Optical Recognition of Handwritten Digits* (E. Alpaydin and C. Kaynak, UCI Machine Learning
/// Repository, 1998), in the copy and order shipped by scikit-learn (BSD-3-Clause) as `load_digits`.
///
/// ```
/// let digits = nn::data::digits();
/// assert_eq!((digits.rows(), digits.features(), digits.outputs()), (1797, 64, 10));
/// ```
pub fn digits() -> Dataset {
    let mut bytes = Vec::with_capacity(ROWS * (PIXELS + 1));
    GzDecoder::new(COMPRESSED).read_to_end(&mut bytes).expect("the embedded digits are a gzip file");
    let (mut inputs, mut labels) = (Vec::with_capacity(ROWS * PIXELS), Vec::with_capacity(ROWS));
    for row in bytes.chunks_exact(PIXELS + 1) {
        inputs.extend(row[..PIXELS].iter().map(|&pixel| f64::from(pixel)));
        labels.push(u32::from(row[PIXELS]));
    }
    let inputs = Tensor::from_vec(&[ROWS, PIXELS], inputs);
    Dataset::new("digits", inputs, Targets::Classes { labels, classes: 10 }).expect("the embedded digits are sound")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digits_are_those_of_scikit_learn() {
        let data = digits();
        let Targets::Classes { labels, .. } = data.targets() else { panic!("the digits have classes") };
        let mut counts = [0; 10];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);

        let pixels = data.inputs().data();
        assert!(pixels.iter().all(|&x| (0.0..=16.0).contains(&x) && x.fract() == 0.0));
        assert_eq!(pixels.iter().sum::<f64>(), 561718.0);
        // Sums of the pixels' columns, of the first image row.
        let column = |j: usize| pixels.iter().skip(j).step_by(PIXELS).sum::<f64>();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7].map(column),
            [0.0, 546.0, 9353.0, 21269.0, 21291.0, 10390.0, 2448.0, 233.0]
        );
    }

    #[test]
    fn the_first_digit_is_a_zero() {
        let first = digits().select(&[0]);
        assert_eq!(first.targets(), &Targets::Classes { labels: vec![0], classes: 10 });
        #[rustfmt::skip]
        let image = [
            0, 0, 5, 13, 9, 1, 0, 0,
            0, 0, 13, 15, 10, 15, 5, 0,
            0, 3, 15, 2, 0, 11, 8, 0,
            0, 4, 12, 0, 0, 8, 8, 0,
            0, 5, 8, 0, 0, 9, 8, 0,
            0, 4, 11, 0, 1, 12, 7, 0,
            0, 2, 14, 5, 10, 12, 0, 0,
            0, 0, 6, 13, 10, 0, 0, 0,
        ];
        assert_eq!(first.inputs().data(), image.map(f64::from));
    }
}
