//! Who runs the server: this user, or, since CrateDB refuses root, an unprivileged one.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the kernel itself calls nobody.
const NOBODY: (u32, u32) = (65_534, 65_534);

/// Whoever runs the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    /// User and group; none for the keeper's own.
    other: Option<(u32, u32)>,
}

pub(super) fn find() -> User {
    let root = rustix::process::geteuid().is_root();
    User { other: root.then(|| nobody_in(&fs::read_to_string("/etc/passwd").unwrap_or_default()).unwrap_or(NOBODY)) }
}

fn nobody_in(users: &str) -> Option<(u32, u32)> {
    let fields: Vec<&str> = users.lines().find(|line| line.starts_with("nobody:"))?.split(':').collect();
    let (user, group): (u32, u32) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    (user != 0).then_some((user, group))
}

impl User {
    pub(super) fn is_other(&self) -> bool {
        self.other.is_some()
    }

    /// Makes a command run as this user. The groups of root are left behind, too.
    pub(super) fn applied_to(&self, command: &mut Command) {
        if let Some((user, group)) = self.other {
            command.uid(user).gid(group);
        }
    }

    /// Gives a new file to this user.
    pub(super) fn own(&self, path: &std::path::Path) -> std::io::Result<()> {
        match self.other {
            Some((user, group)) => std::os::unix::fs::lchown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }

    /// For messages, after a verb.
    pub(super) fn as_whom(&self) -> String {
        self.other.map_or(String::new(), |(user, _)| format!(" as user nobody ({user})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_found_in_the_user_database_and_is_never_root() {
        assert_eq!(nobody_in("root:x:0:0::/:/bin/sh\nnobody:x:99:98:n:/:/bin/false\n"), Some((99, 98)));
        assert_eq!(nobody_in("nobody:x:0:0:n:/:/bin/false"), None);
        assert_eq!(nobody_in("nobody"), None);
        assert_eq!(nobody_in(""), None);
    }
}
