//! The argument `migrations = "migrations"`, whose files make the tables, and `migrations("migrations", readonly)`.

use std::path::Path;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{LitStr, Token, parenthesized, token};

use super::Options;
use super::syntax::{expect_value, wrong_value};

pub(super) const MIGRATIONS: &str = "`migrations = \"migrations\"`, a directory beside `Cargo.toml` with files such as \
     `0001_tables.sql`; `migrations(\"migrations\", fresh)` for a schema that no other test had, `readonly` for one that \
     tests share";

/// A directory as it was when the attribute was expanded. Its files become part of the test binary.
pub(crate) struct Migrations {
    directory: String,
    /// In the order of their numbers.
    files: Vec<String>,
    /// `fresh` or `readonly`, which is also the name of a function in `private`.
    pub(crate) word: Option<Ident>,
    /// The place where the directory's name is written.
    span: Span,
}

impl Migrations {
    /// Returns a value of `private::Migrations`. Since rustc includes the files, it rebuilds the crate when one
    /// changes.
    pub(crate) fn value(&self, krate: &TokenStream) -> TokenStream {
        let span = Span::mixed_site().located_at(self.span);
        let directory = self.directory.as_str();
        let files = self.files.iter().map(|name| {
            let path = format!("/{directory}/{name}");
            quote_spanned! {span=>
                (#name, ::core::include_str!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #path)))
            }
        });
        let word = self.word.as_ref().map(|word| {
            let name = Ident::new(&word.to_string(), span);
            quote_spanned!(span=> .#name())
        });
        quote_spanned!(span=> #krate::private::Migrations::new(#directory, &[#(#files),*]) #word)
    }
}

impl Options {
    pub(super) fn migrations(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        let (literal, word) = match input.peek(token::Paren) {
            true => in_parentheses(input)?,
            false => {
                expect_value(name, MIGRATIONS, input)?;
                (string(input)?, None)
            }
        };
        let directory = literal.value();
        let read = manifest_dir().and_then(|manifest| files(Path::new(&manifest), &directory));
        let files = read.map_err(|why| syn::Error::new_spanned(&literal, format!("{why}; accepted: {MIGRATIONS}")))?;
        self.migrations = Some(Migrations { directory, files, word, span: literal.span() });
        Ok(())
    }
}

/// Parses `("migrations", readonly)`.
fn in_parentheses(input: ParseStream<'_>) -> syn::Result<(LitStr, Option<Ident>)> {
    let inner;
    parenthesized!(inner in input);
    let literal = string(&inner)?;
    let mut given = None;
    if inner.parse::<Option<Token![,]>>()?.is_some() && !inner.is_empty() {
        let word: Ident = inner.call(Ident::parse_any)?;
        if word != "fresh" && word != "readonly" {
            return Err(alone(
                &inner,
                syn::Error::new_spanned(&word, format!("unknown word `{word}`; accepted: {MIGRATIONS}")),
            ));
        }
        given = Some(word);
        let _ = inner.parse::<Option<Token![,]>>()?;
    }
    match inner.is_empty() {
        true => Ok((literal, given)),
        false => Err(alone(&inner, inner.error(format!("nothing may follow; accepted: {MIGRATIONS}")))),
    }
}

/// Reads the rest, which would be an error of its own.
fn alone(rest: ParseStream<'_>, error: syn::Error) -> syn::Error {
    let _ = rest.parse::<TokenStream>();
    error
}

fn string(input: ParseStream<'_>) -> syn::Result<LitStr> {
    match input.peek(LitStr) {
        true => input.parse(),
        false => Err(wrong_value(input, format!("`migrations` takes a string; accepted: {MIGRATIONS}"))),
    }
}

fn manifest_dir() -> Result<String, String> {
    std::env::var("CARGO_MANIFEST_DIR").map_err(|_| "cargo does not set CARGO_MANIFEST_DIR".to_owned())
}

/// Returns the names of the files that are applied, in their order. Files that are not `.sql` are ignored, and so are
/// those that end in `.down.sql`, which undo what the harness drops anyway.
pub(crate) fn files(manifest: &Path, directory: &str) -> Result<Vec<String>, String> {
    if directory.trim().is_empty() || Path::new(directory).is_absolute() {
        return Err(format!("{directory:?} is not a path relative to the package"));
    }
    let path = manifest.join(directory);
    let entries = std::fs::read_dir(&path).map_err(|error| format!("cannot list `{}`: {error}", path.display()))?;
    let mut numbered: Vec<(u64, String)> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| format!("cannot list `{}`: {error}", path.display()))?;
        let name = entry.file_name();
        let shown = name.to_string_lossy().into_owned();
        if !shown.ends_with(".sql") || shown.starts_with('.') || shown.ends_with(".down.sql") {
            continue;
        }
        is_usable(&entry.path()).map_err(|why| format!("`{shown}` {why}"))?;
        let name = name.into_string().map_err(|_| format!("the name of `{shown}` is not UTF-8"))?;
        numbered.push((number(&name)?, name));
    }
    numbered.sort();
    if let Some([(_, one), (_, other)]) = numbered.array_windows().find(|[(one, _), (other, _)]| one == other) {
        return Err(format!("`{one}` and `{other}` have the same number"));
    }
    match numbered.is_empty() {
        true => Err(format!("there is no migration in `{}`", path.display())),
        false => Ok(numbered.into_iter().map(|(_, name)| name).collect()),
    }
}

/// Checks that rustc can include a file. If it were left out instead, its tables would be missing in silence.
fn is_usable(path: &Path) -> Result<(), &'static str> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(()),
        Ok(metadata) if metadata.is_dir() => Err("is a directory"),
        Ok(_) => Err("is no regular file"),
        Err(_) => Err("can't be read: a link that leads nowhere?"),
    }
}

/// Parses the number of a name such as `0001_tables.sql` or `20240131120000_tables.up.sql`.
fn number(name: &str) -> Result<u64, String> {
    let (number, rest) = name.split_once('_').unwrap_or((name, ""));
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || rest == ".sql" || rest.is_empty() {
        return Err(format!("`{name}` does not begin with a number and `_`, which say when it is applied"));
    }
    number.parse().map_err(|_| format!("the number of `{name}` is too large"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::files;

    /// A package with these files in `m`, removed with the value.
    struct Package(PathBuf);

    impl Package {
        fn of(test: &str, names: &[&str]) -> Self {
            let dir = std::env::temp_dir().join(format!("cratedb-test-macros-{}-{test}", std::process::id()));
            fs::create_dir_all(dir.join("m")).unwrap();
            names.iter().for_each(|name| fs::write(dir.join("m").join(name), "SELECT 1").unwrap());
            Self(dir)
        }

        fn files(&self) -> Result<Vec<String>, String> {
            files(&self.0, "m")
        }
    }

    impl Drop for Package {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let names =
            ["10_c.sql", "9_b.up.sql", "9_b.down.sql", "0001_a.sql", "20240131120000_d.sql", "README.md", ".5_x.sql"];
        let package = Package::of("order", &names);
        assert_eq!(package.files().unwrap(), ["0001_a.sql", "9_b.up.sql", "10_c.sql", "20240131120000_d.sql"]);
    }

    #[test]
    fn what_has_no_order_is_refused() {
        let refused = |test: &str, names: &[&str]| Package::of(test, names).files().unwrap_err();
        for name in ["tables.sql", "V1__tables.sql", "1-tables.sql", "1.sql", "1_.sql", "_1.sql", "1a_b.sql"] {
            assert!(refused("odd", &[name]).contains(&format!("`{name}` does not begin with a number")), "{name}");
        }
        assert!(refused("twice", &["1_a.sql", "0001_b.sql"]).ends_with("have the same number"));
        assert!(refused("long", &["99999999999999999999_a.sql"]).ends_with("is too large"));
        assert!(refused("none", &["1_a.down.sql", "x.txt"]).starts_with("there is no migration in"));
    }

    #[test]
    fn what_has_the_name_of_a_migration_and_is_none_is_refused() {
        let package = Package::of("unusable", &["1_a.sql"]);
        fs::create_dir(package.0.join("m/2_b.down.sql")).unwrap();
        assert_eq!(package.files().unwrap(), ["1_a.sql"]);
        let unusable = package.0.join("m/2_b.sql");
        fs::create_dir(&unusable).unwrap();
        assert_eq!(package.files().unwrap_err(), "`2_b.sql` is a directory");
        fs::remove_dir(&unusable).unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/nowhere/b.sql", &unusable).unwrap();
            assert!(package.files().unwrap_err().starts_with("`2_b.sql` can't be read"));
            fs::remove_file(&unusable).unwrap();
            std::os::unix::fs::symlink("/dev/null", &unusable).unwrap();
            assert_eq!(package.files().unwrap_err(), "`2_b.sql` is no regular file");
        }
    }

    #[test]
    fn the_directory_is_one_of_the_package() {
        for odd in ["", " ", "/etc"] {
            assert!(files(std::path::Path::new("/"), odd).unwrap_err().contains("relative to the package"), "{odd}");
        }
        assert!(files(std::path::Path::new("/nowhere"), "m").unwrap_err().starts_with("cannot list `/nowhere/m`"));
    }
}
