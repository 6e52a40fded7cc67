//! Manners: where colours and spinners belong, what is said beside the result.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::arguments::{Color, Global, Output};
use crate::progress::Progress;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// How this process speaks.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pub(crate) output: Output,
    quiet: bool,
    manners: Manners,
}

/// What follows from the options and from where the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Manners {
    /// Colours on stdout.
    color_out: bool,
    /// Colours on stderr.
    color_err: bool,
    /// A line on stderr that changes, instead of new lines.
    spinner: bool,
}

/// Where the process runs.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    out_is_terminal: bool,
    err_is_terminal: bool,
    no_color: bool,
    dumb: bool,
    ci: bool,
}

impl Place {
    fn here() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
        Self {
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
            ci: set("CI"),
        }
    }

    fn manners(self, color: Color) -> Manners {
        let color_on = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !self.no_color && !self.dumb,
        };
        Manners {
            color_out: color_on(self.out_is_terminal),
            color_err: color_on(self.err_is_terminal),
            spinner: self.err_is_terminal && !self.dumb && !self.ci,
        }
    }
}

impl Terminal {
    pub(crate) fn of_process(global: &Global) -> Self {
        Self { output: global.output, quiet: global.quiet, manners: Place::here().manners(global.color) }
    }

    /// Whether results may be coloured.
    pub(crate) fn colors(&self) -> bool {
        self.manners.color_out
    }

    /// How wide a table may be: as the terminal is; not limited in files and pipes.
    pub(crate) fn width(&self) -> Option<u16> {
        io::stdout().is_terminal().then(|| console::Term::stdout().size_checked()).flatten().map(|(_, columns)| columns)
    }

    /// Something beside the result that is good to know.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(&self.painted(DIM, text));
        }
    }

    /// Something the user has to read or the command can't go on, such as an address to open.
    pub(crate) fn tell(&self, text: &str) {
        self.say(text);
    }

    /// What went wrong.
    pub(crate) fn complain(&self, text: &str) {
        self.say(&format!("{} {text}", self.painted(ERROR, "error:")));
    }

    /// Shows what is being waited for, from now on.
    pub(crate) fn progress(&self) -> Progress {
        match (self.quiet, self.manners.spinner) {
            (true, _) => Progress::silent(),
            (false, true) => Progress::spinner(),
            (false, false) => Progress::lines(),
        }
    }

    fn painted(&self, style: Style, text: &str) -> String {
        match self.manners.color_err {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }

    /// In one write, so that lines of several processes don't mix. A closed stderr is no reason to fail.
    fn say(&self, text: &str) {
        let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Place =
        Place { out_is_terminal: true, err_is_terminal: true, no_color: false, dumb: false, ci: false };

    fn manners(place: Place, color: Color) -> [bool; 3] {
        let Manners { color_out, color_err, spinner } = place.manners(color);
        [color_out, color_err, spinner]
    }

    #[test]
    fn colours_and_spinners_are_for_terminals() {
        assert_eq!(manners(TERMINAL, Color::Auto), [true; 3]);
        assert_eq!(manners(Place::default(), Color::Auto), [false; 3]);
        assert_eq!(manners(Place { out_is_terminal: false, ..TERMINAL }, Color::Auto), [false, true, true]);
    }

    #[test]
    fn no_color_takes_the_colours_and_leaves_the_spinner() {
        let place = Place { no_color: true, ..TERMINAL };
        assert_eq!(manners(place, Color::Auto), [false, false, true]);
        assert_eq!(manners(place, Color::Always), [true; 3]);
        assert_eq!(manners(TERMINAL, Color::Never), [false, false, true]);
    }

    #[test]
    fn a_dumb_terminal_and_ci_get_plain_lines() {
        assert_eq!(manners(Place { dumb: true, ..TERMINAL }, Color::Auto), [false; 3]);
        assert_eq!(manners(Place { ci: true, ..TERMINAL }, Color::Auto), [true, true, false]);
    }
}
