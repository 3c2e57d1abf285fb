//! The program itself, to be run as a user would.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The program, built as the tests are; built anew if a source has changed.
///
/// # Panics
/// If it cannot be built.
pub fn parabola() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Command::new(BUILT.get_or_init(build))
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "-p", "bench", "--bin", "parabola", "--message-format=json"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo");
    let text = String::from_utf8_lossy(&output.stdout);
    let executable = text
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from));
    executable.unwrap_or_else(|| panic!("the program was not built: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What a failed run printed on standard error, checked to be one line with this exit code and no panic.
///
/// # Panics
/// If it is not.
pub fn one_line_error(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(errors.len(), 1, "one line was expected: {text}");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    errors[0].to_owned()
}
