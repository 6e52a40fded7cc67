//! Lists the migrations of a directory in the order in which they are applied, as the attribute does.

use std::path::{Path, PathBuf};

/// Returns the `.sql` files in the order of their numbers. Files that end in `.down.sql` are left out.
pub(super) fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let shown = directory.display();
    let cannot = |error: std::io::Error| format!("--migrations: cannot list {shown}: {error}");
    let mut numbered: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".sql") && !name.starts_with('.') && !name.ends_with(".down.sql") {
            let number = number(&name).ok_or_else(|| {
                format!("--migrations: the name of {} does not begin with a number and `_`", path.display())
            })?;
            numbered.push((number, path));
        }
    }
    numbered.sort();
    if let Some([(_, one), (_, other)]) = numbered.array_windows().find(|[(one, _), (other, _)]| one == other) {
        return Err(format!("--migrations: {} and {} have the same number", one.display(), other.display()));
    }
    match numbered.is_empty() {
        true => Err(format!("--migrations: there is no migration in {shown}")),
        false => Ok(numbered.into_iter().map(|(_, path)| path).collect()),
    }
}

/// Parses the number of a name such as `0001_tables.sql`.
fn number(name: &str) -> Option<u64> {
    let (number, rest) = name.split_once('_')?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|_| digits && rest != ".sql")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> Result<Vec<String>, String> {
        let dir = tempfile::tempdir().unwrap();
        names.iter().for_each(|name| std::fs::write(dir.path().join(name), "").unwrap());
        let name = |path: PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        files(dir.path()).map(|files| files.into_iter().map(name).collect())
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        let names = ["10_c.sql", "9_b.up.sql", "0001_a.sql", "9_b.down.sql", "README.md", ".11_d.sql"];
        assert_eq!(of(&names).unwrap(), ["0001_a.sql", "9_b.up.sql", "10_c.sql"]);
    }

    #[test]
    fn files_without_an_order_are_refused() {
        for (names, why) in [
            (&["a.sql"] as &[&str], "begin with a number"),
            (&["1_.sql"], "begin with a number"),
            (&["1_a.sql", "01_b.sql"], "the same number"),
            (&["README.md"], "no migration"),
        ] {
            let error = of(names).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(files(Path::new("/nowhere/at/all")).unwrap_err().contains("cannot list"));
    }
}
