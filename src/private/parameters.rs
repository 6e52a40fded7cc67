//! The values that are made for the parameters of a test.

use std::error::Error as StdError;
use std::pin::Pin;

use super::Outcome;
use crate::background;
use crate::cluster::Cluster;
use crate::error::{Error, Kind};
use crate::extract::FromCluster;

/// What parameters are made from.
pub struct Context {
    pub(super) cluster: Cluster,
    /// Module and name of the test, for messages.
    pub(super) test: String,
}

/// Makes the value of a parameter of an async test.
///
/// The boxed future makes one error of rustc, where an `async fn` makes two, if `T` can't be a parameter.
pub fn extract<'a, T: FromCluster + 'a>(
    context: &'a Context,
    parameter: &'static str,
) -> Pin<Box<dyn Future<Output = Outcome<T>> + 'a>> {
    Box::pin(async move {
        let made = T::from_cluster(&context.cluster).await;
        made.map_err(|error| not_made::<T>(context, parameter, &*error))
    })
}

/// The same for a test on the runtime of another attribute, which may ask for a future that is `Send`: this one is if that
/// of the parameter is.
pub async fn extract_awaited<T: FromCluster>(context: &Context, parameter: &'static str) -> Outcome<T> {
    let made = T::from_cluster(&context.cluster).await;
    made.map_err(|error| not_made::<T>(context, parameter, &*error))
}

/// Makes the value of a parameter of a sync test. Connections and timers it needs are driven by the background thread.
pub fn extract_sync<T: FromCluster>(context: &Context, parameter: &'static str) -> Outcome<T> {
    let _entered = background::handle().enter();
    let made = background::block_on(T::from_cluster(&context.cluster));
    made.map_err(|error| not_made::<T>(context, parameter, &*error))
}

fn not_made<T>(context: &Context, parameter: &str, error: &(dyn StdError + Send + Sync + 'static)) -> Error {
    let made = std::any::type_name::<T>();
    let test = &context.test;
    Error::new(Kind::Session, format!("cannot make the parameter `{parameter}`, a `{made}`, of the test `{test}`"))
        .because_of(error)
}
