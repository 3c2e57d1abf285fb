//! The program itself, to be run as a user would.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The program, built as the tests are.
pub(crate) fn parabola() -> Command {
    Command::new(env!("CARGO_BIN_EXE_parabola"))
}

/// A file of the reference values.
pub(crate) fn tests_data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

/// What a failed run printed on standard error, checked to be one line with this exit code and no panic.
///
/// # Panics
/// If it is not.
pub(crate) fn one_line_error(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(errors.len(), 1, "one line was expected: {text}");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    errors[0].to_owned()
}
