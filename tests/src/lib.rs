//! What the tests of this crate share: reference values, functions at every type, and the program itself.

pub mod fixtures;
pub mod nested;
pub mod program;
