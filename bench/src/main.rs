//! The program `parabola`: exit code 0 on success, 1 on failure, 2 on misuse, with one line on standard error.

use std::process::ExitCode;

fn main() -> ExitCode {
    bench::command::main(std::env::args_os())
}
