//! Derivatives in every way there is: primitives, compositions of types, losses and layers, forms of the curvature.

mod forms;
mod gauss_newton;
mod layers;
mod losses;
mod negative_control;
mod nesting;
mod overrides;
mod own_primitive;
mod primitives;
mod several;
mod shapes;
mod single_precision;
