//! Addresses in settings: what can't be right is refused, and no error shows a part that may be secret.

use url::Url;

use crate::error::{Error, Kind, Result};

/// Parses an http or https address. `name` is the setting that holds it, and `accepted` the hint with its forms.
pub(crate) fn http_url(name: &str, value: &str, accepted: &str) -> Result<Url> {
    if is_cut_short(value) {
        return Err(refuse(
            name,
            "a `/`, `?` or `#` stands before an `@`, so that what was meant as user and password ends too early",
        )
        .hint("percent-encode such signs in user and password: %2F for `/`, %3F for `?`, %23 for `#`, %40 for `@`"));
    }
    let url = Url::parse(value).map_err(|error| refuse(name, &error.to_string()).hint(accepted))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        // What stands before the first colon may be a user name.
        _ if value.contains('@') && !value.contains("://") => {
            Err(refuse(name, "it does not begin with http:// or https://").hint(accepted))
        }
        other => Err(refuse(name, &format!("its scheme is `{other}`")).hint(accepted)),
    }
}

pub(super) const ACCEPTED: &str =
    "accepted: http://host:port or https://host:port, with user:password@ before the host if need be";

/// Parses the address of a cluster, which is that of its HTTP port.
pub(super) fn cluster_url(name: &str, value: &str) -> Result<Url> {
    let url = plain(name, value)?;
    match url.path().trim_end_matches('/').strip_suffix("/_sql") {
        Some(_) => {
            let shown = without_credentials(&url);
            let meant = shown.trim_end_matches('/').trim_end_matches("/_sql");
            Err(refuse(name, "its path is that of SQL requests").hint(format!("leave `/_sql` out: {meant}")))
        }
        None => Ok(url),
    }
}

/// Returns the address of the Cloud API without a slash at its end. Credentials in it are refused, since errors, the
/// log and the journal show the address.
pub(super) fn endpoint(name: &str, value: &str) -> Result<String> {
    let url = plain(name, value)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            refuse(name, "it holds credentials").hint("set CRATEDB_CLOUD_API_KEY and CRATEDB_CLOUD_API_SECRET instead")
        );
    }
    let text = url.as_str().trim_end_matches('/');
    match format!("{text}/").split_once("/api/v2/") {
        Some((root, _)) => Err(refuse(name, "its path is that of a request").hint(format!("leave it out: {root}"))),
        None => Ok(text.to_owned()),
    }
}

/// Parses an address to which paths are added: it ends before a query.
fn plain(name: &str, value: &str) -> Result<Url> {
    let url = http_url(name, value, ACCEPTED)?;
    let extra = match (url.query(), url.fragment()) {
        (Some(_), _) => "`?`",
        (None, Some(_)) => "`#`",
        (None, None) => return Ok(url),
    };
    Err(refuse(name, &format!("it goes on with a {extra}, which has no meaning here"))
        .hint(format!("leave that out; {ACCEPTED}")))
}

fn refuse(name: &str, cause: &str) -> Error {
    Error::new(Kind::Setting, format!("cannot read {name}")).because(cause)
}

/// Reports whether an `@` stands behind the part of an address that ends with the host. A parser takes what stands
/// before the first `/`, `?` or `#` for host and port, and shows it.
fn is_cut_short(value: &str) -> bool {
    let behind = value.split_once(':').map_or(value, |(_, behind)| behind).trim_start_matches(['/', '\\']);
    behind.find(['/', '\\', '?', '#']).is_some_and(|end| behind[end..].contains('@'))
}

/// Returns an address as it may be shown.
pub(super) fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Neither can fail for http addresses, which have a host.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}

/// Decodes percent-encoding, which URLs use for credentials.
pub(crate) fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Decodes a part of the credentials in a setting. What is not UTF-8 could only be sent as something else.
pub(super) fn credential(name: &str, text: &str) -> Result<String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| refuse(name, "user or password is not UTF-8 when percent-decoded"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_has_two_hexadecimal_digits() {
        for (text, decoded) in
            [("a%40b%3A", "a@b:"), ("%c3%A4", "ä"), ("%+f%4", "%+f%4"), ("100%", "100%"), ("ä%zz", "ä%zz")]
        {
            assert_eq!(percent_decoded(text), decoded, "{text}");
            assert_eq!(credential("X", text).unwrap(), decoded, "{text}");
        }
        assert!(credential("X", "%ff").is_err());
    }

    #[test]
    fn a_password_that_ends_the_host_too_early_is_refused_and_not_shown() {
        for address in [
            "http://admin:se/cret@host",
            "http://admin:4200/cret@host:4200",
            "https://admin:cret#x@host",
            "https://admin:cret?x@host:4200/",
            r"http://admin:4200\cret@host",
            "http:admin:4/cret@host",
            "http:/admin:4?cret@host",
            "http://cret/@host",
            "admin:se/cret@host",
            "http://host/cret@",
        ] {
            for read in [
                http_url("X", address, ACCEPTED),
                cluster_url("X", address),
                endpoint("X", address).map(|_| unreachable!()),
            ] {
                let error = read.unwrap_err();
                let text = error.to_string();
                assert!(error.is_setting() && text.contains("cannot read X") && text.contains("%2F"), "{text}");
                assert!(!text.contains("cret") && !text.contains("admin"), "{text}");
            }
        }
    }

    #[test]
    fn what_is_encoded_or_needs_no_encoding_is_taken() {
        for (address, password) in [
            ("http://admin:p%2Fw@host", "p%2Fw"),
            ("http://admin:a@b@host", "a%40b"),
            ("http://admin:a:b$c;d,e!f*g@host:4200", "a:b$c;d,e!f*g"),
        ] {
            let url = cluster_url("X", address).unwrap();
            assert_eq!((url.host_str(), url.username()), (Some("host"), "admin"), "{address}");
            // The parser encodes some signs more.
            assert_eq!(percent_decoded(url.password().unwrap()), percent_decoded(password), "{address}");
        }
    }

    #[test]
    fn what_goes_on_behind_the_host_is_refused_with_what_is_meant() {
        for (address, hint) in [
            ("https://ada:geheim@host:4200/_sql", "leave `/_sql` out: https://host:4200"),
            ("http://host/prefix/_sql/", "leave `/_sql` out: http://host/prefix"),
            ("http://host/?schema=geheim", "goes on with a `?`"),
            ("http://host:4200/#!/geheim", "goes on with a `#`"),
        ] {
            let text = cluster_url("X", address).unwrap_err().to_string();
            assert!(text.contains(hint) && !text.contains("geheim") && !text.contains("ada"), "{text}");
        }
        assert_eq!(cluster_url("X", "http://host/prefix/").unwrap().path(), "/prefix/");
        let text = endpoint("X", "https://console.cratedb.cloud/api/v2/").unwrap_err().to_string();
        assert!(text.ends_with("leave it out: https://console.cratedb.cloud"), "{text}");
        assert!(endpoint("X", "https://host?geheim=1").is_err());
        assert_eq!(endpoint("X", "https://host/prefix/").unwrap(), "https://host/prefix");
    }

    #[test]
    fn what_is_no_address_is_not_shown() {
        for address in
            ["crate://ada:geheim@host:4200", "http://ada:geheim@:99999", "geheim", "geheim:x@host", "://geheim"]
        {
            let text = http_url("X", address, ACCEPTED).unwrap_err().to_string();
            assert!(text.contains("accepted: http://host:port") && !text.contains("geheim"), "{text}");
        }
        assert!(http_url("X", "ftp://host", ACCEPTED).unwrap_err().to_string().contains("`ftp`"));
    }
}
