//! Where a kernel stands on an image, and the sizes that follow.

use crate::ops::product::Sizes;
use crate::shape::Shape;

/// How a window moves over an image; each setting for (height, width).
///
/// With n the size of the image, k of the window, s stride, p padding and d dilation, there are
/// ⌊(n + 2p − d(k − 1) − 1)/s⌋ + 1 places; at place o, position i of the window reads pixel o·s + i·d − p. These are PyTorch's
/// conventions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Pixels from one place to the next.
    pub stride: [usize; 2],
    /// Pixels of zeros around the image, on either side.
    pub padding: [usize; 2],
    /// Pixels from one position in the window to the next.
    pub dilation: [usize; 2],
}

impl Default for Window {
    /// Stride 1, no padding, no dilation.
    fn default() -> Self {
        Window { stride: [1, 1], padding: [0, 0], dilation: [1, 1] }
    }
}

impl Window {
    /// The same settings for height and width.
    pub fn square(stride: usize, padding: usize, dilation: usize) -> Self {
        Window { stride: [stride; 2], padding: [padding; 2], dilation: [dilation; 2] }
    }

    /// The number of places of a window of this size, down and across; `None` where there is none.
    pub fn places(&self, image: [usize; 2], kernel: [usize; 2]) -> Option<[usize; 2]> {
        let [down, across] = [0, 1].map(|a| {
            let reach = self.dilation[a].checked_mul(kernel[a].checked_sub(1)?)?.checked_add(1)?;
            let room = (image[a] + 2 * self.padding[a]).checked_sub(reach)?;
            Some(room.checked_div(self.stride[a])? + 1)
        });
        Some([down?, across?])
    }

    /// Along one axis: the places at which position `at` of the window reads a pixel of the image, and the pixel that the first of
    /// them reads.
    pub(crate) fn inside(
        &self,
        axis: usize,
        at: usize,
        image: usize,
        places: usize,
    ) -> (std::ops::Range<usize>, usize) {
        let (stride, offset, pad) = (self.stride[axis], at * self.dilation[axis], self.padding[axis]);
        let from = pad.saturating_sub(offset).div_ceil(stride);
        let to = (image + pad).saturating_sub(offset).div_ceil(stride).min(places);
        let from = from.min(to);
        (from..to, (from * stride + offset).saturating_sub(pad).min(image))
    }
}

/// The sizes of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    pub(super) window: Window,
    pub(super) batch: usize,
    pub(super) groups: usize,
    /// Input channels of a group.
    pub(super) inputs: usize,
    /// Output channels of a group.
    pub(super) outputs: usize,
    pub(super) image: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) places: [usize; 2],
}

impl Geometry {
    /// From the shapes of the input (batch, channels, height, width) and the weight (outputs, channels / groups, height, width).
    ///
    /// # Panics
    /// If they do not fit.
    #[track_caller]
    pub(super) fn new(window: Window, groups: usize, x: &[usize], w: &[usize]) -> Self {
        let fail = || -> ! {
            panic!("convolution of input {x:?} with weight {w:?} in {groups} groups by {window:?} does not fit")
        };
        let (&[batch, channels, h, width], &[all, inputs, kh, kw]) = (x, w) else { fail() };
        if groups == 0 || inputs == 0 || all == 0 || channels != inputs * groups || all % groups != 0 {
            fail();
        }
        let Some(places) = window.places([h, width], [kh, kw]) else { fail() };
        Geometry { window, batch, groups, inputs, outputs: all / groups, image: [h, width], kernel: [kh, kw], places }
    }

    /// Shape of the input.
    pub(super) fn input_shape(&self) -> Shape {
        Shape::from_slice(&[self.batch, self.groups * self.inputs, self.image[0], self.image[1]])
    }

    /// Shape of the output.
    pub(super) fn output_shape(&self) -> Shape {
        Shape::from_slice(&[self.batch, self.groups * self.outputs, self.places[0], self.places[1]])
    }

    /// Shape of the weight.
    pub(super) fn weight_shape(&self) -> Shape {
        Shape::from_slice(&[self.groups * self.outputs, self.inputs, self.kernel[0], self.kernel[1]])
    }

    /// The product of one group and image: (outputs × window) by (window × places).
    pub(super) fn product(&self) -> Sizes {
        let (rows, cols) = (self.outputs, self.places[0] * self.places[1]);
        let inner = self.inputs * self.kernel[0] * self.kernel[1];
        // Sums are of images as they lie, not of what the window sees of them, and those of the weight serve the whole batch.
        let summed = 3 * (self.piece() + rows * inner / self.batch.max(1)) + 4 * rows * cols;
        Sizes { rows, inner, cols, summed }
    }

    /// How many such products there are.
    pub(super) fn products(&self) -> usize {
        self.batch * self.groups
    }

    /// Numbers of one group of one image of the input.
    pub(super) fn piece(&self) -> usize {
        self.inputs * self.image[0] * self.image[1]
    }
}
