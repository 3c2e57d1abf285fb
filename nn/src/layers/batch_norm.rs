//! Normalisation of each channel over the mini-batch.

use ad_core::{Array, Base, Ops, Real, Tensor};

use crate::context::Mode;
use crate::init::Init;
use crate::module::{Architecture, Declarations, Module, Scope};

/// What the two layers have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
struct BatchNorm {
    channels: usize,
    epsilon: f64,
    momentum: f64,
}

macro_rules! batch_norm {
    ($(#[$doc:meta])* $name:ident, $ranks:pat, $shapes:literal) => {
        $(#[$doc])*
        ///
        /// (x − mean)/√(variance + ε) ∘ γ + β, with `weight` γ and `bias` β of a number a channel (Ioffe and Szegedy, arXiv
        /// 1502.03167). In training mean and variance are those of the mini-batch, differentiated through, and the variance
        /// is the biased one. In evaluation they are the buffers `running_mean` and `running_var`, which each step that is
        /// taken moves to the batch's mean and unbiased variance by the share `momentum` of the way. PyTorch's buffer
        /// `num_batches_tracked`, on which nothing depends, is left out. Training panics on one value a channel, which has
        /// no variance.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name(BatchNorm);

        impl $name {
            /// Over these many channels, with ε = 10⁻⁵ and a momentum of 0.1.
            pub fn new(channels: usize) -> Self {
                $name(BatchNorm { channels, epsilon: 1e-5, momentum: 0.1 })
            }

            /// The same layer with another ε.
            pub fn epsilon(self, epsilon: f64) -> Self {
                $name(BatchNorm { epsilon, ..self.0 })
            }

            /// The same layer with another momentum.
            pub fn momentum(self, momentum: f64) -> Self {
                $name(BatchNorm { momentum, ..self.0 })
            }
        }

        impl Architecture for $name {
            fn declare(&self, to: &mut Declarations<'_>) {
                self.0.declare(to);
            }
        }

        impl<A: Array> Module<A> for $name {
            fn forward(&self, p: &Scope<'_, A>, x: &A) -> A {
                let (shape, channels) = (x.shape(), self.0.channels);
                let fits = matches!(shape.len(), $ranks) && shape[1] == channels;
                assert!(fits, concat!("batch_norm: shape {:?} is not ", $shapes, " with {} channels"), shape, channels);
                self.0.forward(p, x)
            }
        }
    };
}

batch_norm! {
    /// Batch normalisation of features (batch, channels) or sequences (batch, channels, length): PyTorch's `BatchNorm1d`.
    BatchNorm1d, 2 | 3, "(batch, channels) or (batch, channels, length)"
}
batch_norm! {
    /// Batch normalisation of images (batch, channels, height, width): PyTorch's `BatchNorm2d`.
    BatchNorm2d, 4, "(batch, channels, height, width)"
}

const RUNNING: [&str; 2] = ["running_mean", "running_var"];

impl BatchNorm {
    fn declare(&self, to: &mut Declarations<'_>) {
        to.parameter("weight", &[self.channels], Init::Ones);
        to.parameter("bias", &[self.channels], Init::Zeros);
        to.buffer(RUNNING[0], &[self.channels], 0.0);
        to.buffer(RUNNING[1], &[self.channels], 1.0);
        to.mixes_rows();
    }

    #[track_caller]
    fn forward<A: Array>(&self, p: &Scope<'_, A>, x: &A) -> A {
        let (gain, offset) = (p.get("weight"), p.get("bias"));
        match p.mode() {
            Mode::Training { .. } => by_channel(&self.normalized(p, x), gain, offset),
            Mode::Evaluation => {
                let [mean, variance] = RUNNING.map(|name| p.buffer(name));
                let gain = A::constant(&variance.offset(self.epsilon).powf(-0.5)) * gain;
                by_channel(x, &gain, &offset.minus(&A::constant(mean).times(&gain)))
            }
        }
    }

    /// Each channel brought to mean 0 and mean square 1 over the batch.
    #[track_caller]
    fn normalized<A: Array>(&self, p: &Scope<'_, A>, x: &A) -> A {
        let shape = x.shape();
        let (rows, places) = (shape[0], shape[2..].iter().product::<usize>());
        let values = rows * places;
        assert!(
            values > 1,
            "batch_norm: shape {shape:?} has {values} values a channel, of which training needs two at least"
        );
        p.observe(RUNNING, self.momentum, || statistics(&x.primal().to_tensor()));
        let swapped = |x: &A, from: [usize; 2]| match places {
            // Element by element, where pieces to copy whole would be of one each.
            1 => x.reshape(&from).transpose(),
            _ => x.reshape(&[from[0], from[1], places]).permute(&[1, 0, 2]),
        };
        let by_channel = swapped(x, [rows, self.channels]).reshape(&[self.channels, values]);
        swapped(&by_channel.normalize(true, self.epsilon), [self.channels, rows]).reshape(shape)
    }
}

/// x ∘ gain + offset along the channels of x (batch, channels, …).
fn by_channel<A: Array>(x: &A, gain: &A, offset: &A) -> A {
    if x.shape().len() == 2 {
        return x.affine(gain, Some(offset));
    }
    let mut a_channel = vec![1; x.shape().len() - 1];
    a_channel[0] = x.shape()[1];
    x.times(&gain.reshape(&a_channel)) + offset.reshape(&a_channel)
}

/// Mean and unbiased variance of each channel of x (batch, channels, …).
fn statistics<T: Real>(x: &Tensor<T>) -> [Tensor<f64>; 2] {
    let (rows, channels) = (x.shape()[0], x.shape()[1]);
    let places = x.len() / (rows * channels);
    let of = |channel: usize| {
        let row = move |row: usize| &x.data()[(row * channels + channel) * places..][..places];
        let sum = |f: &dyn Fn(f64) -> f64| (0..rows).flat_map(row).map(|x| f(x.to_f64())).sum::<f64>();
        let mean = sum(&|x| x) / (rows * places) as f64;
        (mean, sum(&|x| (x - mean).powi(2)) / (rows * places - 1) as f64)
    };
    let (means, variances) = (0..channels).map(of).unzip();
    [means, variances].map(|values| Tensor::from_vec(&[channels], values))
}

#[cfg(test)]
mod tests {
    use ad_core::Params;

    use super::*;
    use crate::random::Key;
    use crate::{Context, Observations};

    fn two_channels() -> Tensor<f64> {
        // Channel 0 holds 1 2 3 6, channel 1 holds −1 0 0 1.
        Tensor::from_vec(&[2, 2, 2], vec![1.0, 2.0, -1.0, 0.0, 3.0, 6.0, 0.0, 1.0])
    }

    #[test]
    fn running_statistics_move_when_they_are_committed_and_serve_evaluation() {
        let net = BatchNorm1d::new(2).momentum(0.25);
        let (theta, mut buffers, seen) = (net.init::<f64>(Key::new(0)), net.buffers(), Observations::default());
        let training = Context::training(Key::new(0), &buffers).observed_by(&seen);
        for _ in 0..2 {
            let y = net.forward(&Scope::new(&theta).within(training), &two_channels());
            assert!((y.sum_all().item()).abs() < 1e-12 && (y.powi(2).mean_all().item() - 1.0).abs() < 1e-4);
        }
        seen.commit(&mut buffers);
        // Mean 3, unbiased variance 14/3; mean 0, unbiased variance 2/3.
        let want = [[0.75, 0.0], [0.75 + 0.25 * 14.0 / 3.0, 0.75 + 0.25 * 2.0 / 3.0]];
        for (name, want) in RUNNING.iter().zip(want) {
            for (found, want) in buffers.get(name).data().iter().zip(want) {
                assert!((found - want).abs() < 1e-15, "{name}: {found} for {want}");
            }
        }
        let y = net.forward(&Scope::new(&theta).within(Context::evaluation(&buffers)), &two_channels());
        let want = (6.0 - want[0][0]) / (want[1][0] + 1e-5f64).sqrt();
        assert!((y.data()[5] - want).abs() < 1e-14);
    }

    #[test]
    fn a_network_around_it_mixes_rows_too() {
        use crate::{Activation, Layer, Residual, Sequential};
        let plain = Sequential::new([Layer::from(Activation::Relu)]);
        let inner = Layer::from(Sequential::new([Layer::from(BatchNorm2d::new(3))]));
        let net = Sequential::new([Layer::from(plain.clone()), Layer::from(Residual::new(inner))]);
        assert!(net.mixes_rows() && !plain.mixes_rows());
        assert_eq!(net.buffers().names(), ["1.inner.0.running_mean", "1.inner.0.running_var"]);
        assert_eq!(net.buffers().get("1.inner.0.running_var").data(), [1.0; 3]);
    }

    #[test]
    #[should_panic(expected = "no buffer \"running_mean\": the scope is within no context that has buffers")]
    fn evaluation_needs_its_buffers() {
        let net = BatchNorm1d::new(2);
        net.forward(&Scope::new(&net.init::<f64>(Key::new(0))), &two_channels());
    }

    #[test]
    #[should_panic(expected = "batch_norm: shape [1, 2] has 1 values a channel, of which training needs two at least")]
    fn one_row_has_no_variance() {
        let net = BatchNorm1d::new(2);
        let theta: Params<Tensor<f64>> = net.init(Key::new(0));
        let training = Scope::new(&theta);
        let buffers = net.buffers();
        net.forward(&training.within(Context::training(Key::new(0), &buffers)), &Tensor::full(&[1, 2], 1.0));
    }

    #[test]
    #[should_panic(expected = "batch_norm: shape [2, 2, 2] is not (batch, channels, height, width) with 2 channels")]
    fn an_input_of_another_rank_is_refused() {
        let net = BatchNorm2d::new(2);
        net.forward(&Scope::new(&net.init::<f64>(Key::new(0))), &two_channels());
    }
}
