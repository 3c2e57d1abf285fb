//! What the tests of this crate share: reference values and functions at every type.

pub mod fixtures;
pub mod nested;
pub mod padded;
pub mod rules;

/// The examples of the README, which must compile and hold.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
