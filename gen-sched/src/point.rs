//! An objective at one θ: its value and gradient, and what second-order quantities start from.

use ad_core::{Along, Ground, HessianOperator, Multiple, Params, Real, Tensor, Work, parallel};

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
    /// The recordings of shards, with their weights.
    Shards(Vec<(f64, Operator<'a, T>)>),
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
                let operators = parallel::map_apart(parts, |part| (part.weight, record(&part, theta)));
                let (value, gradient) =
                    total(operators.iter().map(|(weight, operator)| first_order(*weight, operator)));
                (value, gradient, Recorded::Shards(operators))
            }
            Parts::MicroBatches(parts) => {
                let mut work = None;
                let (value, gradient) = total(parts.iter().map(|part| {
                    let operator = record(part, theta);
                    let own = work_of(&operator, &[]);
                    work = Some(work.map_or(own, |sum| added_work(sum, own)));
                    first_order(part.weight, &operator)
                }));
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
        let of = |weight: f64, operator: &Operator<'_, T>| {
            let c = operator.curvature_along(&along);
            let gauss_newton = c.gauss_newton.map(|g| weight * g);
            (weight * c.slope, LineCurvature { den: weight * c.total, gauss_newton })
        };
        self.summed(of, |(slope, a), (other, b)| {
            let gauss_newton = a.gauss_newton.zip(b.gauss_newton).map(|(a, b)| a + b);
            (slope + other, LineCurvature { den: a.den + b.den, gauss_newton })
        })
    }

    /// The Hessian–vector product Hv.
    ///
    /// # Panics
    /// If v differs from θ in names or shapes.
    #[track_caller]
    pub fn hvp(&self, v: &Params<Tensor<T>>) -> Params<Tensor<T>> {
        match &self.recorded {
            Recorded::Whole(operator) => operator.hvp(v),
            _ => self.summed(|weight, operator| scaled((weight, operator.hvp(v))), |sum, hv| added(sum, 1.0, &hv)),
        }
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
        let of = |weight: f64, operator: &Operator<'_, T>| -> Vec<Vec<f64>> {
            let rows = operator.hvps(directions);
            rows.iter().map(|hv| against(hv).into_iter().map(|x| weight * x).collect()).collect()
        };
        let add = |a: Vec<Vec<f64>>, b: Vec<Vec<f64>>| {
            let rows = a.into_iter().zip(b);
            rows.map(|(a, b)| a.into_iter().zip(b).map(|(a, b)| a + b).collect()).collect()
        };
        self.summed(of, add)
    }

    /// What each quantity costs, told before it is computed. `multiples` as for [`curvature`](Point::curvature).
    pub fn work(&self, multiples: &[Option<Multiple>]) -> PointWork {
        match &self.recorded {
            Recorded::Whole(operator) => work_of(operator, multiples),
            Recorded::Shards(operators) => {
                let works = operators.iter().map(|(_, operator)| work_of(operator, &[]));
                works.reduce(added_work).expect("at least one part")
            }
            Recorded::Work(_, work) => *work,
        }
    }

    /// How many gradients a second-order quantity costs anew: those of micro-batches, whose recordings are not kept.
    pub(crate) fn gradients_anew(&self) -> u64 {
        matches!(self.recorded, Recorded::Work(..)).into()
    }

    /// The sum of what `of` gives for each part, in their order.
    #[track_caller]
    fn summed<R: Send>(&self, of: impl Fn(f64, &Operator<'_, T>) -> R + Sync, add: impl Fn(R, R) -> R) -> R {
        match &self.recorded {
            Recorded::Whole(operator) => of(1.0, operator),
            Recorded::Shards(operators) => {
                let found = parallel::map_apart(operators, |(weight, operator)| of(*weight, operator));
                found.into_iter().reduce(add).expect("at least one part")
            }
            Recorded::Work(parts, _) => {
                let found = parts.iter().map(|part| of(part.weight, &record(part, self.theta)));
                found.reduce(add).expect("at least one part")
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

fn record<'a, T: Real>(part: &Part<'_, T>, theta: &'a Params<Tensor<T>>) -> Operator<'a, T> {
    HessianOperator::new(|p| part.objective.record(p), theta)
}

fn value_of<T: Real>(operator: &Operator<'_, T>) -> f64 {
    operator.value().item().to_f64()
}

/// One part's weight, value and gradient.
type FirstOrder<T> = (f64, f64, Params<Tensor<T>>);

fn first_order<T: Real>(weight: f64, operator: &Operator<'_, T>) -> FirstOrder<T> {
    (weight, value_of(operator), operator.gradient())
}

/// Value and gradient of the whole, Σ wᵢ fᵢ and Σ wᵢ gᵢ, in the order of the parts.
fn total<T: Real>(mut parts: impl Iterator<Item = FirstOrder<T>>) -> (f64, Params<Tensor<T>>) {
    let (weight, value, gradient) = parts.next().expect("at least one part");
    parts.fold((weight * value, scaled((weight, gradient))), |(sum, total), (weight, value, gradient)| {
        (sum + weight * value, added(total, weight, &gradient))
    })
}

/// w·g.
fn scaled<T: Real>((weight, g): (f64, Params<Tensor<T>>)) -> Params<Tensor<T>> {
    g.map(|g| g.scaled(weight))
}

/// sum + w·g.
fn added<T: Real>(sum: Params<Tensor<T>>, weight: f64, g: &Params<Tensor<T>>) -> Params<Tensor<T>> {
    sum.zip(g, |sum, g| sum.plus_scaled(weight, g))
}
