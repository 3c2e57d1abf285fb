//! Rules.

pub mod closed_form;
