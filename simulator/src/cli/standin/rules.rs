//! Host-based authentication: the rules by which the stand-in lets clients in, as CrateDB's `auth.host_based.config`.

use std::collections::BTreeMap;

/// The rules, if they count. The first that fits a client decides.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rules {
    pub(super) enabled: bool,
    rules: BTreeMap<String, Rule>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Rule {
    method: Method,
    user: Option<String>,
    protocol: Option<Protocol>,
    /// Set if it is for encrypted connections only, or for others only.
    encrypted: Option<bool>,
}

/// The way in which a client proves to be a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Method {
    #[default]
    Trust,
    Password,
    Certificate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Postgres,
}

/// A client who wants in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) user: &'a str,
    pub(super) protocol: Protocol,
    pub(super) encrypted: bool,
    /// It offers a password, or may still do so.
    pub(super) has_password: bool,
    pub(super) has_certificate: bool,
}

impl Rules {
    /// The beginning of the names of their settings.
    pub(super) const PREFIX: &str = "auth.host_based.";

    /// Takes a setting whose name goes on with `name`. The error says what is wrong with its value.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        if name == "enabled" {
            self.enabled = value.parse().map_err(|_| "is neither true nor false")?;
            return Ok(());
        }
        let named = name.strip_prefix("config.").and_then(|name| name.rsplit_once('.'));
        let (rule, field) = named.ok_or("is not supported by the embedded engine")?;
        let rule = self.rules.entry(rule.to_owned()).or_default();
        match (field, value) {
            ("method", "trust") => rule.method = Method::Trust,
            ("method", "password") => rule.method = Method::Password,
            ("method", "cert") => rule.method = Method::Certificate,
            ("user", user) => rule.user = Some(user.to_owned()),
            ("protocol", "http") => rule.protocol = Some(Protocol::Http),
            ("protocol", "pg") => rule.protocol = Some(Protocol::Postgres),
            ("ssl", "on" | "true") => rule.encrypted = Some(true),
            ("ssl", "off" | "false") => rule.encrypted = Some(false),
            ("ssl", "optional") => rule.encrypted = None,
            _ => return Err("is not supported by the embedded engine"),
        }
        Ok(())
    }

    /// Returns how a client has to prove who it is; none if no rule fits.
    pub(super) fn method(&self, caller: Caller<'_>) -> Option<Method> {
        if !self.enabled {
            return Some(Method::Trust);
        }
        let fits = |rule: &&Rule| {
            let able = match rule.method {
                Method::Trust => true,
                Method::Password => caller.has_password,
                Method::Certificate => caller.has_certificate,
            };
            able && rule.user.as_ref().is_none_or(|user| user == caller.user)
                && rule.protocol.is_none_or(|protocol| protocol == caller.protocol)
                && rule.encrypted.is_none_or(|encrypted| encrypted == caller.encrypted)
        };
        self.rules.values().find(fits).map(|rule| rule.method)
    }
}

/// Returns CrateDB's words for a client whom no rule fits.
pub(super) fn no_rule(host: std::net::IpAddr, user: &str, protocol: Protocol) -> String {
    let (of, how) = match protocol {
        Protocol::Http => ("auth.host_based.config", ", protocol \"http\""),
        Protocol::Postgres => ("auth.host_based", ""),
    };
    format!("No valid {of} entry found for host \"{host}\", user \"{user}\"{how}. Did you enable TLS in your client?")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(settings: &[(&str, &str)]) -> Rules {
        let mut rules = Rules::default();
        settings.iter().for_each(|(name, value)| rules.set(name, value).unwrap());
        rules
    }

    fn caller(user: &str) -> Caller<'_> {
        Caller { user, protocol: Protocol::Http, encrypted: false, has_password: false, has_certificate: false }
    }

    #[test]
    fn without_rules_that_count_everyone_is_let_in() {
        assert_eq!(Rules::default().method(caller("ada")), Some(Method::Trust));
        let off = rules(&[("enabled", "false"), ("config.0.method", "password")]);
        assert_eq!(off.method(caller("ada")), Some(Method::Trust));
        assert_eq!(rules(&[("enabled", "true")]).method(caller("ada")), None);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = rules(&[
            ("enabled", "true"),
            ("config.1.method", "password"),
            ("config.0.user", "crate"),
            ("config.0.method", "cert"),
            ("config.0.protocol", "pg"),
            ("config.0.ssl", "on"),
        ]);
        let pg = Caller { protocol: Protocol::Postgres, has_password: true, ..caller("crate") };
        let shown = Caller { encrypted: true, has_certificate: true, ..pg };
        assert_eq!(rules.method(shown), Some(Method::Certificate));
        // Without any of what the first rule wants, it is the second.
        for other in [
            Caller { has_certificate: false, ..shown },
            Caller { encrypted: false, ..shown },
            Caller { user: "ada", ..shown },
            Caller { protocol: Protocol::Http, ..shown },
        ] {
            assert_eq!(rules.method(other), Some(Method::Password), "{other:?}");
        }
        assert_eq!(rules.method(caller("crate")), None);
    }

    #[test]
    fn what_the_stand_in_does_not_have_is_refused() {
        for (name, value) in [
            ("config.0.method", "jwt"),
            ("config.0.address", "_local_"),
            ("config.0", "x"),
            ("jwt.iss", "http://localhost"),
            ("config.0.ssl", "maybe"),
        ] {
            assert_eq!(Rules::default().set(name, value), Err("is not supported by the embedded engine"), "{name}");
        }
        assert_eq!(Rules::default().set("enabled", "yes"), Err("is neither true nor false"));
    }
}
