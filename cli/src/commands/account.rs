//! `whoami`.

use cratedb_test::cloud::model::RoleIn;
use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Document, People};

pub(super) async fn whoami(context: &Context) -> Result<Document, Failure> {
    let client = context.client()?;
    context.progress.say_in_passing("asking who you are");
    let user = client.me().await?;
    let document = json!({ "user": user, "endpoint": client.endpoint(), "credentials": client.credentials() });
    let facts = vec![
        ("user", one_of(&[&user.email, &user.username, &user.name])),
        ("id", user.uid.clone()),
        ("organization", user.organization_id.clone()),
        ("roles", roles(user.organization_roles.iter().chain(&user.project_roles))),
        ("endpoint", client.endpoint().to_owned()),
        ("credentials", client.credentials()),
    ];
    Document::new(&document, People::Facts(facts))
}

/// The first that is known.
fn one_of(words: &[&String]) -> String {
    words.iter().find(|word| !word.is_empty()).map(|word| word.to_string()).unwrap_or_default()
}

fn roles<'a>(roles: impl Iterator<Item = &'a RoleIn>) -> String {
    let said = roles.map(|role| match role.project_id.as_ref().or(role.organization_id.as_ref()) {
        Some(place) => format!("{} in {place}", role.role_fqn),
        None => role.role_fqn.clone(),
    });
    said.collect::<Vec<_>>().join(", ")
}
