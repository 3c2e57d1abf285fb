//! Convolutional layers.

use ad_core::ops::Window;
use ad_core::{Array, Ops};

use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// Convolution of images (batch, channels, height, width), with `weight` of shape (out, in / groups, height, width) and `bias` (out), as
/// PyTorch's `Conv2d`; see [`ad_core::ops::Conv`].
///
/// Starts with the weight Kaiming-normal, gain 1, and the bias at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    /// Input channels.
    pub inputs: usize,
    /// Output channels.
    pub outputs: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Stride, padding and dilation.
    pub window: Window,
    /// Groups of channels; divides both numbers of channels.
    pub groups: usize,
    /// How the weight starts.
    pub weight: Init,
    /// How the bias starts; `None` for a layer without one.
    pub bias: Option<Init>,
}

/// Convolution of sequences (batch, channels, length), with `weight` of shape (out, in / groups, length) and `bias` (out), as PyTorch's
/// `Conv1d`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv1d(Conv2d);

impl Conv2d {
    /// A layer with square kernels, stride 1, no padding, one group and a bias.
    pub fn new(inputs: usize, outputs: usize, kernel: usize) -> Self {
        Conv2d {
            inputs,
            outputs,
            kernel: [kernel; 2],
            window: Window::default(),
            groups: 1,
            weight: Init::KaimingNormal { gain: 1.0 },
            bias: Some(Init::Zeros),
        }
    }

    /// The same layer whose kernel moves otherwise.
    pub fn window(self, window: Window) -> Self {
        Conv2d { window, ..self }
    }

    /// The same layer in groups of channels.
    ///
    /// # Panics
    /// If the number does not divide both numbers of channels.
    #[track_caller]
    pub fn groups(self, groups: usize) -> Self {
        let fits = groups > 0 && self.inputs.is_multiple_of(groups) && self.outputs.is_multiple_of(groups);
        assert!(fits, "{groups} groups do not divide {} input and {} output channels", self.inputs, self.outputs);
        Conv2d { groups, ..self }
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Self {
        Conv2d { bias: None, ..self }
    }

    /// The same layer whose weight starts otherwise.
    pub fn weight(self, weight: Init) -> Self {
        Conv2d { weight, ..self }
    }

    /// Declares the parameters, the weight with the last `axes` axes of the kernel.
    fn declare_with(&self, axes: usize, to: &mut Declarations<'_>) {
        let mut shape = vec![self.outputs, self.inputs / self.groups];
        shape.extend(&self.kernel[2 - axes..]);
        to.parameter("weight", &shape, self.weight);
        if let Some(bias) = self.bias {
            to.parameter("bias", &[self.outputs], bias);
        }
    }

    fn apply<A: Array>(&self, p: &Scope<'_, A>, x: &A, weight: &A) -> A {
        x.conv(weight, self.bias.map(|_| p.get("bias")), self.window, self.groups)
    }
}

impl Architecture for Conv2d {
    fn declare(&self, to: &mut Declarations<'_>) {
        self.declare_with(2, to);
    }
}

impl<A: Array> Module<A> for Conv2d {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        self.apply(p, x, p.get("weight"))
    }
}

impl Conv1d {
    /// A layer with this kernel, stride, padding and dilation, one group and a bias.
    pub fn new(inputs: usize, outputs: usize, kernel: usize, [stride, padding, dilation]: [usize; 3]) -> Self {
        let window = Window { stride: [1, stride], padding: [0, padding], dilation: [1, dilation] };
        Conv1d(Conv2d { kernel: [1, kernel], window, ..Conv2d::new(inputs, outputs, kernel) })
    }

    /// The same layer in groups of channels.
    ///
    /// # Panics
    /// If the number does not divide both numbers of channels.
    #[track_caller]
    pub fn groups(self, groups: usize) -> Self {
        Conv1d(self.0.groups(groups))
    }

    /// The same layer without a bias.
    pub fn without_bias(self) -> Self {
        Conv1d(self.0.without_bias())
    }

    /// The same layer whose weight starts otherwise.
    pub fn weight(self, weight: Init) -> Self {
        Conv1d(self.0.weight(weight))
    }
}

impl Architecture for Conv1d {
    fn declare(&self, to: &mut Declarations<'_>) {
        self.0.declare_with(1, to);
    }
}

impl<A: Array> Module<A> for Conv1d {
    fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
        let flat = |a: &A| match *a.shape() {
            [outer, channels, length] => a.reshape(&[outer, channels, 1, length]),
            ref shape => panic!("conv1d: shape {shape:?} is not (batch, channels, length)"),
        };
        let z = self.0.apply(p, &flat(x), &flat(p.get("weight")));
        let &[batch, outputs, _, length] = z.shape() else { unreachable!("a convolution has four axes") };
        z.reshape(&[batch, outputs, length])
    }
}

#[cfg(test)]
mod tests {
    use ad_core::{Params, Tensor};

    use super::*;

    #[test]
    fn a_sequence_is_convolved_along_its_length() {
        let layer = Conv1d::new(1, 1, 2, [2, 1, 1]);
        let theta = Params::new([
            ("weight", Tensor::from_vec(&[1, 1, 2], vec![1.0, 10.0])),
            ("bias", Tensor::from_vec(&[1], vec![0.5])),
        ]);
        assert_eq!(layer.parameters()[0].shape, [1, 1, 2]);
        let x = Tensor::from_vec(&[1, 1, 4], vec![1.0, 2.0, 3.0, 4.0]);
        // Padded: 0 1 2 3 4 0, in pairs (0 1)(2 3)(4 0).
        let z = layer.forward(&Scope::new(&theta), &x);
        assert_eq!((z.shape(), z.data()), (&[1, 1, 3][..], &[10.5, 32.5, 4.5][..]));
    }

    #[test]
    #[should_panic(expected = "3 groups do not divide 4 input and 6 output channels")]
    fn groups_that_do_not_divide_are_refused() {
        Conv2d::new(4, 6, 3).groups(3);
    }
}
