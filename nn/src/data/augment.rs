//! Random changes to images that leave their class as it is.

use ad_core::{Real, Tensor};

use super::Batch;
use crate::random::{Generator, Key};

/// Shifts, flips and crops of images of shape (channels, height, width), drawn anew for each row and epoch.
///
/// What becomes of a row depends on the key, its number in the data set and the settings alone: not on the batch it is in,
/// nor on threads. Pixels that a shift brings in are 0; shift before standardising where 0 then is not the background.
///
/// ```
/// use nn::{data::{Augment, digits}, random::Key};
/// let images = digits().reshaped(&[1, 8, 8]);
/// let augment = Augment::new().shift(1).crop(7, 7);
///
/// let (rows, epoch) = ([3, 14, 15], Key::new(0).named("augment").numbered(2));
/// let batch = augment.apply(&images.batch::<f32>(&rows), &rows, epoch);
/// assert_eq!(batch.inputs.shape(), [3, 1, 7, 7]);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    shift: usize,
    flip: bool,
    crop: Option<[usize; 2]>,
}

/// Where the pixels of a changed image come from.
struct View {
    /// Place in the image of the upper left pixel that is seen; outside of the image it is 0.
    corner: [isize; 2],
    /// Height and width of what is seen.
    size: [usize; 2],
    /// Whether left and right are exchanged.
    flipped: bool,
}

impl Augment {
    /// No change.
    pub fn new() -> Self {
        Augment::default()
    }

    /// Moves images by up to so many pixels, up or down and left or right, each distance equally likely.
    pub fn shift(self, pixels: usize) -> Self {
        Augment { shift: pixels, ..self }
    }

    /// Exchanges left and right of every other image, by chance.
    pub fn flip(self) -> Self {
        Augment { flip: true, ..self }
    }

    /// Keeps a part of this height and width, each place equally likely.
    ///
    /// # Panics
    /// If a size is 0.
    #[track_caller]
    pub fn crop(self, height: usize, width: usize) -> Self {
        assert!(height > 0 && width > 0, "crop: a part of {height}×{width} pixels is empty");
        Augment { crop: Some([height, width]), ..self }
    }

    /// The changed batch: `rows` are the numbers of its rows in the data set, and `epoch` is the key of the epoch.
    ///
    /// # Panics
    /// If the inputs have not the shape (rows, channels, height, width), there are not as many numbers as rows, or the crop is
    /// larger than the images.
    #[track_caller]
    pub fn apply<T: Real>(&self, batch: &Batch<T>, rows: &[usize], epoch: Key) -> Batch<T> {
        let size = self.image_size(batch);
        let found = batch.inputs.shape()[0];
        assert!(rows.len() == found, "augment: {} numbers of rows for a batch of {found}", rows.len());
        let views = rows.iter().map(|&row| self.drawn(size, &mut epoch.numbered(row as u64).generator()));
        seen(batch, views.collect())
    }

    /// The batch as it is to be judged by: cropped in the middle, neither shifted nor flipped.
    ///
    /// # Panics
    /// If the inputs have not the shape (rows, channels, height, width), or the crop is larger than the images.
    #[track_caller]
    pub fn centred<T: Real>(&self, batch: &Batch<T>) -> Batch<T> {
        let [height, width] = self.image_size(batch);
        let size = self.crop.unwrap_or([height, width]);
        let corner = [(height - size[0]) as isize / 2, (width - size[1]) as isize / 2];
        seen(batch, (0..batch.inputs.shape()[0]).map(|_| View { corner, size, flipped: false }).collect())
    }

    #[track_caller]
    fn image_size<T: Real>(&self, batch: &Batch<T>) -> [usize; 2] {
        let &[_, _, height, width] = batch.inputs.shape() else {
            panic!("augment: images are needed, but the inputs have shape {:?}", batch.inputs.shape());
        };
        if let Some([h, w]) = self.crop {
            assert!(h <= height && w <= width, "augment: a crop of {h}×{w} pixels of images of {height}×{width}");
        }
        [height, width]
    }

    /// A view of an image of this size.
    fn drawn(&self, size: [usize; 2], random: &mut Generator) -> View {
        let seen = self.crop.unwrap_or(size);
        let mut corner = |axis: usize| {
            let crop = random.below(size[axis] - seen[axis] + 1) as isize;
            crop + random.below(2 * self.shift + 1) as isize - self.shift as isize
        };
        let corner = [corner(0), corner(1)];
        // Drawn in any case, so that the setting changes nothing else.
        let flipped = random.below(2) == 1 && self.flip;
        View { corner, size: seen, flipped }
    }
}

/// The batch with each image replaced by what a view of it shows.
fn seen<T: Real>(batch: &Batch<T>, views: Vec<View>) -> Batch<T> {
    let &[rows, channels, height, width] = batch.inputs.shape() else { unreachable!("the shape was checked") };
    let [h, w] = views.first().map_or([height, width], |view| view.size);
    let mut out = Vec::with_capacity(rows * channels * h * w);
    for (r, view) in views.iter().enumerate() {
        for c in 0..channels {
            let plane = &batch.inputs.data()[(r * channels + c) * height * width..][..height * width];
            for i in 0..h {
                let line = view.corner[0] + i as isize;
                let line = usize::try_from(line).ok().filter(|&i| i < height).map(|i| &plane[i * width..][..width]);
                out.extend((0..w).map(|j| {
                    let j = view.corner[1] + if view.flipped { w - 1 - j } else { j } as isize;
                    let pixel = line.zip(usize::try_from(j).ok()).and_then(|(line, j)| line.get(j));
                    pixel.copied().unwrap_or_default()
                }));
            }
        }
    }
    Batch { inputs: Tensor::from_vec(&[rows, channels, h, w], out), targets: batch.targets.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::data::Targets;

    /// Images whose pixels are all different and none 0.
    fn images(rows: usize, channels: usize, height: usize, width: usize) -> Batch<f64> {
        let labels = (0..rows as u32).collect();
        let inputs = Tensor::from_fn(&[rows, channels, height, width], |i| 1.0 + i as f64);
        Batch { inputs, targets: Targets::Classes { labels, classes: rows } }
    }

    /// What becomes of one image of 1×3 pixels in many epochs.
    fn outcomes(augment: &Augment) -> BTreeSet<Vec<u32>> {
        let image = images(1, 1, 1, 3);
        let outcome = |epoch| augment.apply(&image, &[0], Key::new(0).numbered(epoch)).inputs;
        (0..300).map(|epoch| outcome(epoch).data().iter().map(|&x| x as u32).collect()).collect()
    }

    #[test]
    fn every_outcome_occurs_and_no_other() {
        let sets = |all: &[&[u32]]| all.iter().map(|image| image.to_vec()).collect::<BTreeSet<_>>();
        assert_eq!(outcomes(&Augment::new()), sets(&[&[1, 2, 3]]));
        assert_eq!(outcomes(&Augment::new().flip()), sets(&[&[1, 2, 3], &[3, 2, 1]]));
        assert_eq!(outcomes(&Augment::new().crop(1, 2)), sets(&[&[1, 2], &[2, 3]]));
        // Shifted up or down by 1, nothing is left of an image one pixel high.
        assert_eq!(outcomes(&Augment::new().shift(1)), sets(&[&[0, 0, 0], &[0, 1, 2], &[1, 2, 3], &[2, 3, 0]]));
        assert_eq!(outcomes(&Augment::new().crop(1, 1).shift(1).flip()).len(), 4);
    }

    #[test]
    fn the_middle_is_judged() {
        let batch = images(2, 1, 4, 3);
        assert_eq!(Augment::new().shift(2).flip().centred(&batch), batch);
        let middle = Augment::new().crop(2, 1).centred(&batch);
        assert_eq!(middle.inputs, Tensor::from_vec(&[2, 1, 2, 1], vec![5.0, 8.0, 17.0, 20.0]));
        assert_eq!(middle.targets, batch.targets);
    }

    proptest! {
        #[test]
        fn a_row_s_outcome_does_not_depend_on_its_batch(seed: u64, shift in 0usize..3, rows in 1usize..6) {
            let all = images(rows, 2, 4, 5);
            let augment = Augment::new().shift(shift).flip().crop(3, 4);
            let (epoch, numbers) = (Key::new(seed), (10..10 + rows).collect::<Vec<_>>());
            let together = augment.apply(&all, &numbers, epoch);
            for (i, &number) in numbers.iter().enumerate() {
                prop_assert_eq!(together.rows(i, i + 1), augment.apply(&all.rows(i, i + 1), &[number], epoch));
            }
            // The channels of an image move together: they differ by a plane's 20 wherever neither is filled in.
            for image in together.inputs.data().chunks(2 * 12) {
                for (&first, &second) in image[..12].iter().zip(&image[12..]) {
                    prop_assert!((first, second) == (0.0, 0.0) || second - first == 20.0);
                }
            }
        }
    }

    #[test]
    fn rows_and_epochs_differ() {
        let batch = images(40, 1, 6, 6);
        let rows: Vec<usize> = (0..40).collect();
        let corner = |epoch| {
            let changed = Augment::new().shift(2).apply(&batch, &rows, Key::new(1).numbered(epoch)).inputs;
            let moved = |(i, image): (usize, &[f64])| {
                let first = image.iter().position(|&x| x != 0.0).unwrap();
                (first, image[first] as usize - 36 * i)
            };
            changed.data().chunks(36).enumerate().map(moved).collect::<Vec<_>>()
        };
        let (first, second) = (corner(0), corner(1));
        assert_ne!(first, second);
        assert!(first.iter().collect::<BTreeSet<_>>().len() > 15);
        assert_eq!(first, corner(0));
    }

    #[test]
    #[should_panic(expected = "augment: images are needed, but the inputs have shape [1, 64]")]
    fn tables_are_refused() {
        let batch = Batch { inputs: Tensor::full(&[1, 64], 0.0), targets: images(1, 1, 1, 1).targets };
        Augment::new().apply(&batch, &[0], Key::new(0));
    }

    #[test]
    #[should_panic(expected = "augment: a crop of 2×4 pixels of images of 2×3")]
    fn a_crop_larger_than_the_images_is_refused() {
        Augment::new().crop(2, 4).apply(&images(1, 1, 2, 3), &[0], Key::new(0));
    }

    #[test]
    #[should_panic(expected = "augment: 1 numbers of rows for a batch of 2")]
    fn every_row_needs_its_number() {
        Augment::new().apply(&images(2, 1, 2, 3), &[0], Key::new(0));
    }
}
