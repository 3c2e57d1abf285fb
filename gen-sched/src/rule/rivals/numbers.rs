//! Numbers that a rule remembers.

use ad_core::Real;
use nn::{State, StateError};

/// N numbers that a rule remembers, and what they become if the step is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<const N: usize> {
    /// What they are called in a [`State`].
    names: [&'static str; N],
    first: [f64; N],
    now: [f64; N],
    next: Option<[f64; N]>,
}

/// What a [`Rule`](crate::Rule) that remembers [`Numbers`] alone does when its step was taken or not, and how it is saved.
macro_rules! remembers {
    ($numbers:ident) => {
        fn taken(&mut self, _alpha: f64) {
            self.$numbers.advance();
        }

        fn forget(&mut self) {
            self.$numbers.reset();
        }

        fn state(&self) -> nn::State<T> {
            self.$numbers.save(nn::State::default())
        }

        fn restore(
            &mut self,
            state: nn::State<T>,
            _theta: &ad_core::Params<ad_core::Tensor<T>>,
        ) -> Result<(), nn::StateError> {
            self.$numbers.restore(state)
        }
    };
}
pub(super) use remembers;

impl<const N: usize> Numbers<N> {
    /// These numbers, by name.
    pub(super) fn new(entries: [(&'static str, f64); N]) -> Self {
        let first = entries.map(|(_, number)| number);
        Numbers { names: entries.map(|(name, _)| name), first, now: first, next: None }
    }

    /// The numbers, left by the steps that were taken.
    pub(super) fn now(&self) -> [f64; N] {
        self.now
    }

    /// What they become if this step is taken; `None` leaves them as they are.
    pub(super) fn propose(&mut self, next: Option<[f64; N]>) {
        self.next = next;
    }

    /// The step is taken: what was proposed, if anything was.
    pub(super) fn advance(&mut self) {
        self.now = self.next.take().unwrap_or(self.now);
    }

    /// The step is not taken.
    pub(super) fn withdraw(&mut self) {
        self.next = None;
    }

    /// Back to the first numbers.
    pub(super) fn reset(&mut self) {
        (self.now, self.next) = (self.first, None);
    }

    /// Puts the numbers into a state, by their bits.
    pub(super) fn save<T: Real>(&self, state: State<T>) -> State<T> {
        self.names.iter().zip(self.now).fold(state, |state, (name, number)| state.with_number(name, number.to_bits()))
    }

    /// Takes them out of one.
    pub(super) fn take<T: Real>(&mut self, state: &mut State<T>) -> Result<(), StateError> {
        let mut now = self.now;
        for (number, name) in now.iter_mut().zip(self.names) {
            *number = f64::from_bits(state.take_number(name)?);
        }
        (self.now, self.next) = (now, None);
        Ok(())
    }

    /// Restores from a state that holds these numbers alone.
    pub(super) fn restore<T: Real>(&mut self, mut state: State<T>) -> Result<(), StateError> {
        self.take(&mut state)?;
        state.end()
    }
}
