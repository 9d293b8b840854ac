//! `faros-lab`: a whole site on this machine, by hand.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
