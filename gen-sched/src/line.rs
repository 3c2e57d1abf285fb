//! The loss along a line, g(α) = f(θ − αω), evaluated on demand and counted.

use ad_core::{Ground, HessianOperator, Params, Real, Tensor};
use nn::moved;

use crate::cost::Cost;
use crate::objective::Objective;

/// An objective at one θ: its value and gradient have been recorded, and lines start from here.
#[allow(missing_debug_implementations, reason = "an objective may be a closure")]
pub struct Point<'a, T: Real> {
    objective: &'a dyn Objective<T>,
    theta: &'a Params<Tensor<T>>,
    operator: HessianOperator<'a, Params<Tensor<T>>>,
}

impl<'a, T: Real> Point<'a, T> {
    /// Records the objective at θ and runs the reverse sweep: one gradient.
    ///
    /// # Panics
    /// If the objective is not a scalar.
    #[track_caller]
    pub fn new(objective: &'a dyn Objective<T>, theta: &'a Params<Tensor<T>>) -> Self {
        Point { objective, theta, operator: HessianOperator::new(|p| objective.record(p), theta) }
    }

    /// The value f(θ).
    pub fn value(&self) -> f64 {
        self.operator.value().item().to_f64()
    }

    /// The gradient ∇f(θ).
    pub fn gradient(&self) -> Params<Tensor<T>> {
        self.operator.gradient()
    }

    /// The Hessian at θ, recorded.
    pub fn hessian(&self) -> &HessianOperator<'a, Params<Tensor<T>>> {
        &self.operator
    }

    /// The line from here along −ω.
    ///
    /// # Panics
    /// If ω differs from θ in names or shapes.
    #[track_caller]
    pub fn line<'p>(&'p self, gradient: &Params<Tensor<T>>, omega: &'p Params<Tensor<T>>) -> Line<'p, T> {
        let num = gradient.zip(omega, Ground::inner).arrays().iter().sum();
        Line {
            point: self,
            omega,
            num,
            curvature: None,
            hvp: None,
            probes: Vec::new(),
            cost: Cost { gradients: 1, ..Cost::default() },
        }
    }
}

/// The second derivative of the loss along a line, and the part of it that comes from the loss alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LineCurvature {
    /// den = d²f(ω, ω) = g″(0).
    pub den: f64,
    /// The Gauss–Newton part of den; `None` where the objective marks no output.
    pub gauss_newton: Option<f64>,
}

/// The loss along a line, g(α) = f(θ − αω). Each quantity is computed when first asked for, once, and counted.
#[allow(missing_debug_implementations, reason = "an objective may be a closure")]
pub struct Line<'p, T: Real> {
    point: &'p Point<'p, T>,
    omega: &'p Params<Tensor<T>>,
    num: f64,
    curvature: Option<LineCurvature>,
    hvp: Option<Params<Tensor<T>>>,
    probes: Vec<(f64, f64)>,
    cost: Cost,
}

impl<T: Real> Line<'_, T> {
    /// g(0) = f(θ); known from the gradient.
    pub fn value(&self) -> f64 {
        self.point.value()
    }

    /// g′(0) = −num = −df(θ)·ω; known from the gradient.
    pub fn slope(&self) -> f64 {
        -self.num
    }

    /// num = df(θ)·ω.
    pub fn num(&self) -> f64 {
        self.num
    }

    /// g″(0) = den = d²f(θ)(ω, ω): one curvature sweep.
    pub fn curvature(&mut self) -> LineCurvature {
        *self.curvature.get_or_insert_with(|| {
            self.cost.curvatures += 1;
            let c = self.point.operator.curvature(self.omega);
            LineCurvature { den: c.total, gauss_newton: c.gauss_newton }
        })
    }

    /// g(α): one forward pass; at α = 0 none.
    pub fn at(&mut self, alpha: f64) -> f64 {
        if alpha == 0.0 {
            return self.value();
        }
        if let Some((_, value)) = self.probes.iter().find(|(a, _)| *a == alpha) {
            return *value;
        }
        self.cost.values += 1;
        let value = self.point.objective.value(&moved(self.point.theta, alpha, self.omega));
        self.probes.push((alpha, value));
        value
    }

    /// The Hessian–vector product Hω.
    pub fn hvp(&mut self) -> &Params<Tensor<T>> {
        self.hvp.get_or_insert_with(|| {
            self.cost.hvps += 1;
            self.point.operator.hvp(self.omega)
        })
    }

    /// What den was found to be, if it was asked for.
    pub fn seen_curvature(&self) -> Option<LineCurvature> {
        self.curvature
    }

    /// What has been computed so far, the gradient included.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
