//! Gradients held within bounds.

use ad_core::{Ground, Multiple, Ops, Params, Real, Tensor};

use super::{Direction, State, StateError};

/// A direction that sees the gradient clipped, by its norm or element by element. The state is the inner direction's.
///
/// | by | the inner direction sees | PyTorch |
/// |---|---|---|
/// | norm | g · min(1, c/‖g‖), ‖g‖ being the norm of all parameters' gradients together | `clip_grad_norm_`, which adds 10⁻⁶ to ‖g‖ |
/// | value | each element held within [−c, c] | `clip_grad_value_` |
///
/// Clipping by norm is that of Pascanu, Mikolov and Bengio, *On the difficulty of training recurrent neural networks*, arXiv
/// 1211.5063. Along the gradient itself it changes only the size of ω, for which exact GeN makes up: what it is for are
/// averages of gradients, and constant rates.
///
/// Around a [`Grouped`](super::Grouped) it clips before weight decay is added, as is usual; inside one, after. How much is
/// clipped depends on the gradient, so ω is no fixed [`multiple`](Direction::multiple) of it.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Clipped, Direction, Sgd};
/// let theta = Params::new([("w", Tensor::scalar(7.0)), ("b", Tensor::scalar(7.0))]);
/// let g = theta.with(vec![Tensor::scalar(3.0), Tensor::scalar(-4.0)]);
/// let omega = Clipped::by_norm(Sgd::new(), 1.0).propose(&theta, &g);
/// assert!((omega.get("w").item() - 0.6f64).abs() < 1e-15 && (omega.get("b").item() + 0.8).abs() < 1e-15);
/// let omega = Clipped::by_value(Sgd::new(), 3.5).propose(&theta, &g);
/// assert_eq!((omega.get("w").item(), omega.get("b").item()), (3.0, -3.5));
/// ```
#[derive(Clone, Debug)]
pub struct Clipped<D> {
    inner: D,
    clip: Clip,
}

/// How a gradient is clipped.
#[derive(Clone, Copy, Debug)]
enum Clip {
    Norm(f64),
    Value(f64),
}

impl<D> Clipped<D> {
    /// A direction along gradients of norm `limit` at most.
    ///
    /// # Panics
    /// If the limit is not positive and finite.
    #[track_caller]
    pub fn by_norm(inner: D, limit: f64) -> Self {
        Clipped { inner, clip: Clip::Norm(checked(limit)) }
    }

    /// A direction along gradients whose elements are `limit` at most, in absolute value.
    ///
    /// # Panics
    /// If the limit is not positive and finite.
    #[track_caller]
    pub fn by_value(inner: D, limit: f64) -> Self {
        Clipped { inner, clip: Clip::Value(checked(limit)) }
    }

    /// The gradient that the inner direction sees. What is NaN stays NaN.
    fn clipped<T: Real>(&self, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        match self.clip {
            Clip::Norm(limit) => {
                let norm = gradient.arrays().iter().map(|g| g.inner(g)).sum::<f64>().sqrt();
                if norm > limit { gradient.map(|g| g.scaled(limit / norm)) } else { gradient.clone() }
            }
            Clip::Value(limit) => gradient.map(|g| g.clamp(-limit, limit)),
        }
    }
}

#[track_caller]
fn checked(limit: f64) -> f64 {
    assert!(limit.is_finite() && limit > 0.0, "a limit of gradients must be positive and finite, not {limit}");
    limit
}

impl<T: Real, D: Direction<T>> Direction<T> for Clipped<D> {
    #[track_caller]
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        self.inner.propose(theta, &self.clipped(gradient))
    }

    #[track_caller]
    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        self.inner.commit(theta, &self.clipped(gradient));
    }

    /// Only where the gradient has no part in ω, as at a frozen parameter.
    fn multiple(&self, name: &str) -> Option<Multiple> {
        self.inner.multiple(name).filter(|multiple| multiple.adjoint == 0.0)
    }

    fn momentum(&self) -> f64 {
        self.inner.momentum()
    }

    fn scales(&self) -> Vec<f64> {
        self.inner.scales()
    }

    fn state(&self) -> State<T> {
        self.inner.state()
    }

    fn restore(&mut self, state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.inner.restore(state, theta)
    }
}
