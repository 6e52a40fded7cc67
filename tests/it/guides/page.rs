//! The blocks of code on a page of `docs/`.

use std::fs;
use std::path::Path;

/// The blocks of one language, as they stand.
pub(crate) fn blocks(page: &Path, language: &str) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let (mut found, mut inside): (Vec<String>, Option<bool>) = (Vec::new(), None);
    for line in text.lines() {
        match (inside, line.strip_prefix("```")) {
            (None, Some(name)) => {
                inside = Some(name == language);
                found.extend((name == language).then(String::new));
            }
            (Some(_), Some(_)) => inside = None,
            (Some(true), None) => {
                let block = found.last_mut().unwrap();
                block.push_str(line);
                block.push('\n');
            }
            _ => {}
        }
    }
    assert!(inside.is_none(), "{}: a block does not end", page.display());
    assert!(!found.is_empty(), "{} has no block of {language}", page.display());
    found
}
