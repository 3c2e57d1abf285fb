//! Generalized Newton (GeN) step-size rules.

pub mod closed_form;
mod coefficients;
mod cost;
mod evaluation;
mod line;
mod objective;
mod rule;
mod stepper;
mod trainer;

pub use coefficients::{first_order_coefficients, second_order_coefficients};
pub use cost::Cost;
pub use evaluation::{Evaluation, evaluate};
pub use line::{Line, LineCurvature, Point};
pub use objective::{Objective, Supervised};
pub use rule::{ApproximateGen, Choice, Constant, DEFAULT_RATE, ExactGen, Parabola, Policy, Reason, Rule, Step, Taken};
pub use stepper::{StepReport, Stepper};
pub use trainer::{EpochReport, Observer, Summary, Trainer};
