//! The settings of CrateDB that tests ask for: their text forms, their order of precedence, and their place in a
//! server's command.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::reserved::{name_problem, value_problem};

/// Settings with which a server is started, by name. A value is a text, as in the server's own command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ServerSettings(BTreeMap<String, String>);

impl ServerSettings {
    /// The form that [`parse`](Self::parse) reads.
    pub(crate) const FORM: &str = "`name=value` pairs with commas or line breaks between them; a value that contains a \
         comma stands in quotes, as in `a.b=1, c.d='x,y'`";

    /// Checks settings and collects them. The error says what is wrong with the first that is refused.
    pub(crate) fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, String> {
        let mut settings = Self::default();
        pairs.into_iter().try_for_each(|(name, value)| settings.add(name, value))?;
        Ok(settings)
    }

    /// Reads the text of a variable or of a key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut settings = Self::default();
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if rest.is_empty() {
                return Ok(settings);
            }
            let end = rest.find(['=', ',', '\n']).unwrap_or(rest.len());
            let name = rest[..end].trim_end();
            let Some(after) = rest[end..].strip_prefix('=') else { return Err(format!("`{name}` has no value")) };
            let (value, after) = value(after).map_err(|why| format!("the value of `{name}` {why}"))?;
            settings.add(name, &value)?;
            rest = after;
        }
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), String> {
        if let Some(problem) = name_problem(name) {
            return Err(problem);
        }
        if let Some(problem) = value_problem(value) {
            return Err(format!("`{name}` can't be {value:?}: {problem}"));
        }
        match self.0.insert(name.to_owned(), value.to_owned()) {
            Some(_) => Err(format!("`{name}` is given twice")),
            None => Ok(()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns these settings, completed by those of `farther` that have other names.
    pub(crate) fn over(&self, farther: &Self) -> Self {
        Self(farther.0.iter().chain(&self.0).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// Returns the arguments of the start script for these settings and for the harness's own, which are `name=value`.
    /// Of two for one name the server would take none, so these settings replace the harness's.
    pub(crate) fn arguments(&self, own: Vec<String>) -> Vec<String> {
        let is_kept = |setting: &String| setting.split_once('=').is_none_or(|(name, _)| !self.0.contains_key(name));
        let asked = self.0.iter().map(|(name, value)| format!("{name}={}", for_start_script(value)));
        own.into_iter().filter(is_kept).chain(asked).map(|setting| format!("-C{setting}")).collect()
    }
}

/// Shows the settings in the order of their names, in a form that [`ServerSettings::parse`] reads.
impl fmt::Display for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let plain = !value.contains(',') && !value.starts_with(QUOTES) && value.trim() == value;
            match plain {
                true => write!(f, "{comma}{name}={value}")?,
                false => write!(f, "{comma}{name}='{}'", value.replace('\'', "''"))?,
            }
        }
        Ok(())
    }
}

const QUOTES: [char; 2] = ['"', '\''];

/// Splits a value from what follows it. A quoted one ends at its quote, which is doubled inside it.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let text = text.trim_start_matches([' ', '\t']);
    let Some(quote) = text.chars().next().filter(|first| QUOTES.contains(first)) else {
        let (value, rest) = text.split_at(text.find([',', '\n']).unwrap_or(text.len()));
        return Ok((value.trim_end().to_owned(), rest));
    };
    let (mut value, mut rest) = (String::new(), &text[1..]);
    loop {
        let (part, after) = rest.split_once(quote).ok_or("has no quote at its end")?;
        value.push_str(part);
        let Some(inside) = after.strip_prefix(quote) else {
            let after = after.trim_start_matches([' ', '\t', '\r']);
            let ends = after.is_empty() || after.starts_with([',', '\n']);
            return if ends { Ok((value, after)) } else { Err("goes on after its quote") };
        };
        value.push(quote);
        rest = inside;
    }
}

/// Escapes what `bin/crate` would expand: it puts each setting between double quotes and lets the shell read them once
/// more.
fn for_start_script(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | '"' | '$' | '`') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> ServerSettings {
        ServerSettings::of(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn pairs_stand_between_commas_and_line_breaks() {
        let expected = of(&[("a.b", "1"), ("c", "x y"), ("d.e-f", "-0.5")]);
        for text in ["a.b=1,c=x y,d.e-f=-0.5", "\n a.b = 1 \n\n c=x y,\r\n\td.e-f=-0.5,,\n", "d.e-f=-0.5,c=x y,a.b=1"] {
            assert_eq!(ServerSettings::parse(text), Ok(expected.clone()), "{text:?}");
        }
        assert_eq!(ServerSettings::parse(" ,\n"), Ok(ServerSettings::default()));
    }

    #[test]
    fn quotes_keep_commas_and_blanks_and_are_doubled_inside() {
        for (text, value) in [
            ("a='x,y'", "x,y"),
            ("a=\" x\" ", " x"),
            ("a='it''s', ", "it's"),
            ("a=\"'\"\"\"", "'\""),
            ("a=x'y\"", "x'y\""),
            ("a=b=c", "b=c"),
            ("a='1'\r\n", "1"),
        ] {
            assert_eq!(ServerSettings::parse(text), Ok(of(&[("a", value)])), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, problem) in [
            ("a.b", "`a.b` has no value"),
            ("a=1,b\nc=2", "`b` has no value"),
            ("a=", "`a` can't be \"\": CrateDB does not accept an empty value"),
            ("a=' '", "`a` can't be \" \": CrateDB does not accept an empty value"),
            ("a='x\ty'", "`a` can't be \"x\\ty\": the value contains a control character, such as a line break"),
            ("a='x", "the value of `a` has no quote at its end"),
            ("a='x'y", "the value of `a` goes on after its quote"),
            ("a=1,b=2,a=1", "`a` is given twice"),
            ("=1", "\"\" is not the name of a setting; accepted: names such as stats.jobs_log_size"),
            ("a b=1", "\"a b\" is not the name of a setting; accepted: names such as stats.jobs_log_size"),
            ("http.port=4200", "`http.port` can't be set: the harness takes free ports"),
        ] {
            assert_eq!(ServerSettings::parse(text), Err(problem.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_name_is_a_dotted_word_that_the_harness_does_not_need() {
        for name in ["a", "stats.jobs_log_size", "http.cors.allow-origin", "node.attr.zone", "http.ports", "path.repo"]
        {
            assert_eq!(name_problem(name), None, "{name}");
        }
        for name in ["", ".", "a.", ".a", "a..b", "a b", "a=b", "ä", "a\n", "'a'"] {
            assert!(name_problem(name).unwrap().contains("is not the name of a setting"), "{name}");
        }
        for (name, why) in [
            ("transport.tcp.port", "free ports"),
            ("http.publish_port", "addresses"),
            ("discovery.seed_hosts", "`nodes`"),
            ("gateway.expected_data_nodes", "`nodes`"),
            ("path.data", "directories"),
            ("auth.host_based.enabled", "`auth = \"password\"`"),
            ("ssl.keystore_password", "`tls`"),
        ] {
            let problem = name_problem(name).unwrap();
            assert!(problem.starts_with(&format!("`{name}` can't be set: ")) && problem.contains(why), "{problem}");
        }
    }

    /// No more than a third of these values is plain.
    #[test]
    fn what_is_shown_is_read_again_as_the_same() {
        let mut random = fastrand::Rng::with_seed(7);
        let signs = ['a', '1', ',', '\'', '"', ' ', '=', '|', '%', '\\', '$'];
        for _ in 0..2_000 {
            let mut value = || -> String { (0..random.usize(1..6)).map(|_| *random.choice(&signs).unwrap()).collect() };
            let (one, other) = (value(), value());
            let Ok(settings) = ServerSettings::of([("b.c", one.as_str()), ("a", other.as_str())]) else { continue };
            assert_eq!(ServerSettings::parse(&settings.to_string()), Ok(settings), "{one:?}, {other:?}");
        }
    }

    #[test]
    fn nearer_settings_win_by_name() {
        let (near, far) = (of(&[("a", "1"), ("b", "2")]), of(&[("b", "3"), ("c", "4")]));
        assert_eq!(near.over(&far), of(&[("a", "1"), ("b", "2"), ("c", "4")]));
        assert_eq!(near.over(&ServerSettings::default()), near);
    }

    #[test]
    fn a_command_names_each_setting_once_and_the_shell_changes_none() {
        let settings = of(&[("udc.enabled", "true"), ("stats.jobs_log_filter", "stmt != \"a\" AND stmt !~ '\\d$`'")]);
        let arguments = settings.arguments(vec!["udc.enabled=false".to_owned(), "http.port=0".to_owned()]);
        let filter = r#"-Cstats.jobs_log_filter=stmt != \"a\" AND stmt !~ '\\d\$\`'"#;
        assert_eq!(arguments, ["-Chttp.port=0", filter, "-Cudc.enabled=true"]);
    }
}
