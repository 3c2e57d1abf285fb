//! Descent on functions whose minimum is known, for the tests of rules.

use ad_core::{Params, Tensor, Var};
use nn::{Direction, Sgd, moved};

use crate::cost::Cost;
use crate::point::Point;
use crate::rule::{Choice, Joint, Mover, Rule, Step, Taken};

pub(crate) type T = Tensor<f64>;

/// A function of one vector, `x`.
pub(crate) trait Function: Fn(&Params<Var<T>>) -> Var<T> {}

impl<F: Fn(&Params<Var<T>>) -> Var<T>> Function for F {}

/// A step of a descent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The vector before the step.
    pub(crate) x: Vec<f64>,
    /// The function there.
    pub(crate) value: f64,
    /// What the rule chose.
    pub(crate) choice: Choice,
    /// What that cost, the gradient included.
    pub(crate) cost: Cost,
}

/// So many steps of a rule along the gradient, from `start`.
pub(crate) fn descend(rule: impl Rule<f64> + 'static, f: impl Function, start: &[f64], steps: u64) -> Vec<Seen> {
    Descent::new(along_gradient(rule), start).steps(&f, steps)
}

/// So many steps of a rule that owns its direction.
pub(crate) fn descend_jointly(
    rule: impl Joint<f64> + 'static,
    f: impl Function,
    start: &[f64],
    steps: u64,
) -> Vec<Seen> {
    Descent::new(Mover::Joint(Box::new(rule)), start).steps(&f, steps)
}

/// A rule along the gradient.
pub(crate) fn along_gradient(rule: impl Rule<f64> + 'static) -> Mover<f64> {
    Mover::Apart(Box::new(Sgd::new()), Box::new(rule))
}

/// What a rule chooses at one point, along the gradient.
pub(crate) fn choose(rule: &mut dyn Rule<f64>, f: impl Function, x: &[f64], momentum: f64) -> Choice {
    let theta = vector(x);
    let point = Point::new(&f, &theta);
    let gradient = point.gradient();
    let line = point.line(&gradient, &gradient);
    let (gradient, omega) = (&gradient, &gradient);
    rule.choose(&mut Step { index: 0, theta: &theta, gradient, omega, momentum, previous: None, line })
}

fn vector(x: &[f64]) -> Params<T> {
    Params::new([("x", Tensor::from_vec(&[x.len()], x.to_vec()))])
}

/// A descent that can be left and gone on with.
#[derive(Debug)]
pub(crate) struct Descent {
    mover: Mover<f64>,
    theta: Params<T>,
    previous: Option<Taken<f64>>,
    index: u64,
    asks: usize,
}

impl Descent {
    pub(crate) fn new(mover: Mover<f64>, start: &[f64]) -> Self {
        Descent { mover, theta: vector(start), previous: None, index: 0, asks: 1 }
    }

    /// The same descent, in which the rule is asked twice at every step.
    pub(crate) fn asking_twice(self) -> Self {
        Descent { asks: 2, ..self }
    }

    /// The same descent by another mover, which goes on from the state of this one.
    pub(crate) fn resumed(&self, mut mover: Mover<f64>) -> Self {
        mover.direction_mut().restore(self.mover.direction().state(), &self.theta).unwrap();
        mover.rule_mut().restore(self.mover.rule().state(), &self.theta).unwrap();
        let Descent { theta, previous, index, asks, .. } = self;
        Descent { mover, theta: theta.clone(), previous: previous.clone(), index: *index, asks: *asks }
    }

    /// The number of this name in the state of a rule that owns its direction.
    pub(crate) fn number(&self, name: &str) -> f64 {
        f64::from_bits(self.mover.direction().state().numbers[name])
    }

    pub(crate) fn rule_mut(&mut self) -> &mut dyn Rule<f64> {
        self.mover.rule_mut()
    }

    /// So many steps.
    pub(crate) fn steps(&mut self, f: &impl Function, steps: u64) -> Vec<Seen> {
        (0..steps).map(|_| self.step(f)).collect()
    }

    fn step(&mut self, f: &impl Function) -> Seen {
        let Descent { mover, theta, previous, index, asks } = self;
        let point = Point::new(f, theta);
        let gradient = point.gradient();
        let direction = mover.direction();
        let (omega, momentum) = (Direction::propose(direction, theta, &gradient), direction.momentum());
        let (index_now, before) = (*index, previous.as_ref());
        let mut ask = || {
            let line = point.line(&gradient, &omega);
            let (gradient, omega) = (&gradient, &omega);
            let mut step = Step { index: index_now, theta, gradient, omega, momentum, previous: before, line };
            let choice = mover.rule_mut().choose(&mut step);
            (choice, step.line.cost())
        };
        let (choice, cost) = ask();
        for _ in 1..*asks {
            assert_eq!(ask().0, choice, "asked again");
        }
        let (value, alpha) = (point.value(), choice.alpha);
        mover.direction_mut().commit(theta, &gradient);
        mover.rule_mut().taken(alpha);
        let after = moved(theta, alpha, &omega);
        let x = theta.get("x").data().to_vec();
        drop(point);
        self.previous = Some(Taken { alpha, theta: std::mem::replace(&mut self.theta, after), gradient, omega });
        self.index += 1;
        Seen { x, value, choice, cost }
    }
}

/// ½ Σ cᵢ xᵢ²: its minimum is 0, at 0.
pub(crate) fn quadratic(curvatures: &'static [f64]) -> impl Function {
    use ad_core::Ops;
    move |p| {
        let halves = Tensor::from_vec(&[curvatures.len()], curvatures.iter().map(|c| c / 2.0).collect());
        (p.get("x").powi(2) * Var::fixed(halves)).sum_all()
    }
}

/// Σ |xᵢ|: its gradient tells nothing of the distance to its minimum, at 0.
pub(crate) fn distances(p: &Params<Var<T>>) -> Var<T> {
    use ad_core::Ops;
    p.get("x").abs().sum_all()
}
