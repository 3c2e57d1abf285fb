//! A reference model in the precision of the computation, and the calls that are timed.

use ad_core::{Params, Real, Tensor};
use gen_sched::{Line, Objective, Parted, Parting, Point};
use nn::data::Batch;
use nn::{Context, Direction, Loss, Net, Optimizer};

use super::{Checked, Problem};
use crate::reference::Case;

/// The rate at which approximate GeN probes.
const PROBE: f64 = 1e-2;

/// A gradient, as a tree of parameters.
type Gradient<T> = Params<Tensor<T>>;

/// Parameters and batch, and the direction to compute GeN along.
pub(super) struct Set<T: Real> {
    pub(super) theta: Params<Tensor<T>>,
    batch: Batch<T>,
    direction: Box<dyn Direction<T>>,
}

impl<T: Real> Set<T> {
    fn of(case: &Case, optimizer: Optimizer) -> Self {
        let direction = optimizer.direction(optimizer.usual_decay());
        Set { theta: case.theta.map(Tensor::cast), batch: case.batch.cast(), direction }
    }
}

impl<T: Real> Set<T> {
    /// Bytes of parameters and inputs.
    pub(super) fn bytes(&self) -> usize {
        let numbers: usize = self.theta.arrays().iter().map(Tensor::len).sum();
        (numbers + self.batch.inputs.len()) * size_of::<T>()
    }
}

/// The network and its loss.
pub(super) struct Model<'a, T: Real> {
    net: &'a dyn Net<T>,
    loss: &'a Loss,
    context: Context<'a>,
    probe: Params<Tensor<T>>,
}

impl<'m, T: Real> Model<'m, T> {
    pub(super) fn new(problem: &Problem<'m, T>) -> Self {
        let Problem { net, loss, case, context, .. } = *problem;
        Model { net, loss, context, probe: case.probe_direction().map(Tensor::cast) }
    }

    /// Both sets. The direction of each has taken one step on the other set, so that it differs from the gradient if it
    /// has a state.
    pub(super) fn sets(&self, case: &Case, optimizer: Optimizer) -> [Set<T>; 2] {
        let mut sets = [Set::of(case, optimizer), Set::of(&case.set_b(), optimizer)];
        let [on_a, on_b] = [0, 1].map(|i| (sets[i].theta.clone(), self.grad(&sets[i]).1));
        for (set, (theta, gradient)) in sets.iter_mut().zip([on_b, on_a]) {
            set.direction.commit(&theta, &gradient);
        }
        sets
    }

    pub(super) fn objective<'a>(&'a self, set: &'a Set<T>) -> Parted<'a, T> {
        Parted::new(self.net, self.loss, &set.batch, Parting::Automatic, &set.theta).within(self.context)
    }

    pub(super) fn value(&self, set: &Set<T>) -> f64 {
        self.objective(set).value(&set.theta)
    }

    pub(super) fn grad(&self, set: &Set<T>) -> (f64, Gradient<T>) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        (point.value(), point.gradient())
    }

    pub(super) fn hvp(&self, set: &Set<T>) -> (f64, Gradient<T>, Gradient<T>) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        (point.value(), point.gradient(), self.hvp_again(&point))
    }

    /// Hv where the gradient has been recorded.
    pub(super) fn hvp_again(&self, at: &Point<'_, T>) -> Gradient<T> {
        at.hvp(&self.probe)
    }

    pub(super) fn gen_exact(&self, set: &Set<T>) -> (Checked, Gradient<T>) {
        self.along_direction(set, |line| {
            let (loss, curvature, num) = (line.value(), line.curvature(), line.num());
            // The network's output is marked, so the Gauss–Newton part is known.
            let gn = curvature.gauss_newton.unwrap_or(f64::NAN);
            Checked { loss, num, den: curvature.den, gn }
        })
    }

    pub(super) fn gen_approx(&self, set: &Set<T>) -> ([f64; 3], Gradient<T>) {
        self.along_direction(set, |line| [line.value(), line.at(PROBE), line.at(-PROBE)])
    }

    /// What `ask` finds on the line along the set's direction ω, and ω.
    fn along_direction<R>(&self, set: &Set<T>, ask: impl FnOnce(&mut Line<'_, T>) -> R) -> (R, Gradient<T>) {
        let objective = self.objective(set);
        let point = Point::new(&objective, &set.theta);
        let gradient = point.gradient();
        let omega = set.direction.propose(&set.theta, &gradient);
        let multiples = set.theta.names().iter().map(|name| set.direction.multiple(name)).collect();
        let found = ask(&mut point.line(&gradient, &omega).with_multiples(multiples));
        (found, omega)
    }
}
