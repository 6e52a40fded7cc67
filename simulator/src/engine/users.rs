//! Users and their privileges.

use super::ast::{Grant, Name};
use super::context::Context;
use super::error::{Result, SqlError, invalid, no_relation, no_schema, refuse, unsupported};
use super::state::{EngineState, Privilege, User, split};

fn missing(kind: &str, user: &str) -> SqlError {
    SqlError::new(4011, "MissingPrivilegeException", format!("Missing '{kind}' privilege for user '{user}'"))
}

fn no_role(name: &str) -> SqlError {
    SqlError::new(40410, "RoleUnknownException", format!("Role '{name}' does not exist"))
}

impl User {
    /// Returns whether one privilege on one object was granted; none if it was neither granted nor denied.
    fn on(&self, kind: Option<&str>, class: &str, ident: Option<&str>) -> Option<bool> {
        let mut matching = self
            .privileges
            .iter()
            .filter(|p| p.class == class && p.ident.as_deref() == ident && kind.is_none_or(|k| p.kind == k))
            .peekable();
        matching.peek()?;
        Some(matching.any(|p| p.granted))
    }

    /// Returns whether a user has a privilege. The innermost grant counts: relation, then schema, then cluster.
    fn may(&self, kind: Option<&str>, schema: Option<&str>, relation: Option<&str>) -> bool {
        let of_relation = relation
            .and_then(|ident| self.on(kind, "TABLE", Some(ident)).or_else(|| self.on(kind, "VIEW", Some(ident))));
        of_relation
            .or_else(|| schema.and_then(|ident| self.on(kind, "SCHEMA", Some(ident))))
            .or_else(|| self.on(kind, "CLUSTER", None))
            .unwrap_or(false)
    }
}

/// Returns the digest of a password.
pub(crate) fn digest(password: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, password.as_bytes()).as_ref().to_vec()
}

pub(crate) fn is_superuser(name: &str) -> bool {
    name == "crate"
}

fn user<'a>(state: &'a EngineState, name: &str) -> Option<&'a User> {
    if is_superuser(name) { None } else { state.users.get(name) }
}

/// Returns whether a user can see a schema or a relation.
pub(crate) fn sees(state: &EngineState, name: &str, schema: &str, relation: Option<&str>) -> bool {
    let ident = relation.map(|r| format!("{schema}.{r}"));
    is_superuser(name)
        || user(state, name).is_some_and(|u| {
            u.may(None, Some(schema), ident.as_deref())
                || (relation.is_none()
                    && u.privileges
                        .iter()
                        .any(|p| p.granted && p.ident.as_deref().is_some_and(|i| i.starts_with(&format!("{schema}.")))))
        })
}

/// Checks that the session's user may do this to the relation. Relations that it can't see don't exist for it.
pub(crate) fn check(context: &Context, kind: &'static str, schema: &str, relation: Option<&str>) -> Result<()> {
    let name = &context.session.user;
    if is_superuser(name) || (relation.is_some() && ["information_schema", "pg_catalog"].contains(&schema)) {
        return Ok(());
    }
    let Some(user) = user(context.state, name) else { return Err(refuse("a user that was dropped")) };
    let ident = relation.map(|r| format!("{schema}.{r}"));
    if user.may(Some(kind), Some(schema), ident.as_deref()) {
        Ok(())
    } else if user.may(None, Some(schema), ident.as_deref()) {
        Err(missing(kind, name))
    } else if user.may(None, Some(schema), None) {
        Err(no_relation(ident.unwrap_or_default()))
    } else {
        Err(no_schema(schema))
    }
}

/// Checks that the session's user may do this to the cluster.
pub(crate) fn check_cluster(context: &Context, kind: &'static str) -> Result<()> {
    let name = &context.session.user;
    if is_superuser(name) || user(context.state, name).is_some_and(|u| u.may(Some(kind), None, None)) {
        return Ok(());
    }
    Err(missing(kind, name))
}

/// Returns schema and name of an existing relation for which the user has the privilege `kind`.
pub(crate) fn resolve(context: &Context, name: &Name, kind: &'static str) -> Result<(String, String)> {
    let (schema, table) = context.state.resolve(&context.session.path, name)?;
    check(context, kind, &schema, Some(&table))?;
    Ok((schema, table))
}

pub(crate) fn create(state: &mut EngineState, name: &str, user: User) -> Result<()> {
    if is_superuser(name) || state.users.contains_key(name) {
        return Err(SqlError::new(4099, "RoleAlreadyExistsException", format!("Role '{name}' already exists")));
    }
    state.users.insert(name.into(), user);
    Ok(())
}

pub(crate) fn drop(state: &mut EngineState, name: &str, if_exists: bool) -> Result<u64> {
    if is_superuser(name) {
        return Err(unsupported("Cannot drop a superuser 'crate'"));
    }
    match state.users.remove(name) {
        Some(_) => Ok(1),
        None if if_exists => Ok(0),
        None => Err(no_role(name)),
    }
}

pub(crate) fn alter<'a>(state: &'a mut EngineState, name: &str) -> Result<&'a mut User> {
    if is_superuser(name) {
        return Err(refuse("altering the superuser"));
    }
    state.users.get_mut(name).ok_or_else(|| no_role(name))
}

/// GRANT, DENY, REVOKE; returns the number of privileges that changed.
pub(crate) fn grant(state: &mut EngineState, grant: &Grant, path: &[String]) -> Result<u64> {
    const KINDS: [&str; 4] = ["DQL", "DML", "DDL", "AL"];
    if grant.users.iter().any(|u| is_superuser(u)) {
        return Err(invalid("Cannot grant roles to crate superuser"));
    }
    if let Some(unknown) = grant.users.iter().find(|u| !state.users.contains_key(*u)) {
        return Err(no_role(unknown));
    }
    let kinds: Vec<&'static str> = if grant.privileges.is_empty() {
        KINDS.into_iter().filter(|k| *k != "AL" || grant.class == "CLUSTER").collect()
    } else {
        let known =
            |p: &String| KINDS.into_iter().find(|k| k.eq_ignore_ascii_case(p)).ok_or_else(|| refuse("granting roles"));
        grant.privileges.iter().map(known).collect::<Result<_>>()?
    };
    let mut idents = vec![];
    for name in &grant.objects {
        idents.push(Some(match (grant.class, split(name)?) {
            ("SCHEMA", (None, schema)) => schema,
            ("SCHEMA", _) => return Err(refuse("this schema name")),
            _ => {
                let (schema, table) = state.resolve(path, name)?;
                format!("{schema}.{table}")
            }
        }));
    }
    if grant.class == "CLUSTER" {
        idents.push(None);
    }
    let mut changed = 0;
    for user in &grant.users {
        let Some(user) = state.users.get_mut(user) else { continue };
        for ident in &idents {
            for kind in &kinds {
                let new = Privilege { kind, class: grant.class, ident: ident.clone(), granted: grant.verb == "GRANT" };
                let old = user
                    .privileges
                    .iter()
                    .position(|p| p.kind == *kind && p.class == new.class && p.ident == new.ident);
                if old.is_some_and(|at| grant.verb != "REVOKE" && user.privileges[at] == new) {
                    continue;
                }
                changed += u64::from(old.is_some() || grant.verb != "REVOKE");
                if let Some(at) = old {
                    user.privileges.remove(at);
                }
                if grant.verb != "REVOKE" {
                    user.privileges.push(new);
                }
            }
        }
    }
    Ok(changed)
}
