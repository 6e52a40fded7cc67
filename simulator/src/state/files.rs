//! Files of an organization: uploads for imports, and the files of exports. Their bytes are kept elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::checks::Problems;
use super::{ApiAnswer, Micros, State, stamp};

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct File {
    pub(crate) id: String,
    pub(crate) organization_id: String,
    pub(crate) name: String,
    /// It gives access to the file.
    pub(crate) signature: String,
    /// Size in bytes; none until it is uploaded.
    pub(crate) size: Option<u64>,
    created: Micros,
    modified: Micros,
}

impl State {
    pub(super) fn add_file(&mut self, now: Micros, organization: &str, name: &str) -> &mut File {
        let made = File {
            id: self.new_id(),
            organization_id: organization.into(),
            name: name.into(),
            signature: format!("{}{}", self.new_id(), self.new_id()).replace('-', ""),
            size: None,
            created: now,
            modified: now,
        };
        let at = self.files.len();
        self.files.push(made);
        &mut self.files[at]
    }

    pub(super) fn create_file(&mut self, now: Micros, organization: &str, body: &Value) -> ApiAnswer {
        if self.organization(organization).is_none() {
            return ApiAnswer::not_found();
        }
        let mut problems = Problems::of(body, &["name", "file_size"]);
        let name = problems.name(body, "name");
        if problems.optional_integer(body, "file_size").is_some_and(|size| size < 1) {
            problems.add("file_size", "Must be greater than or equal to 1.");
        }
        let (Some(name), false) = (name, problems.any()) else { return problems.refuse() };
        let id = self.add_file(now, organization, &name).id.clone();
        self.file(organization, &id).map_or_else(ApiAnswer::not_found, |file| ApiAnswer::created(self.show_file(file)))
    }

    pub(super) fn list_files(&self, organization: &str) -> ApiAnswer {
        match self.organization(organization) {
            None => ApiAnswer::not_found(),
            Some(_) => {
                let mine = self.files.iter().filter(|one| one.organization_id == organization);
                ApiAnswer::ok(mine.map(|file| self.show_file(file)).collect())
            }
        }
    }

    pub(super) fn get_file(&self, organization: &str, id: &str) -> ApiAnswer {
        self.file(organization, id).map_or_else(ApiAnswer::not_found, |file| ApiAnswer::ok(self.show_file(file)))
    }

    pub(super) fn delete_file(&mut self, organization: &str, id: &str) -> ApiAnswer {
        if self.file(organization, id).is_none() {
            return ApiAnswer::not_found();
        }
        self.files.retain(|one| one.id != id);
        ApiAnswer::no_content()
    }

    pub(super) fn file(&self, organization: &str, id: &str) -> Option<&File> {
        self.files.iter().find(|one| one.id == id && one.organization_id == organization)
    }

    /// Returns the file of an address of the storage, if its signature is right.
    pub(crate) fn signed_file(&self, id: &str, signature: &str) -> Option<&File> {
        self.files.iter().find(|one| one.id == id && one.signature == signature)
    }

    pub(crate) fn signature(&self, id: &str) -> Option<&str> {
        Some(self.files.iter().find(|one| one.id == id)?.signature.as_str())
    }

    pub(crate) fn has_file(&self, id: &str) -> bool {
        self.files.iter().any(|one| one.id == id)
    }

    /// Notes an upload.
    pub(crate) fn uploaded(&mut self, now: Micros, id: &str, size: u64) {
        if let Some(file) = self.files.iter_mut().find(|one| one.id == id) {
            file.size = Some(size);
            file.modified = now;
        }
    }

    /// Returns the address for the bytes of a file, with the signature that gives access.
    fn signed_url(&self, file: &File) -> String {
        format!("{}/_storage/{}?signature={}", self.base, file.id, file.signature)
    }

    pub(super) fn show_file(&self, file: &File) -> Value {
        let url = self.signed_url(file);
        let mut shown = json!({
            "id": file.id,
            "name": file.name,
            "organization_id": file.organization_id,
            "status": if file.size.is_some() { "UPLOADED" } else { "PENDING" },
            "upload_url": url,
            "dc": stamp::dc(file.created, file.modified),
        });
        if let Some(size) = file.size {
            shown["download_url"] = url.into();
            shown["file_size"] = size.into();
        }
        shown
    }
}
