//! Secrets of an organization for reading from other services. Their contents are dropped.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::Problems;
use super::{ApiAnswer, Micros, State, stamp};

/// One secret, without its contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Integration {
    pub(super) id: String,
    pub(super) organization_id: String,
    name: String,
    kind: String,
    created: Micros,
}

/// Kinds, the key of their data in a request, and its required fields.
const KINDS: [(&str, &str, &[&str]); 3] = [
    ("AWS", "aws_secret", &["access_key", "secret_key"]),
    ("AZURE", "azure_secret", &["connection_string"]),
    ("MONGODB", "mongodb_secret", &["connection_string"]),
];

impl State {
    pub(super) fn integrations(&self, organization: &str) -> ApiAnswer {
        let mine = self.integrations.iter().filter(|one| one.organization_id == organization);
        ApiAnswer::ok(mine.map(Integration::show).collect())
    }

    pub(super) fn create_integration(&mut self, now: Micros, organization: &str, body: &Value) -> ApiAnswer {
        if self.organization(organization).is_none() {
            return ApiAnswer::not_found();
        }
        let mut problems = Problems::of(body, &["name", "type", "data"]);
        let name = problems.name(body, "name");
        let kind = problems.text(body, "type");
        match KINDS.iter().find(|(known, ..)| kind.as_deref() == Some(known)) {
            Some((_, place, fields)) => check_data(body, place, fields, &mut problems),
            None if kind.is_some() => {
                let names: Vec<_> = KINDS.iter().map(|(name, ..)| *name).collect();
                problems.add("type", &format!("Must be one of: {}.", names.join(", ")));
            }
            None => {}
        }
        let (Some(name), Some(kind), false) = (name, kind, problems.any()) else { return problems.refuse() };
        let made = Integration { id: self.new_id(), organization_id: organization.into(), name, kind, created: now };
        let shown = made.show();
        self.integrations.push(made);
        ApiAnswer::created(shown)
    }

    pub(super) fn delete_integration(&mut self, organization: &str, id: &str) -> ApiAnswer {
        let before = self.integrations.len();
        self.integrations.retain(|one| one.id != id || one.organization_id != organization);
        if self.integrations.len() < before { ApiAnswer::no_content() } else { ApiAnswer::not_found() }
    }
}

fn check_data(body: &Value, place: &str, fields: &[&str], problems: &mut Problems) {
    let given = &body["data"];
    // `croud` 1.15 sends the fields without the name of the kind around them.
    let flat = given.get(place).is_none() && fields.iter().any(|field| given.get(field).is_some());
    let mut inner = Problems::default();
    for field in fields {
        inner.text(if flat { given } else { &given[place] }, field);
    }
    let mut data = Problems::default();
    match flat {
        true => data = inner,
        false => data.nest(place, inner),
    }
    problems.nest("data", data);
}

impl Integration {
    fn show(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "type": self.kind,
            "description": "",
            "dc": stamp::dc(self.created, self.created),
        })
    }
}
