//! Arrays that a direction keeps of each parameter.

use ad_core::{Params, Real, Tensor};

use super::state::{State, StateError};

/// N arrays for each parameter, of its shape; zeros before the first step.
#[derive(Clone, Debug)]
pub(super) struct Memory<T: Real, const N: usize> {
    /// What they are called in a [`State`].
    kinds: [&'static str; N],
    kept: Option<Params<[Tensor<T>; N]>>,
}

impl<T: Real, const N: usize> Memory<T, N> {
    /// Zeros.
    pub(super) fn new(kinds: [&'static str; N]) -> Self {
        Memory { kinds, kept: None }
    }

    /// Whether a step has left something here.
    pub(super) fn has_begun(&self) -> bool {
        self.kept.is_some()
    }

    /// `f` of each parameter's arrays and its gradient.
    ///
    /// # Panics
    /// If a gradient has not the shape of the state that earlier gradients have left, or its names differ.
    #[track_caller]
    pub(super) fn each<R>(
        &self,
        gradient: &Params<Tensor<T>>,
        mut f: impl FnMut([&Tensor<T>; N], &Tensor<T>) -> R,
    ) -> Params<R> {
        let Some(kept) = &self.kept else {
            return gradient.map(|g| {
                let zeros = zeros(g);
                f([&zeros; N], g)
            });
        };
        kept.zip(gradient, |kept, g| {
            for tensor in kept {
                let (kept, given) = (tensor.shape(), g.shape());
                assert!(kept == given, "a gradient of shape {given:?} does not fit a state of shape {kept:?}");
            }
            f(kept.each_ref(), g)
        })
    }

    /// Replaces each parameter's arrays by `f` of them and its gradient.
    ///
    /// # Panics
    /// As of [`each`](Memory::each).
    #[track_caller]
    pub(super) fn advance(
        &mut self,
        gradient: &Params<Tensor<T>>,
        f: impl FnMut([&Tensor<T>; N], &Tensor<T>) -> [Tensor<T>; N],
    ) {
        self.kept = Some(self.each(gradient, f));
    }

    /// Puts the arrays into a state, if a step has left some.
    pub(super) fn save(&self, state: State<T>) -> State<T> {
        let Some(kept) = &self.kept else { return state };
        let of = |i: usize| kept.map(|tensors| tensors[i].clone());
        self.kinds.iter().enumerate().fold(state, |state, (i, kind)| state.with_tree(kind, &of(i)))
    }

    /// Restores from a state that holds these arrays alone, or nothing.
    ///
    /// # Errors
    /// If something is missing, misshapen or left; nothing has changed then.
    pub(super) fn restore(&mut self, mut state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        let has_begun = state.has_tree(self.kinds[0]);
        let restored = self.taken(&mut state, theta, has_begun)?;
        state.end()?;
        *self = restored;
        Ok(())
    }

    /// A memory like this one with the arrays that were saved, or if no step had been taken, zeros.
    ///
    /// # Errors
    /// If one is missing, or its shape is not the parameter's.
    pub(super) fn taken(
        &self,
        state: &mut State<T>,
        theta: &Params<Tensor<T>>,
        has_begun: bool,
    ) -> Result<Self, StateError> {
        let mut kept = None;
        if has_begun {
            let trees = self.kinds.iter().map(|kind| state.take_tree(kind, theta)).collect::<Result<Vec<_>, _>>()?;
            let of = |i: usize| std::array::from_fn(|kind| trees[kind].arrays()[i].clone());
            kept = Some(theta.with((0..theta.names().len()).map(of).collect()));
        }
        Ok(Memory { kinds: self.kinds, kept })
    }
}

/// Zeros of the gradient's shape.
pub(super) fn zeros<T: Real>(gradient: &Tensor<T>) -> Tensor<T> {
    Tensor::full(gradient.shape(), T::from_f64(0.0))
}
