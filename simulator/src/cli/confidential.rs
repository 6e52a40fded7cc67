//! Options that may hold a password, which clap would show when it can't read one.

use std::ffi::OsStr;
use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, Error};

const HIDDEN: &str = "***";
const PASSWORD: &str = "password=";

/// Reads an option as clap does, with passwords hidden in errors.
pub(super) struct Confidential<T>(PhantomData<fn() -> T>);

impl<T> Confidential<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Confidential<T> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<T: FromStr<Err: Display> + Clone + Send + Sync + 'static> TypedValueParser for Confidential<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<T, Error> {
        let text = value.to_string_lossy();
        text.parse().map_err(|why: T::Err| {
            let argument = argument.map(ToString::to_string).unwrap_or_default();
            let told = format!("invalid value '{}' for '{argument}': {why}\n", shown(&text));
            Error::raw(ErrorKind::ValueValidation, told).with_cmd(command)
        })
    }
}

/// Returns the text without the account of an address and without passwords.
fn shown(text: &str) -> String {
    if let Some((scheme, rest)) = text.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        return format!("{scheme}://{HIDDEN}@{host}");
    }
    let part = |part: &str| match part.strip_prefix(PASSWORD) {
        Some(_) => format!("{PASSWORD}{HIDDEN}"),
        None => part.to_owned(),
    };
    text.split(',').map(part).collect::<Vec<_>>().join(",")
}
