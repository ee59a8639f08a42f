//! The `forescale` program: parse, start telemetry, dispatch.

use std::process::ExitCode;

fn main() -> ExitCode {
    forescale::cli::main()
}
