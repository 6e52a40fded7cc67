//! The terminal: colours, spinners, notes beside the result, and questions.

use std::io::{self, BufRead, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use console::Term;
use cratedb_test::private::foreign;

use crate::arguments::{Color, Global, Output};
use crate::failure::Failure;
use crate::progress::Progress;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// The way in which this process writes to its streams.
#[derive(Clone, Debug)]
pub(crate) struct Terminal {
    pub(crate) output: Output,
    quiet: bool,
    looks: Looks,
}

/// The looks of the output, by the options and by the place where the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looks {
    /// Colours on stdout.
    color_out: bool,
    /// Colours on stderr.
    color_err: bool,
    /// One line on stderr that changes, instead of new lines.
    spinner: bool,
}

/// The place where the process runs.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    out_is_terminal: bool,
    err_is_terminal: bool,
    /// The terminal understands escape sequences.
    escapes: bool,
    no_color: bool,
    dumb: bool,
    ci: bool,
}

impl Place {
    fn here() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty() && value != "false");
        // A Windows console has to be asked to understand them. Asking for its features does so.
        let escapes = |term: Term| !cfg!(windows) || !term.is_term() || term.features().colors_supported();
        Self {
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            escapes: escapes(Term::stdout()) && escapes(Term::stderr()),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            dumb: std::env::var_os("TERM").is_some_and(|term| term == "dumb"),
            ci: set("CI"),
        }
    }

    fn looks(self, color: Color) -> Looks {
        let color_on = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && self.escapes && !self.no_color && !self.dumb,
        };
        Looks {
            color_out: color_on(self.out_is_terminal),
            color_err: color_on(self.err_is_terminal),
            spinner: self.err_is_terminal && !self.dumb && !self.ci,
        }
    }
}

impl Terminal {
    pub(crate) fn of_process(global: &Global) -> Self {
        Self { output: global.output, quiet: global.quiet, looks: Place::here().looks(global.color) }
    }

    /// Returns whether results may be coloured.
    pub(crate) fn colors(&self) -> bool {
        self.looks.color_out
    }

    /// Returns the width of a table: that of the terminal, and no limit in files and pipes.
    pub(crate) fn width(&self) -> Option<u16> {
        io::stdout().is_terminal().then(|| Term::stdout().size_checked()).flatten().map(|(_, columns)| columns)
    }

    /// Writes something beside the result that is good to know.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.write(&self.painted(DIM, &foreign::block(text)));
        }
    }

    /// Writes a note while another program, which may show a line of progress, has the terminal. That program draws its
    /// line again.
    #[cfg(all(unix, feature = "sessions"))]
    pub(crate) fn break_in(&self, text: &str) {
        /// To the beginning of the line, whose rest is erased.
        const ERASED: &str = "\r\x1b[K";
        if !self.quiet {
            let erased = if self.looks.spinner { ERASED } else { "" };
            self.write(&format!("{erased}{}", self.painted(DIM, &foreign::block(text))));
        }
    }

    /// Leaves the line on which a program that was interrupted has left the cursor.
    #[cfg(all(unix, feature = "sessions"))]
    pub(crate) fn leave_line(&self) {
        if self.looks.spinner {
            self.write("");
        }
    }

    /// Writes an error.
    pub(crate) fn complain(&self, text: &str) {
        self.write(&format!("{} {}", self.painted(ERROR, "error:"), foreign::block(text)));
    }

    /// Writes something without which the user can't continue, such as an address to open.
    pub(crate) fn tell(&self, text: &str) {
        self.write(&foreign::block(text));
    }

    /// Writes a text that is fit to show. It is one write, so that the lines of several processes don't mix. A closed
    /// stderr is not a failure.
    fn write(&self, text: &str) {
        let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
    }

    /// Returns whether a person sees the results, and not a program or a file.
    pub(crate) fn is_seen(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Makes the display of progress.
    pub(crate) fn progress(&self) -> Progress {
        match (self.quiet, self.looks.spinner) {
            (true, _) => Progress::silent(),
            (false, true) => Progress::spinner(),
            (false, false) => Progress::lines(),
        }
    }

    fn painted(&self, style: Style, text: &str) -> String {
        match self.looks.color_err {
            true => format!("{style}{text}{style:#}"),
            false => text.to_owned(),
        }
    }
}

/// Returns whether a user can be asked.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question. Any answer but `y` and `yes` is no.
pub(crate) async fn confirmed(question: String) -> Result<bool, Failure> {
    // On a thread of its own: reading can't be interrupted, waiting for it can.
    let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
    let answer = answer.map_err(io::Error::other).and_then(|read| read);
    answer.map_err(|error| Failure::failed(format!("cannot read the answer: {error}")))
}

fn ask(question: &str) -> io::Result<bool> {
    io::stderr().write_all(format!("{} [y/N] ", foreign::block(question)).as_bytes())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Place =
        Place { out_is_terminal: true, err_is_terminal: true, escapes: true, no_color: false, dumb: false, ci: false };

    fn looks(place: Place, color: Color) -> [bool; 3] {
        let Looks { color_out, color_err, spinner } = place.looks(color);
        [color_out, color_err, spinner]
    }

    #[test]
    fn colours_and_spinners_are_for_terminals() {
        assert_eq!(looks(TERMINAL, Color::Auto), [true; 3]);
        assert_eq!(looks(Place::default(), Color::Auto), [false; 3]);
        assert_eq!(looks(Place { out_is_terminal: false, ..TERMINAL }, Color::Auto), [false, true, true]);
    }

    #[test]
    fn no_color_takes_the_colours_and_leaves_the_spinner() {
        let place = Place { no_color: true, ..TERMINAL };
        assert_eq!(looks(place, Color::Auto), [false, false, true]);
        assert_eq!(looks(place, Color::Always), [true; 3]);
        assert_eq!(looks(TERMINAL, Color::Never), [false, false, true]);
    }

    #[test]
    fn a_dumb_terminal_and_ci_get_plain_lines() {
        assert_eq!(looks(Place { dumb: true, ..TERMINAL }, Color::Auto), [false; 3]);
        assert_eq!(looks(Place { escapes: false, ..TERMINAL }, Color::Auto), [false, false, true]);
        assert_eq!(looks(Place { ci: true, ..TERMINAL }, Color::Auto), [true, true, false]);
    }

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", "YES\r\n", " yes "] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n", "ja", "yess", "y y"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
