//! What the tests of this crate share: reference values, functions at every type, and the program itself.

pub mod fixtures;
pub mod nested;
pub mod program;

/// The examples of the README, which must compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
