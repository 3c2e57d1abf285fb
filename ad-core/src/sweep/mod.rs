//! The sweeps over a [`Recording`](crate::Recording).
//!
//! | sweep | direction | computes | needs |
//! |---|---|---|---|
//! | [`adjoints`](crate::Recording::adjoints) | reverse | ∇f | values |
//! | [`tangents`](crate::Recording::tangents) | forward | ẏ along a direction | values |
//! | [`adjoint_tangents`](crate::Recording::adjoint_tangents) | reverse | Hv | values, adjoints, tangents |
//! | [`curvature`](crate::Recording::curvature) | forward | vᵀHv and its parts | values, adjoints |
//!
//! [`tangents_along`](crate::Recording::tangents_along) and
//! [`adjoint_tangents_along`](crate::Recording::adjoint_tangents_along) sweep several directions at once;
//! [`curvature_along`](crate::Recording::curvature_along) costs less where the direction is known to follow the gradient.

mod adjoint_tangents;
mod adjoints;
mod curvature;
mod linked;
mod tangents;

pub use adjoint_tangents::Hessian;
pub use adjoints::Adjoints;
pub use curvature::{Along, Curvature};
pub use tangents::Tangents;
