//! The price of a session's clusters: that of the option, of the settings, or what CrateDB Cloud says.

use std::collections::HashMap;
use std::time::Duration;

use cratedb_test::Error;
use cratedb_test::private::control::report::{self, Cost, Price, Session};

use crate::arguments::Report;
use crate::context::Context;
use crate::failure::Failure;

/// A report must not wait long for its price.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the price of the option, else that of the settings.
pub(super) fn given(wanted: &Report) -> Result<Option<Price>, Failure> {
    match &wanted.price {
        Some(text) => Ok(Some(Price::read(text, "--price")?)),
        None => Ok(report::price_of_settings()?),
    }
}

/// Sets what sessions cost, as far as a price is known. If CrateDB Cloud is asked for it and does not tell it, a note
/// says why.
pub(super) fn set(context: &Context, given: Option<Price>, sessions: &mut [Session]) -> Result<(), Failure> {
    if let Some(price) = given {
        sessions.iter_mut().for_each(|session| session.price(&price));
        return Ok(());
    }
    let mut known: HashMap<String, Option<Price>> = HashMap::new();
    for session in sessions {
        let Some(id) = only_cluster(session) else { continue };
        if !known.contains_key(&id) {
            context.progress.say_in_passing("asking CrateDB Cloud for the price of the cluster");
            let asked = context.wait(ask(context, &id));
            context.progress.clear();
            known.insert(id.clone(), asked?.map_err(|why| context.terminal.note(&unknown(&why))).ok());
        }
        if let Some(Some(price)) = known.get(&id) {
            session.price(price);
        }
    }
    Ok(())
}

/// Returns the id of the only cluster of CrateDB Cloud that a session had.
fn only_cluster(session: &Session) -> Option<String> {
    let mut ids = session.clusters.iter().filter(|used| used.provider == "cloud").filter_map(|used| used.id.clone());
    let id = ids.next()?;
    ids.all(|other| other == id).then_some(id)
}

fn unknown(why: &str) -> String {
    format!("no price is known: {why}; --price or CRATEDB_TEST_PRICE gives one")
}

/// Asks for a price. The inner error says why there is none, the outer one that the command was interrupted.
async fn ask(context: &Context, id: &str) -> Result<Result<Price, String>, Failure> {
    let first_line = |error: Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let asked = async {
        let client =
            context.client().map_err(|failure| failure.to_string().lines().next().unwrap_or_default().to_owned())?;
        let cluster = client.cluster(id).await.map_err(first_line)?;
        let price = client.price_of(&cluster).await.map_err(first_line)?;
        let per_hour = price.total_price.or(price.cluster_price).and_then(|price| price.price_per_hour);
        match per_hour.filter(|price| price.is_finite() && *price >= 0.0) {
            Some(per_hour) => Ok(Price {
                per_hour,
                currency: "USD".to_owned(),
                source: format!("CrateDB Cloud's price of {}", cluster.product_name),
            }),
            None => Err("CrateDB Cloud names none".to_owned()),
        }
    };
    let late = || Err(format!("CrateDB Cloud did not answer within {} s", PATIENCE.as_secs()));
    Ok(tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| late()))
}

/// Says from which price a cost follows.
pub(super) fn of(cost: &Cost) -> String {
    match cost.per_hour {
        Some(per_hour) => {
            // Five digits say enough of any price.
            let per_hour = (per_hour * 100_000.0).round() / 100_000.0;
            let price = format!("{per_hour} {}", cost.currency);
            format!(" at {} an hour ({})", price.trim_end(), cost.source)
        }
        None => format!(" ({})", cost.source),
    }
}
