//! An objective at one θ: its value and gradient, and what second-order quantities start from.

use ad_core::{Along, Ground, HessianOperator, Multiple, Ops, Params, Real, Tensor, Work, parallel};

use crate::line::{Line, LineCurvature};
use crate::objective::{Objective, Part, Parts};

/// The work of the quantities at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointWork {
    /// The value.
    pub value: Work,
    /// Value and gradient.
    pub gradient: Work,
    /// A Hessian–vector product on the recorded gradient.
    pub hvp: Work,
    /// The curvature along a line, on the recorded gradient.
    pub curvature: Work,
    /// The third derivative along a line, where it is [told](ad_core::Recording::third_work).
    pub third: Option<Work>,
}

type Operator<'a, T> = HessianOperator<'a, Params<Tensor<T>>>;

/// An objective at one θ: its value and gradient have been found, and lines start from here.
///
/// An objective that comes in [parts](Objective::parts) is evaluated part by part, f = Σ wᵢ fᵢ:
///
/// ```text
///   shards, in parallel      record and reverse each ──▶ g = Σ wᵢ gᵢ ──▶ ω ──▶ d²fᵢ(ω, ω) of each ──▶ den = Σ wᵢ denᵢ
///                                              the barrier: ω needs all of g
///   micro-batches, in turn   the same, but a part's recording is dropped once its gradient is added, and made again for den
/// ```
///
/// Sums are taken in the order of the parts, so results do not depend on the number of threads.
#[allow(missing_debug_implementations, reason = "an objective may be a closure")]
pub struct Point<'a, T: Real> {
    objective: &'a dyn Objective<T>,
    theta: &'a Params<Tensor<T>>,
    value: f64,
    gradient: Params<Tensor<T>>,
    recorded: Recorded<'a, T>,
}

/// What is kept for the second phase.
enum Recorded<'a, T: Real> {
    /// The recording of the whole.
    Whole(Box<Operator<'a, T>>),
    /// The recordings of shards.
    Shards(Vec<Operator<'a, T>>),
    /// The work alone: micro-batches are recorded again.
    Work(Vec<Part<'a, T>>, PointWork),
}

impl<'a, T: Real> Point<'a, T> {
    /// Finds value and gradient of the objective at θ.
    ///
    /// # Panics
    /// If the objective is not a scalar.
    #[track_caller]
    pub fn new(objective: &'a dyn Objective<T>, theta: &'a Params<Tensor<T>>) -> Self {
        let (value, gradient, recorded) = match objective.parts() {
            Parts::Whole => {
                let operator = HessianOperator::new(|p| objective.record(p), theta);
                (value_of(&operator), operator.gradient(), Recorded::Whole(Box::new(operator)))
            }
            Parts::Shards(parts) => {
                let operators = parallel::map_apart(parts, |part| record(&part, theta));
                let (value, gradient) = added(operators.iter().map(first_order).collect());
                (value, gradient, Recorded::Shards(operators))
            }
            Parts::MicroBatches(parts) => {
                let mut work = None;
                let found = parts.iter().map(|part| {
                    let operator = record(part, theta);
                    let own = work_of(&operator, &[]);
                    work = Some(work.map_or(own, |sum| added_work(sum, own)));
                    first_order(&operator)
                });
                let (value, gradient) = found.reduce(|sum, part| added(vec![sum, part])).expect("at least one part");
                (value, gradient, Recorded::Work(parts, work.expect("at least one part")))
            }
        };
        Point { objective, theta, value, gradient, recorded }
    }

    /// The parameters θ.
    pub fn theta(&self) -> &'a Params<Tensor<T>> {
        self.theta
    }

    /// The value f(θ).
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The gradient ∇f(θ).
    pub fn gradient(&self) -> Params<Tensor<T>> {
        self.gradient.clone()
    }

    /// The value at other parameters.
    pub fn value_at(&self, theta: &Params<Tensor<T>>) -> f64 {
        self.objective.value(theta)
    }

    /// d²f(ω, ω) and its Gauss–Newton part. `multiples` may hold, for each parameter, what multiple of gradient and value ω
    /// is.
    ///
    /// # Panics
    /// If ω differs from θ in names or shapes, or `multiples` is neither empty nor as long.
    #[track_caller]
    pub fn curvature(&self, omega: &Params<Tensor<T>>, multiples: &[Option<Multiple>]) -> LineCurvature {
        self.slope_and_curvature(omega, multiples).1
    }

    /// df(θ)·ω as the curvature sweep finds it, and the curvature.
    #[track_caller]
    pub(crate) fn slope_and_curvature(
        &self,
        omega: &Params<Tensor<T>>,
        multiples: &[Option<Multiple>],
    ) -> (f64, LineCurvature) {
        let whole = matches!(self.recorded, Recorded::Whole(_));
        // The gradient of a part is not that of the whole, so what ω is a multiple of is of no use there.
        let along = Along {
            tangents: &omega.arrays().iter().map(Some).collect::<Vec<_>>(),
            multiples: if whole { multiples } else { &[] },
            forms: Default::default(),
        };
        let of = |operator: &Operator<'_, T>| {
            let c = operator.curvature_along(&along);
            (c.slope, LineCurvature { den: c.total, gauss_newton: c.gauss_newton })
        };
        let add = |(slope, a): (f64, LineCurvature), (other, b): (f64, LineCurvature)| {
            let gauss_newton = a.gauss_newton.zip(b.gauss_newton).map(|(a, b)| a + b);
            (slope + other, LineCurvature { den: a.den + b.den, gauss_newton })
        };
        self.summed(of, |found| found.into_iter().reduce(add).expect("at least one part"))
    }

    /// The Hessian–vector product Hv.
    ///
    /// # Panics
    /// If v differs from θ in names or shapes.
    #[track_caller]
    pub fn hvp(&self, v: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        self.summed(|operator| operator.hvp(v), totals)
    }

    /// d³f(θ)(ω, ω, ω), where the objective can tell it; see [`Objective::third`].
    pub fn third(&self, omega: &Params<Tensor<T>>) -> Option<f64> {
        self.objective.third(self.theta, omega)
    }

    /// ωᵢᵀHωⱼ of several directions: each row is one Hessian–vector product, and they share the loads of all that is recorded.
    ///
    /// # Panics
    /// If a direction differs from θ in names or shapes.
    #[track_caller]
    pub fn bilinear(&self, directions: &[Params<Tensor<T>>]) -> Vec<Vec<f64>> {
        let against = |hv: &Params<Tensor<T>>| directions.iter().map(|w| inner(hv, w)).collect::<Vec<_>>();
        let of =
            |operator: &Operator<'_, T>| -> Vec<Vec<f64>> { operator.hvps(directions).iter().map(against).collect() };
        let add = |a: Vec<Vec<f64>>, b: Vec<Vec<f64>>| {
            let rows = a.into_iter().zip(b);
            rows.map(|(a, b)| a.into_iter().zip(b).map(|(a, b)| a + b).collect()).collect()
        };
        self.summed(of, |found| found.into_iter().reduce(add).expect("at least one part"))
    }

    /// What each quantity costs, told before it is computed. `multiples` as for [`curvature`](Point::curvature).
    pub fn work(&self, multiples: &[Option<Multiple>]) -> PointWork {
        match &self.recorded {
            Recorded::Whole(operator) => work_of(operator, multiples),
            Recorded::Shards(operators) => {
                let works = operators.iter().map(|operator| work_of(operator, &[]));
                works.reduce(added_work).expect("at least one part")
            }
            Recorded::Work(_, work) => *work,
        }
    }

    /// How many gradients a second-order quantity costs anew: those of micro-batches, whose recordings are not kept.
    pub(crate) fn gradients_anew(&self) -> u64 {
        matches!(self.recorded, Recorded::Work(..)).into()
    }

    /// What `of` gives for the parts, added up by `total`, which is given that of some parts in their order.
    #[track_caller]
    fn summed<R: Send>(&self, of: impl Fn(&Operator<'_, T>) -> R + Sync, total: impl Fn(Vec<R>) -> R) -> R {
        match &self.recorded {
            Recorded::Whole(operator) => of(operator),
            Recorded::Shards(operators) => total(parallel::map_apart(operators, of)),
            Recorded::Work(parts, _) => {
                let found = parts.iter().map(|part| of(&record(part, self.theta)));
                found.reduce(|sum, part| total(vec![sum, part])).expect("at least one part")
            }
        }
    }

    /// The line from here along −ω.
    ///
    /// # Panics
    /// If ω differs from θ in names or shapes.
    #[track_caller]
    pub fn line<'p>(&'p self, gradient: &Params<Tensor<T>>, omega: &'p Params<Tensor<T>>) -> Line<'p, T> {
        let fits = |a: &Tensor<T>, b: &Tensor<T>| {
            assert!(a.shape() == b.shape(), "line: a gradient of shape {:?} along {:?}", a.shape(), b.shape());
        };
        gradient.zip(omega, fits);
        Line::new(self, gradient.clone(), omega)
    }
}

/// The work of one recording.
fn work_of<T: Real>(operator: &Operator<'_, T>, multiples: &[Option<Multiple>]) -> PointWork {
    let [value, gradient] = operator.gradient_work();
    let (hvp, curvature) = (operator.hvp_work(), operator.curvature_work(multiples));
    PointWork { value, gradient, hvp, curvature, third: operator.third_work() }
}

fn added_work(a: PointWork, b: PointWork) -> PointWork {
    PointWork {
        value: a.value + b.value,
        gradient: a.gradient + b.gradient,
        hvp: a.hvp + b.hvp,
        curvature: a.curvature + b.curvature,
        third: a.third.zip(b.third).map(|(a, b)| a + b),
    }
}

/// a·b over all parameters.
pub(crate) fn inner<T: Real>(a: &Params<Tensor<T>>, b: &Params<Tensor<T>>) -> f64 {
    a.zip(b, Ground::inner).arrays().iter().sum()
}

/// The recording of a part. Its weight is on the tape, so that all that is derived from it is weighted.
fn record<'a, T: Real>(part: &Part<'_, T>, theta: &'a Params<Tensor<T>>) -> Operator<'a, T> {
    HessianOperator::new(|p| part.objective.record(p).scale(part.weight), theta)
}

fn value_of<T: Real>(operator: &Operator<'_, T>) -> f64 {
    operator.value().item().to_f64()
}

fn first_order<T: Real>(operator: &Operator<'_, T>) -> (f64, Params<Tensor<T>>) {
    (value_of(operator), operator.gradient())
}

/// The sums of values and of gradients, in the order of the parts.
fn added<T: Real>(parts: Vec<(f64, Params<Tensor<T>>)>) -> (f64, Params<Tensor<T>>) {
    let (values, gradients): (Vec<f64>, Vec<_>) = parts.into_iter().unzip();
    (values.iter().sum(), totals(gradients))
}

/// The sum of trees, in their order.
fn totals<T: Real>(trees: Vec<Params<Tensor<T>>>) -> Params<Tensor<T>> {
    let arrays: Vec<_> = trees.iter().map(Params::arrays).collect();
    trees[0].with(Tensor::totals(&arrays))
}
