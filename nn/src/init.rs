//! Starting values of parameters.

use ad_core::{Real, Tensor};

use crate::random::Generator;

/// Distribution of a parameter's starting values. Fans are those of a weight of shape (out, in).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
    /// Normal with this standard deviation, such as 0.02 for tables of embeddings.
    Normal {
        /// The standard deviation.
        deviation: f64,
    },
    /// Normal with standard deviation gain/√in (He et al., arXiv 1502.01852; gain √2 for ReLU, 1 for no activation).
    KaimingNormal {
        /// The factor that makes up for what the activation loses.
        gain: f64,
    },
    /// Uniform with standard deviation gain/√in, that is within ±gain √(3/in).
    KaimingUniform {
        /// The factor that makes up for what the activation loses.
        gain: f64,
    },
    /// Uniform with standard deviation gain √(2/(in + out)) (Glorot and Bengio, AISTATS 2010).
    XavierUniform {
        /// The factor that makes up for what the activation loses.
        gain: f64,
    },
    /// Normal with standard deviation gain √(2/(in + out)).
    XavierNormal {
        /// The factor that makes up for what the activation loses.
        gain: f64,
    },
    /// Uniform within ±bound: PyTorch's choice for a linear layer's bias is bound = 1/√in.
    Uniform {
        /// The largest magnitude.
        bound: f64,
    },
}

impl Init {
    /// Values for a parameter of this shape, drawn in double precision and rounded to `T`.
    ///
    /// # Panics
    /// If the distribution needs fans and the shape has not at least two axes.
    #[track_caller]
    pub fn draw<T: Real>(self, shape: &[usize], random: &mut Generator) -> Tensor<T> {
        let deviation = match self {
            Init::Zeros => return Tensor::full(shape, T::from_f64(0.0)),
            Init::Ones => return Tensor::full(shape, T::from_f64(1.0)),
            Init::Uniform { bound } => bound / 3f64.sqrt(),
            Init::Normal { deviation } => deviation,
            Init::KaimingNormal { gain } | Init::KaimingUniform { gain } => gain / (fans(shape).1 as f64).sqrt(),
            Init::XavierUniform { gain } | Init::XavierNormal { gain } => {
                let (fan_out, fan_in) = fans(shape);
                gain * (2.0 / (fan_in + fan_out) as f64).sqrt()
            }
        };
        let normal = matches!(self, Init::Normal { .. } | Init::KaimingNormal { .. } | Init::XavierNormal { .. });
        let bound = deviation * 3f64.sqrt();
        let mut number = || if normal { deviation * random.normal() } else { bound * (2.0 * random.uniform() - 1.0) };
        Tensor::from_fn(shape, |_| T::from_f64(number()))
    }
}

/// (out, in) of a weight (out, in, …): trailing axes count for both.
#[track_caller]
fn fans(shape: &[usize]) -> (usize, usize) {
    let [fan_out, fan_in, window @ ..] = shape else {
        panic!("a weight (out, in, …) was expected, but the shape is {shape:?}");
    };
    let window: usize = window.iter().product();
    (fan_out * window, fan_in * window)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Key;

    /// Standard deviation of many draws, and the largest magnitude.
    fn spread(init: Init, shape: &[usize]) -> (f64, f64) {
        let t: Tensor<f64> = init.draw(shape, &mut Key::new(3).generator());
        let n = t.len() as f64;
        let mean = t.data().iter().sum::<f64>() / n;
        let variance = t.data().iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        (variance.sqrt(), t.data().iter().fold(0.0, |m, x| x.abs().max(m)))
    }

    #[test]
    fn spreads_are_those_of_the_formulas() {
        let shape = [100, 400];
        for (init, want, bound) in [
            (Init::KaimingNormal { gain: 2f64.sqrt() }, (2.0f64 / 400.0).sqrt(), f64::INFINITY),
            (Init::KaimingUniform { gain: 1.0 }, 0.05, 0.05 * 3f64.sqrt()),
            (Init::XavierNormal { gain: 1.0 }, (2.0f64 / 500.0).sqrt(), f64::INFINITY),
            (Init::XavierUniform { gain: 1.0 }, (2.0f64 / 500.0).sqrt(), (6.0f64 / 500.0).sqrt()),
            (Init::Normal { deviation: 0.02 }, 0.02, f64::INFINITY),
            (Init::Uniform { bound: 0.3 }, 0.1 * 3f64.sqrt(), 0.3),
        ] {
            let (deviation, largest) = spread(init, &shape);
            assert!((deviation / want - 1.0).abs() < 0.02, "{init:?}: deviation {deviation}, expected {want}");
            assert!(largest <= bound, "{init:?}: {largest} is beyond {bound}");
        }
        assert_eq!(spread(Init::Zeros, &shape), (0.0, 0.0));
        assert_eq!(spread(Init::Ones, &shape), (0.0, 1.0));
    }
}
