//! Step-size rules of other authors, to compare generalized Newton with.
//!
//! | rule | rate | beside the gradient |
//! |---|---|---|
//! | [`Polyak`] | (f − f*) / (c num), capped | nothing |
//! | [`AliG`] | f / (num + ε), capped | nothing |
//! | [`Momo`] | (h − f*) / ‖m‖², capped, where h models the loss along the averaged gradient m, its direction | nothing |
//! | [`L4`] | a share of (f − γ least f) / (ĝ·ω) | nothing |
//! | [`Armijo`] | backtracks until the loss falls enough | 1 forward pass or more |
//! | [`Salsa`] | backtracks until the averaged loss falls enough | 1 forward pass or so, not always |
//! | [`QlabGrad`] | minimiser of a parabola from slope and one probe | 1 forward pass |
//! | [`Pal`] | the same, with a probe and steps of given lengths | 1 forward pass |
//! | [`Cdat`] | σ num / \|den\|, both averaged | a curvature sweep |
//! | [`HessianAware`] | from num, den and Hω, then backtracks | an HVP or curvature sweep, 1 forward pass or more |
//! | [`BarzilaiBorwein`] | from the last changes of parameters and gradient | nothing |
//! | [`AdGd`] | the same, bounded by the last rates | nothing |
//! | [`Hypergradient`] | grows while gradients agree | nothing |
//! | [`Dog`] | greatest distance from the start over √Σ‖ω‖² | nothing |
//! | [`DAdaptedSgd`], [`DAdaptedAdam`], [`Prodigy`] | an estimate of the distance to the minimum; they own their directions | nothing |
//!
//! Each follows its formula along any direction ω. Where authors write ‖g‖² for minus the slope of the loss along −g, it is num =
//! g·ω here, which is ‖g‖² where ω = g. What the [wrappers](crate::wrap) do is left to them, unless it is part of a rule's formula.
//!
//! What a rule remembers changes only where a step is [taken](crate::Rule::taken). A rule that makes its rate of the last one takes the
//! one it chose, not what wrappers made of it: one that scales rates would else scale them again at every step.
//!
//! ```
//! use gen_sched::rivals::{Momo, Polyak};
//! use gen_sched::{Joint, Policy, Rule};
//! // Along any direction, as they are or under a policy.
//! let rule: Box<dyn Rule<f32>> = Box::new(Polyak::default());
//! let rule: Box<dyn Rule<f32>> = Policy { lr_max: 10.0, ..Policy::none() }.around(Polyak::default());
//! // Along its own direction.
//! let rule: Box<dyn Joint<f32>> = Box::new(Momo::default());
//! ```

mod ad_gd;
mod ali_g;
mod armijo;
mod barzilai_borwein;
mod cdat;
mod d_adaptation;
mod dog;
mod hessian_aware;
mod hypergradient;
mod l4;
mod momo;
mod numbers;
mod pal;
mod polyak;
mod prodigy;
mod qlabgrad;
mod salsa;
mod search;
#[cfg(test)]
mod tests;
mod trees;

use ad_core::{Params, Real, Tensor};
use nn::moved;

use crate::line::Line;
use crate::point::inner;
use crate::rule::{Choice, Parabola, Reason};

use numbers::{Numbers, remembers};

pub use ad_gd::AdGd;
pub use ali_g::AliG;
pub use armijo::Armijo;
pub use barzilai_borwein::{BarzilaiBorwein, Secant};
pub use cdat::Cdat;
pub use d_adaptation::{DAdaptedAdam, DAdaptedSgd};
pub use dog::Dog;
pub use hessian_aware::{HessianAware, Scaling};
pub use hypergradient::{Ascent, Hypergradient};
pub use l4::L4;
pub use momo::Momo;
pub use pal::Pal;
pub use polyak::{Cap, Polyak};
pub use prodigy::Prodigy;
pub use qlabgrad::QlabGrad;
pub use salsa::Salsa;

/// num = g·ω where −ω leads downhill, or why there is no going.
fn descent<T: Real>(line: &Line<'_, T>) -> Result<f64, Reason> {
    match line.num() {
        num if !num.is_finite() => Err(Reason::NonFinite),
        num if num > 0.0 => Ok(num),
        _ => Err(Reason::NoDescent),
    }
}

/// What a formula came to, where that is a rate.
fn by_formula(alpha: f64) -> Result<Choice, Reason> {
    match alpha {
        _ if alpha.is_finite() && alpha >= 0.0 => Ok(Choice::new(alpha, Reason::Formula)),
        _ if alpha == f64::INFINITY => Err(Reason::Linear),
        _ if alpha < 0.0 => Err(Reason::NoDescent),
        _ => Err(Reason::NonFinite),
    }
}

/// The rate of a formula that a cap of the rule's own holds down.
fn capped(choice: Choice, cap: f64) -> Choice {
    match choice.alpha > cap {
        true => Choice { alpha: cap, reason: Reason::Clamped, ..choice },
        false => choice,
    }
}

/// ‖a − b‖.
fn distance<T: Real>(a: &Params<Tensor<T>>, b: &Params<Tensor<T>>) -> f64 {
    let difference = moved(a, 1.0, b);
    inner(&difference, &difference).sqrt()
}

/// The parabola that touches g at 0, where its slope is −num, and meets it at h; a bend of at most `noise` counts as none.
fn touching(num: f64, [here, ahead]: [f64; 2], h: f64, noise: f64) -> Parabola {
    let bend = ahead - here + h * num;
    Parabola { num, den: if bend.abs() <= noise { 0.0 } else { 2.0 * bend / (h * h) } }
}

/// Checks that a setting is positive and finite.
#[track_caller]
fn positive(what: &str, x: f64) -> f64 {
    assert!(x.is_finite() && x > 0.0, "{what} must be positive and finite, not {x}");
    x
}

/// Checks that a setting is within (0, 1).
#[track_caller]
fn fraction(what: &str, x: f64) -> f64 {
    assert!(x > 0.0 && x < 1.0, "{what} must be within (0, 1), not {x}");
    x
}

/// Checks the coefficient of a moving average.
#[track_caller]
fn coefficient(what: &str, x: f64) -> f64 {
    assert!((0.0..1.0).contains(&x), "{what} must be within [0, 1), not {x}");
    x
}

/// Checks that a setting is at least 1; it may be infinite.
#[track_caller]
fn at_least_one(what: &str, x: f64) -> f64 {
    assert!(x >= 1.0, "{what} must be at least 1, not {x}");
    x
}

/// The factor of one step that makes up this growth over so many.
#[track_caller]
fn per_step(growth: f64, steps: u64) -> f64 {
    assert!(growth >= 1.0 && growth.is_finite(), "the growth must be at least 1 and finite, not {growth}");
    assert!(steps > 0, "a growth takes 1 or more steps, not 0");
    growth.powf(1.0 / steps as f64)
}
