//! `delete`: asks first.

use serde_json::json;

use crate::arguments::Delete;
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Document, People};
use crate::prompt;

pub(super) async fn run(context: &Context, delete: &Delete) -> Result<Document, Failure> {
    let managed = context.cluster()?;
    if !delete.yes && !prompt::somebody_is_there() {
        return Err(Failure::usage("nobody can be asked whether to delete the cluster: this is no terminal")
            .hint("--yes deletes it without asking"));
    }
    let cluster = managed.info().await?;
    let named = format!("cluster `{}` ({})", cluster.name, cluster.id);
    if !delete.yes {
        let question = format!("Delete {named}, {}, and all that it stores?", cluster.product_name);
        if !prompt::confirmed(question).await? {
            return Err(Failure::new(Code::Failed, "nothing was deleted"));
        }
    }
    managed.delete().await?;
    context.terminal.note(&format!("{named} is deleted"));
    Document::new(&json!({ "deleted": cluster }), People::Text(String::new()))
}
