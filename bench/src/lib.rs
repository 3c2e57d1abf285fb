//! What the program `parabola` is made of: its commands, the reference models it times, and its reports.

pub mod command;
pub mod measure;
pub mod reference;
pub mod report;
pub mod session;
