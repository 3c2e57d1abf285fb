//! Other directions for other parameters.

use ad_core::{Multiple, Params, Real, Tensor};

use super::pattern::fits;
use super::{Direction, State, StateError};

/// Several directions of one kind, each for the parameters of its group: with settings of their own, such as another β₂ for
/// embeddings. Each sees, and keeps a state for, its own parameters only. PyTorch's parameter groups; [`Grouped`](super::Grouped)
/// around it adds decay and scale.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Direction, Momentum, Split};
/// let theta = Params::new(["embedding", "weight"].map(|name| (name, Tensor::scalar(2.0))));
/// let g = theta.map(|_| Tensor::scalar(1.0));
/// let mut direction = Split::new(Momentum::new(0.9)).along("embed*", Momentum::new(0.5));
/// direction.commit(&theta, &g);
/// let omega = direction.propose(&theta, &g);
/// assert_eq!((omega.get("embedding").item(), omega.get("weight").item()), (1.5, 1.9));
/// ```
#[derive(Clone, Debug)]
pub struct Split<D> {
    /// Of the parameters that are in no group, then of each group.
    directions: Vec<D>,
    /// The groups' patterns.
    patterns: Vec<String>,
}

impl<D> Split<D> {
    /// This direction for all parameters that [`along`](Split::along) takes no other for.
    pub fn new(others: D) -> Self {
        Split { directions: vec![others], patterns: Vec::new() }
    }

    /// Another direction for the parameters whose name fits a pattern, in which `*` stands for any characters. A parameter belongs
    /// to the first group that it fits.
    pub fn along(mut self, pattern: &str, direction: D) -> Self {
        self.directions.push(direction);
        self.patterns.push(pattern.to_string());
        self
    }

    /// Whose a parameter is.
    fn part(&self, name: &str) -> usize {
        self.patterns.iter().position(|pattern| fits(pattern, name)).map_or(0, |i| i + 1)
    }

    /// The parameters of each direction.
    fn parts<A: Clone>(&self, tree: &Params<A>) -> Vec<Params<A>> {
        let of = |part: usize| tree.iter().filter(move |(name, _)| self.part(name) == part);
        (0..self.directions.len()).map(|part| Params::new(of(part).map(|(name, a)| (name, a.clone())))).collect()
    }
}

/// What a direction's part of a state is called.
fn entry(part: usize) -> String {
    match part {
        0 => "others".to_string(),
        n => format!("group{n}"),
    }
}

impl<T: Real, D: Direction<T> + Clone> Direction<T> for Split<D> {
    #[track_caller]
    fn propose(&self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let (theta_parts, gradients) = (self.parts(theta), self.parts(gradient));
        let given = self.directions.iter().zip(theta_parts.iter().zip(&gradients));
        let omegas: Vec<_> = given.map(|(direction, (theta, gradient))| direction.propose(theta, gradient)).collect();
        theta.with(theta.names().iter().map(|name| omegas[self.part(name)].get(name).clone()).collect())
    }

    #[track_caller]
    fn commit(&mut self, theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        let (theta, gradient) = (self.parts(theta), self.parts(gradient));
        for (direction, (theta, gradient)) in self.directions.iter_mut().zip(theta.iter().zip(&gradient)) {
            direction.commit(theta, gradient);
        }
    }

    fn multiple(&self, name: &str) -> Option<Multiple> {
        self.directions[self.part(name)].multiple(name)
    }

    /// The greatest of all: a rate is one for all of them.
    fn momentum(&self) -> f64 {
        self.directions.iter().map(Direction::momentum).fold(0.0, f64::max)
    }

    fn scales(&self) -> Vec<f64> {
        self.directions.iter().flat_map(Direction::scales).collect()
    }

    /// The state of each direction, as a part of its own.
    fn state(&self) -> State<T> {
        let parts = self.directions.iter().enumerate();
        parts.fold(State::default(), |state, (part, direction)| state.with_part(&entry(part), direction.state()))
    }

    fn restore(&mut self, mut state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        let mut restored = self.directions.clone();
        for (part, (direction, theta)) in restored.iter_mut().zip(self.parts(theta)).enumerate() {
            direction.restore(state.take_part(&entry(part)), &theta)?;
        }
        state.end()?;
        self.directions = restored;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Adam, Momentum};
    use super::*;

    fn tree(numbers: [f64; 3]) -> Params<Tensor<f64>> {
        Params::new(["a.w", "b.w", "b.bias"].into_iter().zip(numbers.map(Tensor::scalar)))
    }

    fn split() -> Split<Adam<f64>> {
        Split::new(Adam::default()).along("b.*", Adam::new(0.5, 0.75, 1.0)).along("*bias", Adam::new(0.1, 0.2, 1.0))
    }

    #[test]
    fn each_parameter_goes_as_if_its_direction_were_alone() {
        let mut alone = [Adam::default(), Adam::new(0.5, 0.75, 1.0), Adam::new(0.5, 0.75, 1.0)];
        let mut split = split();
        for g in [[2.0, -4.0, 1.0], [1.0, 0.5, -3.0], [0.0, 0.25, 2.0]] {
            let omega = split.propose(&tree([7.0; 3]), &tree(g));
            for (i, name) in ["a.w", "b.w", "b.bias"].into_iter().enumerate() {
                let one = |x: f64| Params::new([(name, Tensor::scalar(x))]);
                assert_eq!(omega.get(name).item(), alone[i].propose(&one(7.0), &one(g[i])).get(name).item(), "{name}");
                alone[i].commit(&one(7.0), &one(g[i]));
            }
            split.commit(&tree([7.0; 3]), &tree(g));
        }
    }

    #[test]
    fn a_state_goes_on_bit_for_bit_and_one_that_misfits_changes_nothing() {
        let (theta, g) = (tree([7.0; 3]), tree([2.0, -4.0, 1.0]));
        let mut direction = split();
        direction.commit(&theta, &g);
        let state = direction.state();
        let entries: Vec<_> = state.tensors.keys().map(String::as_str).collect();
        assert_eq!(
            entries,
            ["group1/m.b.bias", "group1/m.b.w", "group1/v.b.bias", "group1/v.b.w", "others/m.a.w", "others/v.a.w"]
        );
        let mut again = split();
        again.restore(state.clone(), &theta).unwrap();
        assert_eq!(again.state(), state);
        assert_eq!(again.propose(&theta, &g).arrays(), direction.propose(&theta, &g).arrays());

        let mut cut = state.clone();
        cut.tensors.remove("group1/v.b.w");
        let mut other = split();
        other.commit(&theta, &tree([1.0; 3]));
        let before = other.state();
        assert_eq!(other.restore(cut, &theta), Err(StateError::Missing { entry: "v.b.w".to_string() }));
        assert_eq!(other.state(), before);
        let whole = StateError::Unexpected { entry: "group1/m.b.bias".to_string() };
        assert_eq!(Momentum::new(0.9).restore(state, &theta), Err(whole));
    }

    #[test]
    fn the_greatest_momentum_is_told() {
        let split = Split::new(Momentum::<f64>::new(0.5)).along("b", Momentum::new(0.9)).along("c", Momentum::new(0.1));
        assert_eq!(split.momentum(), 0.9);
    }
}
