//! The gradient scaled by its own moments.

use ad_core::{Params, Real, Tensor};

use super::memory::Memory;
use super::{Direction, State, StateError, coefficient, offset, shares};

/// Adam: ω = m̂ / (√v̂ + ε), elementwise, with the moving averages m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g² from
/// zero, corrected for that start: after t steps, m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ). AMSGrad puts the greatest v so far,
/// elementwise, in the place of v.
///
/// Algorithm 1 of Kingma and Ba, *Adam: a method for stochastic optimization*, arXiv 1412.6980, without its learning rate;
/// AMSGrad is that of Reddi, Kale and Kumar, *On the convergence of Adam and beyond*, arXiv 1904.09237, which corrects nothing
/// for the start; it is corrected here as in PyTorch.
///
/// θ ← θ − α ω is the step of PyTorch's `Adam` with `lr` = α, `betas` = (β₁, β₂), `eps` = ε and `amsgrad`; its defaults are
/// `betas=(0.9, 0.999)`, `eps=1e-8`, `weight_decay=0` and `amsgrad=False`.
///
/// ```
/// use ad_core::{Params, Tensor};
/// use nn::{Adam, Direction};
/// let theta = Params::new([("w", Tensor::scalar(2.0))]);
/// let omega = Adam::default().propose(&theta, &theta.map(|_| Tensor::scalar(-300.0)));
/// assert!((omega.get("w").item() + 1.0f64).abs() < 1e-10); // the first step has the size of a sign
/// ```
#[derive(Clone, Debug)]
pub struct Adam<T: Real> {
    betas: [f64; 2],
    epsilon: f64,
    /// Steps committed, t.
    steps: u64,
    /// m and v after the last of them.
    moments: Memory<T, 2>,
    /// The greatest v so far, for AMSGrad.
    greatest: Option<Memory<T, 1>>,
}

impl<T: Real> Default for Adam<T> {
    /// The settings that the paper suggests, and PyTorch's: β₁ = 0.9, β₂ = 0.999, ε = 10⁻⁸, without AMSGrad.
    fn default() -> Self {
        Adam::new(0.9, 0.999, 1e-8)
    }
}

impl<T: Real> Adam<T> {
    /// Adam with coefficients β₁ and β₂ of the moving averages and with ε.
    ///
    /// # Panics
    /// If β₁ or β₂ is not in [0, 1), or ε is not positive and finite: a gradient of zero would then give 0/0.
    #[track_caller]
    pub fn new(beta1: f64, beta2: f64, epsilon: f64) -> Self {
        let (betas, epsilon) = ([coefficient("β₁", beta1), coefficient("β₂", beta2)], offset(epsilon));
        Adam { betas, epsilon, steps: 0, moments: Memory::new(["m", "v"]), greatest: None }
    }

    /// Divides by the greatest v so far: AMSGrad.
    pub fn amsgrad(self) -> Self {
        Adam { greatest: Some(Memory::new(["v_max"])), ..self }
    }

    /// v after one more step.
    fn second(&self, v: &Tensor<T>, g: &Tensor<T>) -> Tensor<T> {
        let [b, c] = shares::<T>(self.betas[1]);
        v.combined(g, move |v, g| b * v + c * (g * g))
    }
}

/// The greater of two arrays, elementwise; NaN where `v` is.
fn greater<T: Real>(greatest: &Tensor<T>, v: &Tensor<T>) -> Tensor<T> {
    greatest.combined(v, |greatest, v| if greatest > v { greatest } else { v })
}

/// βⁿ, by squaring.
fn power(beta: f64, mut n: u64) -> f64 {
    let (mut found, mut square) = (1.0, beta);
    while n > 0 {
        if n % 2 == 1 {
            found *= square;
        }
        square *= square;
        n /= 2;
    }
    found
}

impl<T: Real> Direction<T> for Adam<T> {
    #[track_caller]
    fn propose(&self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        let ([b1, c1], [b2, c2]) = (shares::<T>(self.betas[0]), shares::<T>(self.betas[1]));
        // What takes m to m̂ and v to v̂.
        let [first, second] = self.betas.map(|beta| T::from_f64(1.0 / (1.0 - power(beta, self.steps + 1))));
        let epsilon = T::from_f64(self.epsilon);
        let Some(greatest) = &self.greatest else {
            return self.moments.each(gradient, |[m, v], g| {
                m.combined_with([v, g], move |m, v, g| {
                    let (m, v) = (b1 * m + c1 * g, b2 * v + c2 * (g * g));
                    first * m / ((second * v).sqrt() + epsilon)
                })
            });
        };
        let v = self.moments.each(gradient, |[_, v], g| self.second(v, g));
        let greatest = greatest.each(&v, |[greatest], v| greater(greatest, v));
        let mut greatest = greatest.arrays().iter();
        self.moments.each(gradient, |[m, _], g| {
            let v = greatest.next().expect("as many as gradients");
            m.combined_with([v, g], move |m, v, g| first * (b1 * m + c1 * g) / ((second * v).sqrt() + epsilon))
        })
    }

    #[track_caller]
    fn commit(&mut self, _theta: &Params<Tensor<T>>, gradient: &Params<Tensor<T>>) {
        let [b, c] = shares::<T>(self.betas[0]);
        let v = self.moments.each(gradient, |[_, v], g| self.second(v, g));
        if let Some(greatest) = &mut self.greatest {
            greatest.advance(&v, |[greatest], v| [greater(greatest, v)]);
        }
        let mut v = v.arrays().iter();
        self.moments.advance(gradient, |[m, _], g| {
            let v = v.next().expect("as many as gradients").clone();
            [m.combined(g, move |m, g| b * m + c * g), v]
        });
        self.steps += 1;
    }

    fn momentum(&self) -> f64 {
        self.betas[0]
    }

    fn state(&self) -> State<T> {
        let state = self.moments.save(State::default().with_number("steps", self.steps));
        self.greatest.iter().fold(state, |state, greatest| greatest.save(state))
    }

    fn restore(&mut self, mut state: State<T>, theta: &Params<Tensor<T>>) -> Result<(), StateError> {
        let steps = state.take_number("steps")?;
        let moments = self.moments.taken(&mut state, theta, steps > 0)?;
        let greatest =
            self.greatest.as_ref().map(|greatest| greatest.taken(&mut state, theta, steps > 0)).transpose()?;
        state.end()?;
        (self.steps, self.moments, self.greatest) = (steps, moments, greatest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree<T: Real>(w: [f64; 2], b: f64) -> Params<Tensor<T>> {
        Params::new([("w", Tensor::from_vec(&[2], w.map(T::from_f64).to_vec())), ("b", Tensor::scalar(T::from_f64(b)))])
    }

    /// The directions along three gradients, each proposed twice and then committed.
    fn directions<T: Real>(mut of: Adam<T>) -> [Vec<f64>; 3] {
        let theta = tree([7.0, 7.0], 7.0);
        [tree([2.0, -4.0], 1.0), tree([1.0, 4.0], 0.0), tree([-5.0, 0.0], 0.0)].map(|g| {
            let (omega, again) = (of.propose(&theta, &g), of.propose(&theta, &g));
            assert_eq!(omega.arrays(), again.arrays(), "proposing changes nothing");
            of.commit(&theta, &g);
            omega.arrays().iter().flat_map(|a| a.data().iter().map(|x| x.to_f64())).collect()
        })
    }

    /// With β₁ = 1/2, β₂ = 3/4 and ε = 1: for the first element, g = 2, 1, −5 gives
    ///
    /// | t | m | v | m̂ | v̂ |
    /// |---|---|---|---|---|
    /// | 1 | 1 | 1 | 2 | 4 |
    /// | 2 | 1 | 1 | 4/3 | 16/7 |
    /// | 3 | −2 | 7 | −16/7 | 448/37 |
    ///
    /// for the second, g = −4, 4, 0:
    ///
    /// | t | m | v | m̂ | v̂ |
    /// |---|---|---|---|---|
    /// | 1 | −2 | 4 | −4 | 16 |
    /// | 2 | 1 | 7 | 4/3 | 16 |
    /// | 3 | 1/2 | 21/4 | 4/7 | 336/37 |
    ///
    /// and for the third, g = 1, 0, 0: m = 1/2, 1/4, 1/8 and v = 1/4, 3/16, 9/64.
    fn expected() -> [[f64; 3]; 3] {
        let omega = |m: f64, v: f64| m / (v.sqrt() + 1.0);
        [
            [omega(2.0, 4.0), omega(-4.0, 16.0), omega(1.0, 1.0)],
            [omega(4.0 / 3.0, 16.0 / 7.0), omega(4.0 / 3.0, 16.0), omega(1.0 / 3.0, 3.0 / 7.0)],
            [omega(-16.0 / 7.0, 448.0 / 37.0), omega(4.0 / 7.0, 336.0 / 37.0), omega(1.0 / 7.0, 9.0 / 37.0)],
        ]
    }

    #[track_caller]
    fn assert_directions(found: [Vec<f64>; 3], tolerance: f64) {
        for (found, expected) in found.iter().flatten().zip(expected().iter().flatten()) {
            assert!((found - expected).abs() <= tolerance * expected.abs(), "{found} for {expected}");
        }
    }

    #[test]
    fn three_steps_are_those_of_the_algorithm() {
        assert_directions(directions(Adam::<f64>::new(0.5, 0.75, 1.0)), 1e-15);
        assert_directions(directions(Adam::<f32>::new(0.5, 0.75, 1.0)), 3e-7);
    }

    /// As above, but v is at most 7: for the second element 16, 16, and then 7 / (1 − 27/64) = 448/37.
    #[test]
    fn amsgrad_keeps_the_greatest_second_moment() {
        let [first, second, mut third] = expected();
        let omega = |m: f64, v: f64| m / (v.sqrt() + 1.0);
        third[1] = omega(4.0 / 7.0, 448.0 / 37.0);
        // The third element's v is 1/4 for good.
        let second = [omega(4.0 / 3.0, 16.0 / 7.0), second[1], omega(1.0 / 3.0, 4.0 / 7.0)];
        third[2] = omega(1.0 / 7.0, 16.0 / 37.0);
        let found = directions(Adam::<f64>::new(0.5, 0.75, 1.0).amsgrad());
        for (found, expected) in found.iter().flatten().zip([first, second, third].as_flattened()) {
            assert!((found - expected).abs() <= 1e-15 * expected.abs(), "{found} for {expected}");
        }
    }

    #[test]
    fn powers_are_products() {
        let mut product = 1.0;
        for n in 0..200 {
            assert!((power(0.9, n) - product).abs() <= 1e-14 * product, "{n}");
            product *= 0.9;
        }
        assert_eq!((power(0.0, 0), power(0.0, 3), power(0.999, u64::MAX)), (1.0, 0.0, 0.0));
    }

    #[test]
    fn the_first_step_has_the_size_of_a_sign_and_zero_stays_zero() {
        let g = tree::<f64>([1e-3, -1e5], 0.0);
        let omega = Adam::default().propose(&g, &g);
        let [w, b] = omega.arrays() else { panic!("two parameters") };
        assert!((w.data()[0] - 1.0).abs() < 1.1e-5 && (w.data()[1] + 1.0).abs() < 1e-12, "{w:?}");
        assert_eq!(b.item(), 0.0);
    }

    #[test]
    #[should_panic(expected = "β₂ must be at least 0 and below 1, not -0.1")]
    fn a_negative_coefficient_is_refused() {
        Adam::<f64>::new(0.9, -0.1, 1e-8);
    }

    #[test]
    #[should_panic(expected = "ε must be positive and finite, not 0")]
    fn division_by_zero_is_refused() {
        Adam::<f64>::new(0.9, 0.999, 0.0);
    }

    #[test]
    #[should_panic(expected = "a gradient of shape [3] does not fit a state of shape [2]")]
    fn a_gradient_of_another_shape_is_refused() {
        let mut adam = Adam::default();
        let g = tree::<f64>([1.0, 2.0], 3.0);
        adam.commit(&g, &g);
        adam.commit(&g, &Params::new([("w", Tensor::full(&[3], 1.0)), ("b", Tensor::scalar(1.0))]));
    }
}
