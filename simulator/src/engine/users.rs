//! Users, roles and their privileges.

use super::ast::{Grant, Name};
use super::context::Context;
use super::error::{Result, SqlError, invalid, no_relation, no_schema, refuse, unsupported};
use super::state::{EngineState, GrantedRole, Privilege, Relation, User, split};
use std::collections::BTreeSet;

const KINDS: [&str; 4] = ["DQL", "DML", "DDL", "AL"];

fn missing(kind: &str, user: &str) -> SqlError {
    SqlError::new(4011, "MissingPrivilegeException", format!("Missing '{kind}' privilege for user '{user}'"))
}

pub(crate) fn no_role(name: &str) -> SqlError {
    SqlError::new(40410, "RoleUnknownException", format!("Role '{name}' does not exist"))
}

/// The object of a privilege.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Securable<'a> {
    Cluster,
    Schema(&'a str),
    Table(&'a str, &'a str),
    View(&'a str, &'a str),
}

impl<'a> Securable<'a> {
    fn class(self) -> &'static str {
        match self {
            Securable::Cluster => "CLUSTER",
            Securable::Schema(_) => "SCHEMA",
            Securable::Table(..) => "TABLE",
            Securable::View(..) => "VIEW",
        }
    }

    fn ident(self) -> Option<String> {
        match self {
            Securable::Cluster => None,
            Securable::Schema(schema) => Some(schema.to_owned()),
            Securable::Table(schema, name) | Securable::View(schema, name) => Some(format!("{schema}.{name}")),
        }
    }

    /// Returns what it is part of.
    fn around(self) -> Option<Securable<'a>> {
        match self {
            Securable::Cluster => None,
            Securable::Schema(_) => Some(Securable::Cluster),
            Securable::Table(schema, _) | Securable::View(schema, _) => Some(Securable::Schema(schema)),
        }
    }
}

impl User {
    /// Returns whether a privilege was granted or denied on exactly this; none if it was neither. Without a kind, any
    /// denial counts before any grant.
    fn exactly(&self, kind: Option<&str>, on: Securable<'_>) -> Option<bool> {
        let ident = on.ident();
        let of_it =
            |p: &&Privilege| p.class == on.class() && p.ident == ident && kind.is_none_or(|kind| p.kind == kind);
        self.privileges.iter().filter(of_it).map(|p| p.granted).min()
    }

    /// Returns the same for the innermost of object, schema and cluster on which there is one.
    fn on(&self, kind: Option<&str>, on: Securable<'_>) -> Option<bool> {
        self.exactly(kind, on).or_else(|| self.on(kind, on.around()?))
    }
}

/// Returns the digest of a password.
pub(crate) fn digest(password: &str) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, password.as_bytes()).as_ref().to_vec()
}

pub(crate) fn is_superuser(name: &str) -> bool {
    name == "crate"
}

/// Returns whether this is the name of a user, who can log in, and not of a role.
pub(crate) fn is_user(state: &EngineState, name: &str) -> bool {
    is_superuser(name) || state.users.get(name).is_some_and(|user| !user.is_role)
}

/// Returns whether a user or one of its roles has a privilege (of any kind if none is given). What the user has itself
/// counts before its roles, and a denial of one role before the grants of others.
fn policy(state: &EngineState, name: &str, kind: Option<&str>, on: Securable<'_>) -> Option<bool> {
    if is_superuser(name) {
        return Some(true);
    }
    let user = state.users.get(name)?;
    user.on(kind, on).or_else(|| user.roles.iter().filter_map(|granted| policy(state, &granted.role, kind, on)).min())
}

fn has(state: &EngineState, name: &str, kind: &str, on: Securable<'_>) -> bool {
    policy(state, name, Some(kind), on) == Some(true)
}

fn has_any(state: &EngineState, name: &str, on: Securable<'_>) -> bool {
    policy(state, name, None, on) == Some(true)
}

/// Returns whether a user can see a relation.
pub(crate) fn sees(state: &EngineState, name: &str, schema: &str, relation: &str) -> bool {
    has_any(state, name, Securable::Table(schema, relation)) || has_any(state, name, Securable::View(schema, relation))
}

/// Returns whether a user can see a table; for most system tables, views don't count.
pub(crate) fn sees_table(state: &EngineState, name: &str, schema: &str, table: &str) -> bool {
    has_any(state, name, Securable::Table(schema, table))
}

/// Returns whether a user can see a schema.
pub(crate) fn sees_schema(state: &EngineState, name: &str, schema: &str) -> bool {
    has_any(state, name, Securable::Schema(schema))
}

fn securable<'a>(state: &EngineState, schema: &'a str, relation: &'a str) -> Securable<'a> {
    match state.relation(schema, relation) {
        Some(Relation::View(_)) => Securable::View(schema, relation),
        _ => Securable::Table(schema, relation),
    }
}

/// Returns the error for what a user can't see. It doesn't tell whether it exists.
fn unseen(state: &EngineState, user: &str, on: Securable<'_>) -> SqlError {
    match on {
        Securable::Table(schema, name) | Securable::View(schema, name) if sees_schema(state, user, schema) => {
            no_relation(format!("{schema}.{name}"))
        }
        Securable::Cluster => missing("", user),
        Securable::Schema(schema) | Securable::Table(schema, _) | Securable::View(schema, _) => no_schema(schema),
    }
}

/// Checks that a user has a privilege.
fn ensure(context: &Context, kind: &'static str, on: Securable<'_>) -> Result<()> {
    let (state, user) = (context.state, context.session.rights());
    if let Securable::Schema(schema) | Securable::Table(schema, _) = on
        && ["information_schema", "pg_catalog"].contains(&schema)
    {
        return Ok(());
    }
    if !is_superuser(user) && !state.users.contains_key(user) {
        return Err(refuse("a user that was dropped"));
    }
    match on {
        _ if has(state, user, kind, on) => Ok(()),
        Securable::Cluster => Err(missing(kind, user)),
        _ if has_any(state, user, on) => Err(missing(kind, user)),
        _ => Err(unseen(state, user, on)),
    }
}

/// Checks that the session's user may do this to the relation. Relations that it can't see don't exist for it.
pub(crate) fn check(context: &Context, kind: &'static str, schema: &str, relation: &str) -> Result<()> {
    ensure(context, kind, securable(context.state, schema, relation))
}

/// Checks that the session's user may do this to the schema.
pub(crate) fn check_schema(context: &Context, kind: &'static str, schema: &str) -> Result<()> {
    ensure(context, kind, Securable::Schema(schema))
}

/// Checks that the session's user may do this to the cluster.
pub(crate) fn check_cluster(context: &Context, kind: &'static str) -> Result<()> {
    ensure(context, kind, Securable::Cluster)
}

/// Returns an error about a relation as the session's user may see it.
pub(crate) fn masked(context: &Context, error: SqlError, schema: &str, relation: &str) -> SqlError {
    let (state, user) = (context.state, context.session.rights());
    let open = ["information_schema", "pg_catalog"].contains(&schema);
    match open || sees_table(state, user, schema, relation) {
        true => error,
        false => unseen(state, user, Securable::Table(schema, relation)),
    }
}

/// Returns schema and name of an existing relation, with errors as the session's user may see them.
pub(crate) fn find(context: &Context, name: &Name) -> Result<(String, String)> {
    context.state.resolve(&context.session.path, name).map_err(|error| match (error.code, split(name)) {
        // A name without schema counts as one of `doc`, whatever the search path is.
        (4041, Ok((schema, table))) => masked(context, error, schema.as_deref().unwrap_or("doc"), &table),
        _ => error,
    })
}

/// Returns schema and name of an existing relation for which the user has the privilege `kind`.
pub(crate) fn resolve(context: &Context, name: &Name, kind: &'static str) -> Result<(String, String)> {
    let (schema, table) = find(context, name)?;
    check(context, kind, &schema, &table)?;
    Ok((schema, table))
}

pub(crate) fn create(state: &mut EngineState, name: &str, user: User) -> Result<()> {
    if user.is_role && user.password.is_some() {
        return Err(unsupported("Creating a ROLE with a password is not allowed, use CREATE USER instead"));
    }
    if user.is_role && user.search_path.is_some() {
        return Err(unsupported("Setting session settings to a ROLE is not allowed"));
    }
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
    if let Some((holder, _)) = state.users.iter().find(|(_, user)| user.roles.iter().any(|g| g.role == name)) {
        return Err(invalid(format!("Cannot drop ROLE: {name} as it is granted on role: {holder}")));
    }
    match state.users.remove(name) {
        Some(_) => Ok(1),
        None if if_exists => Ok(0),
        None => Err(no_role(name)),
    }
}

pub(crate) fn alter<'a>(state: &'a mut EngineState, name: &str) -> Result<&'a mut User> {
    // The superuser is none of them, and can't be altered.
    state.users.get_mut(name).ok_or_else(|| no_role(name))
}

/// An analysed GRANT, DENY or REVOKE.
pub(crate) enum Change {
    /// Privileges; those that are not granted are denied, or taken away if `revoke`.
    Privileges { new: Vec<Privilege>, revoke: bool },
    /// Roles that are granted or, if `revoke`, taken away.
    Roles { names: Vec<String>, grantor: String, revoke: bool },
}

/// Analyses GRANT, DENY and REVOKE, and checks that the session's user may do it.
pub(crate) fn change(context: &Context, grant: &Grant) -> Result<Change> {
    let revoke = grant.verb == "REVOKE";
    let idents = grant.objects.iter().map(|name| ident(context, grant, name)).collect::<Result<Vec<_>>>()?;
    let kind = |name: &String| KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(name));
    let known: Vec<&'static str> = grant.privileges.iter().filter_map(kind).collect();
    let change = if grant.class == "CLUSTER" && known.is_empty() && !grant.privileges.is_empty() {
        roles(context, grant)?
    } else {
        if known.len() < grant.privileges.len() {
            return Err(invalid("Mixing up cluster privileges with roles is not allowed, or an unknown permission"));
        }
        let kinds = if grant.privileges.is_empty() { KINDS.to_vec() } else { known };
        let idents: Vec<Option<&String>> =
            if grant.class == "CLUSTER" { vec![None] } else { idents.iter().map(Some).collect() };
        let new = kinds.into_iter().flat_map(|kind| {
            idents.iter().map(move |ident| Privilege {
                kind,
                class: grant.class,
                ident: ident.cloned(),
                granted: grant.verb == "GRANT",
                grantor: context.session.user.clone(),
            })
        });
        Change::Privileges { new: new.collect(), revoke }
    };
    check_cluster(context, "AL")?;
    if let (Change::Privileges { new, .. }, "GRANT") = (&change, grant.verb) {
        for privilege in new {
            let (schema, name) = privilege.ident.as_deref().map_or(("", ""), |i| i.split_once('.').unwrap_or((i, "")));
            let on = match grant.class {
                "CLUSTER" => Securable::Cluster,
                "SCHEMA" => Securable::Schema(schema),
                "TABLE" => Securable::Table(schema, name),
                _ => Securable::View(schema, name),
            };
            ensure(context, privilege.kind, on)?;
        }
    }
    if grant.users.iter().any(|user| is_superuser(user)) {
        return Err(unsupported("Cannot alter privileges for superuser 'crate'"));
    }
    Ok(change)
}

/// Returns the full name of an object of GRANT. Only what is granted or denied has to exist.
fn ident(context: &Context, grant: &Grant, name: &Name) -> Result<String> {
    let closed = |schema: &str| match grant.verb {
        "REVOKE" => Ok(()),
        _ if schema != "information_schema" => Ok(()),
        _ => Err(unsupported("GRANT/DENY/REVOKE Privileges on information_schema is not supported")),
    };
    if grant.class == "SCHEMA" {
        let schema = name.join(".");
        return closed(&schema).map(|()| schema);
    }
    let (schema, relation) = match find(context, name) {
        Err(error) if error.code == 4041 && grant.verb == "REVOKE" => {
            let (schema, relation) = split(name)?;
            (schema.unwrap_or_else(|| context.session.schema().to_owned()), relation)
        }
        found => {
            let (schema, relation) = found?;
            if securable(context.state, &schema, &relation).class() != grant.class {
                let found = if grant.class == "VIEW" { "BASE_TABLE" } else { "VIEW" };
                let text = format!(
                    "Expected {schema}.{relation} to be a {} securable but got a relation of type {found}",
                    grant.class
                );
                return Err(SqlError::new(4007, "OperationOnInaccessibleRelationException", text));
            }
            (schema, relation)
        }
    };
    closed(&schema)?;
    Ok(format!("{schema}.{relation}"))
}

fn roles(context: &Context, grant: &Grant) -> Result<Change> {
    if grant.verb == "DENY" {
        return Err(invalid("Cannot DENY a role"));
    }
    if grant.users.iter().chain(&grant.privileges).any(|name| is_superuser(name)) {
        return Err(invalid("Cannot grant roles to crate superuser, or crate to others"));
    }
    if let Some(itself) = grant.users.iter().find(|user| grant.privileges.contains(user)) {
        return Err(invalid(format!("Cannot grant role {itself} to itself as a cycle will be created")));
    }
    let names: BTreeSet<String> = grant.privileges.iter().cloned().collect();
    let grantor = context.session.user.clone();
    Ok(Change::Roles { names: names.into_iter().collect(), grantor, revoke: grant.verb == "REVOKE" })
}

/// Applies a change to users and roles; returns the number of privileges that changed.
pub(crate) fn apply(state: &mut EngineState, grantees: &[String], change: Change) -> Result<u64> {
    if let Some(unknown) = grantees.iter().find(|name| !state.users.contains_key(*name)) {
        return Err(no_role(unknown));
    }
    if let Change::Roles { names, revoke, .. } = &change {
        for name in names {
            let role = state.users.get(name).ok_or_else(|| no_role(name))?;
            if !role.is_role {
                let verb = if *revoke { "REVOKE" } else { "GRANT" };
                return Err(invalid(format!("Cannot {verb} a USER to a ROLE")));
            }
            let mut above = BTreeSet::new();
            parents(state, name, &mut above);
            if !revoke && grantees.iter().any(|grantee| above.contains(grantee)) {
                return Err(invalid(format!("Cannot grant role {name} as a cycle will be created")));
            }
        }
    }
    let mut changed = 0;
    for grantee in grantees {
        let Some(user) = state.users.get_mut(grantee) else { continue };
        changed += match &change {
            Change::Privileges { new, revoke } => new.iter().map(|new| set_privilege(user, new, *revoke)).sum::<u64>(),
            Change::Roles { names, grantor, revoke } => {
                names.iter().map(|name| set_role(user, name, grantor, *revoke)).sum()
            }
        };
    }
    Ok(changed)
}

/// Collects the roles that a role has, directly or by other roles.
fn parents(state: &EngineState, name: &str, out: &mut BTreeSet<String>) {
    for granted in state.users.get(name).iter().flat_map(|role| &role.roles) {
        if out.insert(granted.role.clone()) {
            parents(state, &granted.role, out);
        }
    }
}

fn set_privilege(user: &mut User, new: &Privilege, revoke: bool) -> u64 {
    let same = |p: &Privilege| p.kind == new.kind && p.class == new.class && p.ident == new.ident;
    match user.privileges.iter().position(same) {
        Some(at) if revoke => drop_at(user, at),
        Some(at) if user.privileges[at].granted == new.granted => return 0,
        Some(at) => user.privileges[at] = new.clone(),
        None if revoke => return 0,
        None => user.privileges.push(new.clone()),
    }
    1
}

fn drop_at(user: &mut User, at: usize) {
    user.privileges.remove(at);
}

fn set_role(user: &mut User, name: &str, grantor: &str, revoke: bool) -> u64 {
    let before = user.roles.len();
    if revoke {
        user.roles.retain(|g| g.role != name || (g.grantor != grantor && !is_superuser(grantor)));
        return (before - user.roles.len()) as u64;
    }
    if user.roles.iter().any(|g| g.role == name) {
        return 0;
    }
    user.roles.push(GrantedRole { role: name.into(), grantor: grantor.into() });
    user.roles.sort_by(|a, b| a.role.cmp(&b.role));
    1
}

/// Removes all privileges on a relation that was dropped.
pub(crate) fn forget(state: &mut EngineState, schema: &str, relation: &str) {
    let ident = format!("{schema}.{relation}");
    let of_it = |p: &Privilege| ["TABLE", "VIEW"].contains(&p.class) && p.ident.as_ref() == Some(&ident);
    state.users.values_mut().for_each(|user| user.privileges.retain(|p| !of_it(p)));
}

/// Moves all privileges on a table to its new name.
pub(crate) fn rename(state: &mut EngineState, schema: &str, from: &str, to: &str) {
    let (from, to) = (format!("{schema}.{from}"), format!("{schema}.{to}"));
    let all = state.users.values_mut().flat_map(|user| &mut user.privileges);
    for privilege in all.filter(|p| p.class == "TABLE" && p.ident.as_ref() == Some(&from)) {
        privilege.ident = Some(to.clone());
    }
}

/// Returns whether anyone has a privilege on this relation, granted or denied.
pub(crate) fn has_privileges_on(state: &EngineState, schema: &str, relation: &str) -> bool {
    let ident = format!("{schema}.{relation}");
    let mut all = state.users.values().flat_map(|user| &user.privileges);
    all.any(|p| p.class != "SCHEMA" && p.ident.as_ref() == Some(&ident))
}
