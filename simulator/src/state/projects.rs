//! Projects: made, renamed, deleted.

use serde_json::{Value, json};

use super::account::Project;
use super::checks::Problems;
use super::{Answer, Micros, State};

impl State {
    pub(crate) fn add_project(&mut self, now: Micros, organization: &str, name: &str, region: &str) -> String {
        let id = self.new_id();
        self.account.projects.push(Project {
            id: id.clone(),
            name: name.into(),
            organization_id: organization.into(),
            region: region.into(),
            backup_location: None,
            created: now,
            modified: now,
        });
        id
    }

    pub(crate) fn has_project(&self, organization: &str, name: &str) -> bool {
        self.account.projects.iter().any(|one| one.organization_id == organization && one.name == name)
    }

    pub(super) fn create_project(&mut self, now: Micros, body: &Value) -> Answer {
        let mut problems = Problems::of(body, &["name", "organization_id", "region", "backup_location"]);
        let name = problems.text(body, "name");
        let organization = problems.text(body, "organization_id");
        let region = problems.optional_text(body, "region").unwrap_or_default();
        let location = backup_location(body, &mut problems);
        check_name(name.as_deref(), &mut problems);
        problems.check_region(&region);
        let (Some(name), Some(organization)) = (name, organization) else { return problems.refuse() };
        if !self.account.organizations.iter().any(|known| known.id == organization) {
            problems.add("organization_id", "No such organization.");
        }
        if problems.any() {
            return problems.refuse();
        }
        let id = self.add_project(now, &organization, &name, &region);
        let made = self.account.projects.iter_mut().find(|project| project.id == id);
        Answer::created(made.map_or_else(Value::default, |project| {
            project.backup_location = location;
            project.show()
        }))
    }

    pub(super) fn edit_project(&mut self, now: Micros, id: &str, body: &Value) -> Answer {
        let mut problems = Problems::of(body, &["name"]);
        let name = problems.text(body, "name");
        check_name(name.as_deref(), &mut problems);
        let Some(project) = self.account.projects.iter_mut().find(|project| project.id == id) else {
            return Answer::not_found();
        };
        let (Some(name), false) = (name, problems.any()) else { return problems.refuse() };
        project.name = name;
        project.modified = now;
        Answer::ok(project.show())
    }

    pub(super) fn delete_project(&mut self, id: &str) -> Answer {
        if self.project(id).is_none() {
            return Answer::not_found();
        }
        if self.clusters.iter().any(|cluster| cluster.project_id == id) {
            return Answer::refused(403, "The project still has clusters.");
        }
        self.account.projects.retain(|project| project.id != id);
        Answer::no_content()
    }
}

fn check_name(name: Option<&str>, problems: &mut Problems) {
    if name.is_some_and(|name| !is_project_name(name)) {
        problems.add("name", "String does not match expected pattern.");
    }
}

/// Where backups go if not to the service's own place. Its credentials are read and forgotten.
fn backup_location(body: &Value, problems: &mut Problems) -> Option<Value> {
    let given = body.get("backup_location").filter(|given| !given.is_null())?;
    let mut inner = Problems::of(given, &["location_type", "location", "credentials", "additional_config"]);
    let kind = inner.text(given, "location_type");
    let location = inner.name(given, "location");
    if kind.as_deref().is_some_and(|kind| kind != "s3") {
        inner.add("location_type", "Must be one of: s3.");
    }
    if !given["credentials"].is_object() {
        inner.add("credentials", "Missing data for required field.");
    }
    if given.get("additional_config").is_some_and(|config| !config.is_object()) {
        inner.add("additional_config", "Not a valid object.");
    }
    problems.nest("backup_location", inner);
    let mut kept = json!({ "location_type": kind?, "location": location? });
    if let Some(config) = given.get("additional_config") {
        kept["additional_config"] = config.clone();
    }
    Some(kept)
}

/// Word characters, `-` and space, beginning with a word character.
pub(crate) fn is_project_name(name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(word) && name.chars().all(|c| word(c) || c == '-' || c == ' ') && name.chars().count() <= 512
}
