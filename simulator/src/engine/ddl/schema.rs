//! Schemas: CREATE and DROP.

use crate::engine::context::{Outcome, Run};
use crate::engine::error::{Result, SqlError, invalid, no_schema, refuse};
use crate::engine::state::{EngineState, RESERVED};
use crate::engine::users;

pub(crate) fn create_schema(state: &mut EngineState, run: &Run, name: &str, if_not_exists: bool) -> Result<Outcome> {
    users::check_cluster(&run.context(state), "DDL")?;
    if RESERVED.contains(&name) {
        return Err(invalid(format!("Schema '{name}' is reserved")));
    }
    if state.has_schema(name) && !if_not_exists {
        return Err(SqlError::new(40910, "SchemaAlreadyExists", format!("Schema '{name}' already exists")));
    }
    if name.is_empty() {
        return Err(refuse("an empty schema name"));
    }
    state.schemas.insert(name.into());
    Ok(Outcome::Count(1))
}

pub(crate) fn drop_schema(
    state: &mut EngineState,
    run: &Run,
    names: &[String],
    if_exists: bool,
    cascade: bool,
) -> Result<Outcome> {
    for name in names {
        if RESERVED.contains(&name.as_str()) {
            return Err(invalid(format!("Cannot drop reserved schema '{name}'")));
        }
        if !state.has_schema(name) {
            if if_exists {
                continue;
            }
            return Err(no_schema(name));
        }
        users::check_schema(&run.context(state), "DDL", name)?;
        if !cascade && state.relations.contains_key(name) {
            let text = format!("Cannot drop schema \"{name}\" because other objects depend on it");
            return Err(SqlError::new(40013, "DependentObjectsExists", text));
        }
    }
    for name in names {
        state.drop_schema(name);
    }
    Ok(Outcome::Count(1))
}
