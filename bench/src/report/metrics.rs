//! What a run records of every step.

use gen_sched::StepReport;
use serde::Serialize;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct StepRow {
    /// Number of the step, from 0.
    pub step: u64,
    /// Loss on the mini-batch before the step.
    pub loss: f64,
    /// df(θ)·ω.
    pub num: f64,
    /// d²f(θ)(ω, ω); null where the rule did not ask for it. Approximate GeN's estimate stands in `fitted_den`.
    pub den: Option<f64>,
    /// The Gauss–Newton part of den.
    pub gn: Option<f64>,
    /// num as the rule estimated it from probes; null for a rule that uses the exact one.
    pub fitted_num: Option<f64>,
    /// den as the rule estimated it from probes.
    pub fitted_den: Option<f64>,
    /// The rate taken.
    pub alpha: f64,
    /// Why this rate.
    pub reason: &'static str,
    /// Decrease of the loss on the mini-batch that the rule's parabola predicts.
    pub predicted: Option<f64>,
    /// Decrease of the loss on the mini-batch.
    pub actual: Option<f64>,
    /// Forward passes of the step.
    pub values: u64,
    /// Gradients of the step.
    pub gradients: u64,
    /// Curvature sweeps of the step.
    pub curvatures: u64,
    /// Hessian–vector products of the step.
    pub hvps: u64,
    /// The step's cost in gradients.
    pub cost: f64,
    /// Wall-clock time since the step before, in milliseconds: the one field that differs from run to run.
    pub ms: f64,
}

impl StepRow {
    /// The row of a step that took this long.
    pub fn new(report: &StepReport, ms: f64) -> Self {
        let exact = report.curvature;
        let fitted = report.parabola.filter(|_| exact.is_none());
        StepRow {
            step: report.index,
            loss: report.loss,
            num: report.num,
            den: exact.map(|c| c.den),
            gn: exact.and_then(|c| c.gauss_newton),
            fitted_num: fitted.map(|p| p.num),
            fitted_den: fitted.map(|p| p.den),
            alpha: report.alpha,
            reason: report.reason.name(),
            predicted: report.predicted,
            actual: report.actual,
            values: report.cost.values,
            gradients: report.cost.gradients,
            curvatures: report.cost.curvatures,
            hvps: report.cost.hvps,
            cost: report.cost.in_gradients(),
            ms,
        }
    }
}
