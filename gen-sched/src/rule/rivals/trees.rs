//! Arrays that a rule remembers of each parameter.

use ad_core::{Params, Real, Tensor};
use nn::{State, StateError};

use super::Numbers;

/// N trees of the parameters' shapes; zeros before the first step.
#[derive(Clone, Debug)]
pub(super) struct Trees<T: Real, const N: usize> {
    /// What they are called in a [`State`].
    names: [&'static str; N],
    kept: Option<[Params<Tensor<T>>; N]>,
}

impl<T: Real, const N: usize> Trees<T, N> {
    /// Zeros.
    pub(super) fn new(names: [&'static str; N]) -> Self {
        Trees { names, kept: None }
    }

    /// The trees, if a step has left some.
    pub(super) fn kept(&self) -> Option<&[Params<Tensor<T>>; N]> {
        self.kept.as_ref()
    }

    /// The trees, of the shapes of `like`.
    pub(super) fn now(&self, like: &Params<Tensor<T>>) -> [Params<Tensor<T>>; N] {
        let zeros = || like.map(|x| Tensor::full(x.shape(), T::from_f64(0.0)));
        self.kept.clone().unwrap_or_else(|| std::array::from_fn(|_| zeros()))
    }

    pub(super) fn set(&mut self, trees: [Params<Tensor<T>>; N]) {
        self.kept = Some(trees);
    }

    /// Puts the trees into a state, if a step has left some.
    pub(super) fn save(&self, state: State<T>) -> State<T> {
        let trees = self.kept.iter().flatten();
        self.names.iter().zip(trees).fold(state, |state, (name, tree)| state.with_tree(name, tree))
    }

    /// Takes them out of one that was saved where the parameters were like `theta`.
    pub(super) fn take(&mut self, state: &mut State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        self.kept = match self.names.iter().any(|name| state.has_tree(name)) {
            true => {
                let trees = self.names.iter().map(|name| state.take_tree(name, theta));
                let trees = trees.collect::<Result<Vec<_>, _>>()?;
                Some(trees.try_into().expect("one for each name"))
            }
            false => None,
        };
        Ok(())
    }
}

/// Numbers and trees like these, from a state that holds nothing else.
pub(super) fn restored<T: Real, const N: usize, const M: usize>(
    (mut numbers, mut trees): (Numbers<N>, Trees<T, M>),
    mut state: State<T>,
    theta: &Params<Tensor<T>>,
) -> Result<(Numbers<N>, Trees<T, M>), StateError> {
    numbers.take(&mut state)?;
    trees.take(&mut state, theta)?;
    state.end()?;
    Ok((numbers, trees))
}

/// a x + b y.
pub(super) fn sum<T: Real>(a: f64, x: &Params<Tensor<T>>, b: f64, y: &Params<Tensor<T>>) -> Params<Tensor<T>> {
    let (a, b) = (T::from_f64(a), T::from_f64(b));
    x.zip(y, |x, y| x.combined(y, move |x, y| a * x + b * y))
}

/// `f` of each pair of elements.
pub(super) fn pairs<T: Real>(
    [x, y]: [&Params<Tensor<T>>; 2],
    f: impl Fn(T, T) -> T + Sync + Copy + 'static,
) -> Params<Tensor<T>> {
    x.zip(y, |x, y| x.combined(y, f))
}

/// Σ |xᵢ|.
pub(super) fn absolute_sum<T: Real>(x: &Params<Tensor<T>>) -> f64 {
    x.arrays().iter().flat_map(Tensor::data).map(|x| x.to_f64().abs()).sum()
}
