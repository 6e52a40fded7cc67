//! `cargo cratedb`: CrateDB Cloud and test sessions from the command line.

mod arguments;
mod commands;
mod context;
mod failure;
mod interrupt;
mod output;
mod progress;
mod terminal;

use crate::arguments::Cli;
use crate::failure::Failure;
use crate::terminal::Terminal;

fn main() {
    let code = match arguments::read(std::env::args_os()) {
        Ok(cli) => run(cli),
        Err(mistake_or_help) => {
            // A closed stdout is not a failure.
            let _ = mistake_or_help.print();
            let code = mistake_or_help.exit_code();
            if code != 0 && arguments::want_json(std::env::args_os()) {
                let text = mistake_or_help.to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
                output::print_json_of(&Failure::usage(text));
            }
            code
        }
    };
    // Not by returning: a thread may still wait for an answer on the terminal, which would keep the process alive.
    std::process::exit(code);
}

fn run(cli: Cli) -> i32 {
    let (terminal, names) = (Terminal::of_process(&cli.global), cli.names());
    match commands::run(cli, &terminal) {
        Ok(code) => i32::from(code),
        Err(failure) => {
            let failure = failure.with_names(&names);
            terminal.complain(&failure.to_string());
            output::print_failure(&failure, &terminal);
            i32::from(failure.code as u8)
        }
    }
}
