//! `deploy`.

use crate::arguments::Deploy;
use crate::commands::clusters;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Document;

pub(super) async fn run(context: &Context, deploy: Deploy) -> Result<Document, Failure> {
    let cluster = context.cluster_with(|mut builder| {
        macro_rules! told {
            ($($option:ident)*) => {$(
                if let Some(value) = deploy.$option {
                    builder = builder.$option(value);
                }
            )*};
        }
        told!(product tier region organization_id project_id subscription_id version channel nodes username);
        builder
    })?;
    context.goes_on("the deployment, if it has begun,");
    let now = cluster.deploy().await?;
    context.note_done(&format!("cluster `{}` answers at {}", now.name, now.url));
    clusters::shown(&now)
}
