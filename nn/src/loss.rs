//! Losses: scalar functions of the network's output and the targets.

use std::fmt;
use std::str::FromStr;

use ad_core::ops::CrossEntropy;
use ad_core::shape::count;
use ad_core::{Array, Base, Ops, Real, Tensor};

use crate::data::Targets;

/// A loss L(z, y) of the network's output z, rows first, and targets y; a scalar.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// (1/2M) Σ‖z − y‖² over M rows: the norm-squared loss.
    NormSquared,
    /// Mean of (z − y)² over all elements.
    Mse,
    /// Mean softmax cross-entropy of class labels, over rows weighted by their class ([`ad_core::ops::CrossEntropy`]).
    CrossEntropy {
        /// The share of each target that is spread over all classes, within [0, 1].
        smoothing: f64,
        /// A weight for each class, ≥ 0. As in PyTorch the mean divides by the sum of the rows' weights, not their number.
        weights: Option<Vec<f64>>,
    },
    /// Mean binary cross-entropy of targets in [0, 1], z being logits: mean of softplus(z) − y z.
    BinaryCrossEntropy,
    /// Mean of r²/2 where |r| ≤ δ and δ(|r| − δ/2) beyond, with r = z − y (Huber 1964).
    Huber {
        /// Where the parabola turns into a line; more than 0.
        delta: f64,
    },
}

impl Loss {
    /// Plain softmax cross-entropy.
    pub fn cross_entropy() -> Self {
        Loss::CrossEntropy { smoothing: 0.0, weights: None }
    }

    /// The loss of an output.
    ///
    /// # Panics
    /// If the targets are of another kind than the loss takes, their shape is not that of the output or they have not a
    /// class for each of its columns, or a setting of the loss is out of its range.
    #[track_caller]
    pub fn apply<A: Array>(&self, output: &A, targets: &Targets<<A::Base as Base>::Scalar>) -> A {
        match (self, targets) {
            (Loss::CrossEntropy { smoothing, weights }, Targets::Classes { .. } | Targets::Sequences { .. }) => {
                let (labels, classes) = targets.labels().expect("these targets are labels");
                let z = output.shape();
                assert!(z.last() == Some(&classes), "{self:?}: the output has shape {z:?} for {classes} classes");
                let labels: Vec<usize> = labels.iter().map(|&label| label as usize).collect();
                let loss = CrossEntropy::new(&labels).label_smoothing(*smoothing);
                A::apply(weights.iter().fold(loss, |loss, w| loss.class_weights(w)), &[output])
            }
            (Loss::CrossEntropy { .. }, Targets::Values(_)) => panic!("cross-entropy needs class labels, not values"),
            (_, Targets::Classes { .. } | Targets::Sequences { .. }) => {
                panic!("{self:?} needs values, not class labels")
            }
            (_, Targets::Values(y)) => {
                let (z, y_shape) = (output.shape(), y.shape());
                assert!(z == y_shape, "{self:?}: the output has shape {z:?} but the targets {y_shape:?}");
                self.regression(output, &A::lift(A::Base::from_tensor(y.clone())))
            }
        }
    }

    /// How much a batch counts beside another: the loss of both together is the mean of their losses, weighted by this. The
    /// number of rows, or with class weights the sum of the labels'.
    ///
    /// # Panics
    /// If a label has no class weight.
    #[track_caller]
    pub fn weight_of<T: Real>(&self, targets: &Targets<T>) -> f64 {
        match (self, targets.labels()) {
            (Loss::CrossEntropy { weights: Some(weights), .. }, Some((labels, _))) => {
                labels.iter().map(|&label| weights[label as usize]).sum()
            }
            _ => targets.rows() as f64,
        }
    }

    #[track_caller]
    fn regression<A: Array>(&self, z: &A, y: &A) -> A {
        match self {
            Loss::NormSquared => z.squared_error(y, 0.5 / z.shape().first().copied().unwrap_or(1) as f64),
            Loss::Mse => z.squared_error(y, 1.0 / count(z.shape()) as f64),
            Loss::BinaryCrossEntropy => (z.softplus() - z.times(y)).mean_all(),
            Loss::Huber { delta } => {
                assert!(delta.is_finite() && *delta > 0.0, "Huber's δ must be finite and > 0, not {delta}");
                let r = z.minus(y);
                let inner = r.clamp(-delta, *delta);
                // Within δ this is r²/2; beyond, δ|r| − δ²/2.
                (r * &inner - inner.powi(2).scale(0.5)).mean_all()
            }
            Loss::CrossEntropy { .. } => unreachable!("class labels are handled by `apply`"),
        }
    }
}

/// Rows of outputs, without a pattern, some of them large.
fn outputs(shape: &[usize]) -> Tensor<f64> {
    Tensor::from_fn(shape, |i| 2.0 * (1.9 * i as f64 + 0.2).sin())
}

/// The loss on four rows of three values in [0, 1].
fn on_values(loss: Loss) -> (Loss, Tensor<f64>, Targets) {
    let values = Tensor::from_fn(&[4, 3], |i| (1.3 * i as f64 + 2.0).sin().powi(2));
    (loss, outputs(&[4, 3]), Targets::Values(values))
}

/// Cross-entropy of four labels of three classes, on outputs of this shape.
fn on_classes(smoothing: f64, weights: Option<[f64; 3]>, shape: &[usize]) -> (Loss, Tensor<f64>, Targets) {
    let loss = Loss::CrossEntropy { smoothing, weights: weights.map(Vec::from) };
    (loss, outputs(shape), Targets::Classes { labels: vec![2, 0, 1, 1], classes: 3 })
}

/// Cross-entropy of two rows of two labels of three classes.
fn on_sequences(smoothing: f64, weights: Option<[f64; 3]>) -> (Loss, Tensor<f64>, Targets) {
    let (loss, output, _) = on_classes(smoothing, weights, &[2, 2, 3]);
    (loss, output, Targets::Sequences { labels: vec![2, 0, 1, 1], length: 2, classes: 3 })
}

/// Names, and samples for tests: a loss that is not listed does not compile, as its name is not known.
macro_rules! losses {
    ($($name:literal: $kind:pat => $by_name:expr, $samples:expr;)*) => {
        impl Loss {
            /// The names that can be parsed.
            pub const NAMES: &[&str] = &[$($name),*];

            /// Every loss in each of its settings, with an output and targets to try it on, where it is smooth.
            pub fn samples() -> Vec<(Loss, Tensor<f64>, Targets)> {
                let mut all = Vec::new();
                $(all.extend($samples);)*
                all
            }
        }

        impl fmt::Display for Loss {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $($kind => $name,)*
                })
            }
        }

        impl FromStr for Loss {
            type Err = UnknownLoss;

            fn from_str(name: &str) -> Result<Self, UnknownLoss> {
                match name {
                    $($name => Ok($by_name),)*
                    _ => Err(UnknownLoss { found: name.to_string() }),
                }
            }
        }
    };
}

losses! {
    "nsq": Loss::NormSquared => Loss::NormSquared, [on_values(Loss::NormSquared)];
    "mse": Loss::Mse => Loss::Mse, [on_values(Loss::Mse)];
    "ce": Loss::CrossEntropy { .. } => Loss::cross_entropy(), [
        on_classes(0.0, None, &[4, 3]),
        on_classes(0.1, None, &[4, 3]),
        on_classes(0.0, Some([0.5, 2.0, 1.0]), &[4, 3]),
        on_sequences(0.3, Some([0.5, 2.0, 0.0])),
    ];
    "bce": Loss::BinaryCrossEntropy => Loss::BinaryCrossEntropy, [on_values(Loss::BinaryCrossEntropy)];
    "huber": Loss::Huber { .. } => Loss::Huber { delta: 1.0 },
        [on_values(Loss::Huber { delta: 1.0 }), on_values(Loss::Huber { delta: 0.5 })];
}

/// A name that is no loss's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("unknown loss {found:?}: expected one of {}", Loss::NAMES.join(", "))]
pub struct UnknownLoss {
    /// The name given.
    pub found: String,
}

#[cfg(test)]
mod tests {
    use ad_core::grad;
    use approx::assert_relative_eq;

    use super::*;

    fn values(data: &[f64]) -> Targets<f64> {
        Targets::Values(Tensor::from_vec(&[data.len() / 2, 2], data.to_vec()))
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let z = Tensor::from_vec(&[2, 2], vec![1.0, -2.0, 0.5, 3.0]);
        let y = values(&[0.0, 1.0, 0.5, 1.0]);
        // Residuals 1, −3, 0, 2.
        assert_relative_eq!(Loss::NormSquared.apply(&z, &y).item(), 14.0 / 4.0);
        assert_relative_eq!(Loss::Mse.apply(&z, &y).item(), 14.0 / 4.0);
        assert_relative_eq!(Loss::Huber { delta: 1.0 }.apply(&z, &y).item(), (0.5 + 2.5 + 0.0 + 1.5) / 4.0);
        let bce = |z: f64, y: f64| -(y * (1.0 / (1.0 + (-z).exp())).ln() + (1.0 - y) * (1.0 / (1.0 + z.exp())).ln());
        let want = (bce(1.0, 0.0) + bce(-2.0, 1.0) + bce(0.5, 0.5) + bce(3.0, 1.0)) / 4.0;
        assert_relative_eq!(Loss::BinaryCrossEntropy.apply(&z, &y).item(), want, max_relative = 1e-14);
        let labels = Targets::Classes { labels: vec![1, 0], classes: 2 };
        let want = ((1.0 + (3f64).exp()).ln() + (1.0 + (2.5f64).exp()).ln()) / 2.0;
        assert_relative_eq!(Loss::cross_entropy().apply(&z, &labels).item(), want, max_relative = 1e-14);
    }

    #[test]
    fn huber_is_flat_sloped_beyond_delta() {
        let loss = Loss::Huber { delta: 0.5 };
        let y = Targets::Values(Tensor::from_vec(&[1, 1], vec![0.0]));
        let slope = |z: f64| grad(|z| loss.apply(z, &y), &Tensor::from_vec(&[1, 1], vec![z])).item();
        assert_eq!((slope(3.0), slope(-3.0), slope(0.25)), (0.5, -0.5, 0.25));
    }

    #[test]
    fn sequences_cost_what_their_labels_do_one_by_one() {
        let labels = vec![2, 0, 1, 1, 0, 2];
        let flat = Targets::Classes { labels: labels.clone(), classes: 3 };
        let rows = Targets::Sequences { labels, length: 3, classes: 3 };
        for weights in [None, Some(vec![0.5, 2.0, 1.0])] {
            let loss = Loss::CrossEntropy { smoothing: 0.1, weights };
            assert_eq!(loss.apply(&outputs(&[2, 3, 3]), &rows), loss.apply(&outputs(&[6, 3]), &flat));
        }
        // What a row counts: the sum of its labels' weights, or as much as any other.
        let weighted = Loss::CrossEntropy { smoothing: 0.0, weights: Some(vec![0.5, 2.0, 1.0]) };
        assert_eq!((weighted.weight_of(&rows), Loss::cross_entropy().weight_of(&rows)), (6.0 + 1.0, 2.0));
    }

    #[test]
    #[should_panic(expected = "cross_entropy: 4 labels for logits of shape [2, 3, 3]")]
    fn sequences_need_logits_at_every_place() {
        let rows = Targets::Sequences { labels: vec![0; 4], length: 2, classes: 3 };
        let _ = Loss::cross_entropy().apply(&outputs(&[2, 3, 3]), &rows);
    }

    #[test]
    fn names_round_trip() {
        for name in Loss::NAMES {
            assert_eq!(name.parse::<Loss>().unwrap().to_string(), *name);
        }
        let message = "hinge".parse::<Loss>().unwrap_err().to_string();
        assert_eq!(message, "unknown loss \"hinge\": expected one of nsq, mse, ce, bce, huber");
    }

    #[test]
    #[should_panic(expected = "the output has shape [1, 2] but the targets [2, 2]")]
    fn shapes_must_agree() {
        let _ = Loss::Mse.apply(&Tensor::from_vec(&[1, 2], vec![0.0, 0.0]), &values(&[0.0; 4]));
    }

    #[test]
    fn samples_cover_every_name_and_both_sides_of_huber_s_kinks() {
        let samples = Loss::samples();
        for name in Loss::NAMES {
            assert!(samples.iter().any(|(loss, ..)| loss.to_string() == *name), "no sample of {name}");
        }
        for (loss, z, y) in samples {
            if let (Loss::Huber { delta }, Targets::Values(y)) = (loss, y) {
                let distances = || z.data().iter().zip(y.data()).map(|(z, y)| (z - y).abs() - delta);
                assert!(distances().any(|d| d < 0.0) && distances().any(|d| d > 0.0));
                assert!(distances().all(|d| d.abs() > 0.03), "δ = {delta}: a residual lies on a kink");
            }
        }
    }

    #[test]
    #[should_panic(expected = "the output has shape [1, 2] for 3 classes")]
    fn an_output_needs_a_column_for_each_class() {
        let labels = Targets::Classes { labels: vec![1], classes: 3 };
        let _ = Loss::cross_entropy().apply(&Tensor::from_vec(&[1, 2], vec![0.0, 0.0]), &labels);
    }

    #[test]
    #[should_panic(expected = "Huber's δ must be finite and > 0, not -1")]
    fn a_negative_delta_is_refused() {
        let _ = Loss::Huber { delta: -1.0 }.apply(&Tensor::from_vec(&[1, 2], vec![0.0, 0.0]), &values(&[0.0; 2]));
    }

    #[test]
    #[should_panic(expected = "cross-entropy needs class labels, not values")]
    fn cross_entropy_needs_labels() {
        let _ = Loss::cross_entropy().apply(&Tensor::from_vec(&[1, 2], vec![0.0, 0.0]), &values(&[0.0; 2]));
    }
}
