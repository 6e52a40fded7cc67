//! `cargo cratedb`: CrateDB Cloud and test sessions from the command line.
mod arguments;
mod commands;
mod failure;
mod interrupt;
mod output;
mod progress;
mod prompt;
mod terminal;
fn main() {}
