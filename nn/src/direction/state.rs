//! What a direction keeps from step to step, as named arrays and numbers that a file can hold.

use std::collections::BTreeMap;

use ad_core::{Params, Real, Tensor};

/// The state of a [`Direction`](super::Direction), or of what contains one: arrays under the kind of thing they are and their parameter's name, such as
/// `m.layers.0.weight`, and whole numbers, such as `steps`. Settings are not part of it.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Adam, Direction};
/// let theta = Params::new([("w", Tensor::scalar(2.0f64))]);
/// let mut adam = Adam::default();
/// adam.commit(&theta, &theta);
/// let state = adam.state();
/// assert_eq!(state.tensors.keys().collect::<Vec<_>>(), ["m.w", "v.w"]);
/// assert_eq!(state.numbers["steps"], 1);
///
/// let mut again = Adam::default();
/// again.restore(state, &theta)?;
/// assert_eq!(again.propose(&theta, &theta).arrays(), adam.propose(&theta, &theta).arrays());
/// # Ok::<(), nn::StateError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct State<T: Real> {
    /// The arrays by name.
    pub tensors: BTreeMap<String, Tensor<T>>,
    /// Whole numbers by name; another number goes in by its bits.
    pub numbers: BTreeMap<String, u64>,
}

impl<T: Real> Default for State<T> {
    /// The state of a direction that keeps nothing.
    fn default() -> Self {
        State { tensors: BTreeMap::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Real> State<T> {
    /// The same state with one array more for each parameter.
    pub fn with_tree(mut self, kind: &str, tree: &Params<Tensor<T>>) -> Self {
        self.tensors.extend(tree.iter().map(|(name, tensor)| (entry(kind, name), tensor.clone())));
        self
    }

    /// The same state with one number more.
    pub fn with_number(mut self, name: &str, number: u64) -> Self {
        self.numbers.insert(name.to_string(), number);
        self
    }

    /// Whether there are arrays of this kind.
    pub fn has_tree(&self, kind: &str) -> bool {
        self.tensors.keys().any(|name| name.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Takes the arrays of this kind out, one for each parameter.
    ///
    /// # Errors
    /// If one is missing or has not the shape of its parameter.
    pub fn take_tree(&mut self, kind: &str, theta: &Params<Tensor<T>>) -> Result<Params<Tensor<T>>, StateError> {
        let take = |(name, parameter): (&str, &Tensor<T>)| {
            let name = entry(kind, name);
            let tensor = self.tensors.remove(&name).ok_or_else(|| StateError::Missing { entry: name.clone() })?;
            let (found, expected) = (tensor.shape().to_vec(), parameter.shape().to_vec());
            if found == expected { Ok(tensor) } else { Err(StateError::Shape { entry: name, found, expected }) }
        };
        Ok(theta.with(theta.iter().map(take).collect::<Result<_, _>>()?))
    }

    /// Takes a number out.
    ///
    /// # Errors
    /// If it is missing.
    pub fn take_number(&mut self, name: &str) -> Result<u64, StateError> {
        self.numbers.remove(name).ok_or_else(|| StateError::Missing { entry: name.to_string() })
    }

    /// The same state with another as a part of it, under a name.
    pub fn with_part(mut self, name: &str, part: State<T>) -> Self {
        self.tensors.extend(part.tensors.into_iter().map(|(entry, tensor)| (format!("{name}/{entry}"), tensor)));
        self.numbers.extend(part.numbers.into_iter().map(|(entry, number)| (format!("{name}/{entry}"), number)));
        self
    }

    /// Takes a part out; an empty one where there is none of this name.
    pub fn take_part(&mut self, name: &str) -> State<T> {
        fn taken<V>(from: &mut BTreeMap<String, V>, name: &str) -> BTreeMap<String, V> {
            let inner =
                |entry: &str| entry.strip_prefix(name).and_then(|rest| rest.strip_prefix('/')).map(str::to_string);
            let (part, rest): (Vec<_>, Vec<_>) =
                std::mem::take(from).into_iter().partition(|(entry, _)| inner(entry).is_some());
            *from = rest.into_iter().collect();
            part.into_iter().filter_map(|(entry, value)| Some((inner(&entry)?, value))).collect()
        }
        State { tensors: taken(&mut self.tensors, name), numbers: taken(&mut self.numbers, name) }
    }

    /// The same state in another precision.
    pub fn cast<U: Real>(&self) -> State<U> {
        let tensors = self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.cast())).collect();
        State { tensors, numbers: self.numbers.clone() }
    }

    /// Ends the taking out.
    ///
    /// # Errors
    /// If something is left.
    pub fn end(self) -> Result<(), StateError> {
        match self.tensors.into_keys().chain(self.numbers.into_keys()).next() {
            Some(entry) => Err(StateError::Unexpected { entry }),
            None => Ok(()),
        }
    }
}

/// The name of an array.
fn entry(kind: &str, parameter: &str) -> String {
    format!("{kind}.{parameter}")
}

/// Why a state was refused: it is not one of the same kind with these parameters.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Something is not there.
    #[error("state: found no {entry:?}, expected one of this model, direction and rule")]
    Missing {
        /// The array's or number's name.
        entry: String,
    },
    /// Something is there that should not be.
    #[error("state: found {entry:?}, expected nothing of that name for this model, direction and rule")]
    Unexpected {
        /// The array's or number's name.
        entry: String,
    },
    /// An array has another shape than its parameter.
    #[error("state: {entry:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The array's name.
        entry: String,
        /// Its shape.
        found: Vec<usize>,
        /// The parameter's shape.
        expected: Vec<usize>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theta() -> Params<Tensor<f64>> {
        Params::new([("a", Tensor::full(&[2], 1.0)), ("b.c", Tensor::scalar(2.0))])
    }

    fn state() -> State<f64> {
        State::default().with_tree("m", &theta()).with_number("steps", 3)
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let mut state = state();
        assert_eq!(state.tensors.keys().collect::<Vec<_>>(), ["m.a", "m.b.c"]);
        assert!(state.has_tree("m") && !state.has_tree("m.a") && !state.has_tree("v"));
        assert_eq!(state.take_number("steps"), Ok(3));
        assert_eq!(state.take_tree("m", &theta()).unwrap().arrays(), theta().arrays());
        assert_eq!(state.end(), Ok(()));
    }

    #[test]
    fn misfits_are_named() {
        let message = |e: StateError| e.to_string();
        let missing = state().take_tree("v", &theta()).map(|_| ()).map_err(message);
        assert_eq!(missing, Err("state: found no \"v.a\", expected one of this model, direction and rule".to_string()));
        assert_eq!(state().take_number("t"), Err(StateError::Missing { entry: "t".to_string() }));
        let other = Params::new([("a", Tensor::full(&[3], 1.0))]);
        let misshapen = state().take_tree("m", &other).map(|_| ()).map_err(message);
        assert_eq!(misshapen, Err("state: \"m.a\" has shape [2], expected [3]".to_string()));
        let unexpected = "state: found \"m.a\", expected nothing of that name for this model, direction and rule";
        assert_eq!(state().end().map_err(message), Err(unexpected.to_string()));
    }
}
