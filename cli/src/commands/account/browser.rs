//! Opens an address in a browser: the one that BROWSER names, or the system's own.

use std::process::{Command, Stdio};

/// Returns whether a program was started with the address. Whether it shows the page can't be known.
pub(super) fn open(url: &str) -> bool {
    let chosen = std::env::var("BROWSER").unwrap_or_default();
    let commands = match chosen.trim().is_empty() {
        true => vec![system(url)],
        false => from_variable(&chosen, url),
    };
    commands.into_iter().any(|words| start(&words))
}

/// Parses BROWSER, a list of commands. `%s` stands for the address, which otherwise is the last argument.
fn from_variable(value: &str, url: &str) -> Vec<Vec<String>> {
    // Paths on Windows contain colons.
    let separator = if cfg!(windows) { ';' } else { ':' };
    let command = |command: &str| {
        let mut words: Vec<String> =
            command.split_whitespace().filter(|word| *word != "&").map(str::to_owned).collect();
        match words.iter().any(|word| word.contains("%s")) {
            true => words.iter_mut().for_each(|word| *word = word.replace("%s", url)),
            false => words.push(url.to_owned()),
        }
        words
    };
    value.split(separator).filter(|part| !part.trim().is_empty()).map(command).collect()
}

fn system(url: &str) -> Vec<String> {
    let words: &[&str] = if cfg!(target_os = "macos") {
        &["open", url]
    } else if cfg!(windows) {
        &["rundll32", "url.dll,FileProtocolHandler", url]
    } else {
        &["xdg-open", url]
    };
    words.iter().map(|&word| word.to_owned()).collect()
}

fn start(words: &[String]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    // Browsers print messages that are of no use on this terminal.
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_is_a_list_of_commands_with_a_place_for_the_address() {
        let commands = from_variable("first --new %s &: second ::", "http://x/?a=1");
        assert_eq!(commands, [vec!["first", "--new", "http://x/?a=1"], vec!["second", "http://x/?a=1"]]);
    }

    #[test]
    fn a_program_that_is_not_there_took_nothing() {
        assert!(!start(&["/nonexistent/browser".into(), "http://x".into()]));
        assert!(!start(&[]));
    }
}
