//! Faults as texts and as JSON: from the command line and by HTTP.

use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::BadOption;
use crate::fault::Fault;
use crate::state::Pace;
use crate::state::faults::FaultPlan;

/// A fault: of the transport, or of one cluster.
///
/// ```
/// use cratedb_cloud_simulator::FaultOptions;
///
/// let bad_gateway: FaultOptions = "method=GET,path=/operations/,status=502,times=2".parse()?;
/// let no_room: FaultOptions = "cluster=ci,fail=no capacity in this region".parse()?;
/// # Ok::<(), cratedb_cloud_simulator::BadOption>(())
/// ```
#[derive(Clone, Debug)]
pub struct FaultOptions(pub(crate) Target);

#[derive(Clone, Debug)]
pub(crate) enum Target {
    Transport(Fault),
    Cluster { cluster: String, trouble: Trouble },
}

/// A fault of a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    Operation(FaultPlan),
    Job(FaultPlan),
    Foreign(String, Pace),
    FrozenHealth,
    NotReadyFor(Duration),
    NotReadyRequests(u32),
    MixedConnections,
}

/// The values of these names are the rest of the text, with commas.
const TO_THE_END: [&str; 3] = ["fail", "fail_job", "body"];
const TRANSPORT: &str = "method=, path=, status=, body=, retry_after=, conflict, hang, drop, delay=, after=, times=";
const CLUSTER: &str = "fail=MESSAGE, hold, lose, hide, fail_job=MESSAGE, hold_job, foreign=TYPE (with time=), \
                       freeze_health, not_ready=TIME, not_ready_requests=N, mix_connections";

type Pairs = Vec<(String, String)>;

impl FromStr for FaultOptions {
    type Err = BadOption;

    fn from_str(text: &str) -> Result<Self, BadOption> {
        let mut pairs = Pairs::new();
        let mut rest = text;
        while !rest.is_empty() {
            let takes_all = TO_THE_END.iter().any(|name| rest.strip_prefix(name).is_some_and(|r| r.starts_with('=')));
            let (part, more) = if takes_all { (rest, "") } else { rest.split_once(',').unwrap_or((rest, "")) };
            let (name, value) = part.split_once('=').unwrap_or((part, "true"));
            pairs.push((name.trim().into(), value.into()));
            rest = more;
        }
        Self::of(pairs)
    }
}

impl FaultOptions {
    /// Reads an object with the same names.
    pub(crate) fn from_json(body: &Value) -> Result<Self, BadOption> {
        let Some(object) = body.as_object() else {
            return Err(BadOption::text(&format!(
                "a fault is an object; accepted: {TRANSPORT}; or cluster= with {CLUSTER}"
            )));
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Self::of(object.iter().map(|(name, value)| (name.clone(), text(value))).collect())
    }

    fn of(pairs: Pairs) -> Result<Self, BadOption> {
        let cluster = pairs.iter().position(|(name, _)| name == "cluster");
        Ok(Self(match cluster {
            None => Target::Transport(transport(&pairs)?),
            Some(at) => {
                let mut pairs = pairs;
                let (_, cluster) = pairs.remove(at);
                Target::Cluster { cluster, trouble: trouble(&pairs)? }
            }
        }))
    }
}

fn transport(pairs: &Pairs) -> Result<Fault, BadOption> {
    let get = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let known =
        ["method", "path", "status", "body", "retry_after", "conflict", "hang", "drop", "delay", "after", "times"];
    if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        return Err(BadOption::text(&format!("unknown part `{name}` of a fault; accepted: {TRANSPORT}")));
    }
    let mut fault = Fault::on(get("method").unwrap_or("*"), get("path").unwrap_or_default());
    let status = get("status").map(|text| number("status", text, 200..=599)).transpose()?;
    let status = status.and_then(|status| u16::try_from(status).ok());
    fault = match (status, get("body")) {
        (status, Some(body)) => fault.answer(status.unwrap_or(500), body),
        (Some(status), None) => fault.status(status),
        (None, None) => fault,
    };
    if flag(pairs, "conflict")? {
        fault = fault.conflict();
    }
    let seconds = get("retry_after").map(|text| number("retry_after", text, 0..=u32::MAX)).transpose()?;
    if let Some(seconds) = seconds {
        if let Some(other) = ["hang", "drop", "delay"].into_iter().find(|name| get(name).is_some()) {
            return Err(BadOption::text(&format!("`retry_after` is part of an answer and does not go with `{other}`")));
        }
        fault = fault.retry_after(seconds);
    }
    if flag(pairs, "hang")? {
        fault = fault.hang();
    }
    if flag(pairs, "drop")? {
        fault = fault.drop_connection();
    }
    if let Some(text) = get("delay") {
        fault = fault.delay(duration("delay", text)?);
    }
    if let Some(text) = get("after") {
        fault = fault.after(number("after", text, 0..=u32::MAX)?);
    }
    Ok(match get("times") {
        None => fault,
        Some("always") => fault.always(),
        Some(text) => fault.times(number("times", text, 1..=u32::MAX)?),
    })
}

fn trouble(pairs: &Pairs) -> Result<Trouble, BadOption> {
    let time = pairs.iter().find(|(name, _)| name == "time").map(|(_, text)| duration("time", text)).transpose()?;
    let others: Vec<_> = pairs.iter().filter(|(name, _)| name != "time").collect();
    let [(name, value)] = others[..] else {
        return Err(BadOption::text(&format!("a fault of a cluster is one of: {CLUSTER}")));
    };
    let plan = |plan: FaultPlan| Ok(Trouble::Operation(plan));
    match name.as_str() {
        "fail" => plan(FaultPlan { failure: Some(value.clone()), ..FaultPlan::default() }),
        "hold" => plan(FaultPlan { held: true, ..FaultPlan::default() }),
        "lose" => plan(FaultPlan { lost: true, ..FaultPlan::default() }),
        "hide" => plan(FaultPlan { hidden: true, ..FaultPlan::default() }),
        "fail_job" => Ok(Trouble::Job(FaultPlan { failure: Some(value.clone()), ..FaultPlan::default() })),
        "hold_job" => Ok(Trouble::Job(FaultPlan { held: true, ..FaultPlan::default() })),
        "foreign" => Ok(Trouble::Foreign(value.clone(), time.map_or(Pace::Explicit, Pace::Auto))),
        "freeze_health" => Ok(Trouble::FrozenHealth),
        "not_ready" => Ok(Trouble::NotReadyFor(duration("not_ready", value)?)),
        "not_ready_requests" => Ok(Trouble::NotReadyRequests(number("not_ready_requests", value, 0..=u32::MAX)?)),
        "mix_connections" => Ok(Trouble::MixedConnections),
        _ => Err(BadOption::text(&format!("unknown fault `{name}` of a cluster; accepted: {CLUSTER}"))),
    }
}

fn flag(pairs: &Pairs, name: &str) -> Result<bool, BadOption> {
    match pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(value) => Err(BadOption::new(name, value, "true, false")),
    }
}

fn number(name: &str, text: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, BadOption> {
    let read = text.parse().ok().filter(|number| range.contains(number));
    let mut accepted = format!("a number from {}", range.start());
    if *range.end() < u32::MAX {
        let _ = write!(accepted, " to {}", range.end());
    }
    read.ok_or_else(|| BadOption::new(name, text, &accepted))
}

/// Reads a duration with its unit, as everywhere on the command line.
pub(crate) fn duration(name: &str, text: &str) -> Result<Duration, BadOption> {
    let bare = text.parse::<f64>().is_ok();
    let read = humantime::parse_duration(text).ok().filter(|_| !bare);
    let read = if text == "0" { Some(Duration::ZERO) } else { read };
    read.ok_or_else(|| BadOption::new(name, text, "a number with its unit, such as 250ms, 2s, 10m, 4d; or 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        text.parse::<FaultOptions>().unwrap_err().to_string()
    }

    #[test]
    fn a_message_may_have_commas_and_equals_signs() {
        let FaultOptions(kind) = "cluster=ci,fail=no capacity, sorry: a=b".parse().unwrap();
        let Target::Cluster { cluster, trouble: Trouble::Operation(plan) } = kind else { panic!("{kind:?}") };
        assert_eq!((cluster.as_str(), plan.failure.as_deref()), ("ci", Some("no capacity, sorry: a=b")));
    }

    #[test]
    fn text_and_json_mean_the_same() {
        let text: FaultOptions = "method=GET,path=/x/,status=503,retry_after=2,after=1,times=always".parse().unwrap();
        let json = serde_json::json!({
            "method": "GET", "path": "/x/", "status": 503, "retry_after": 2, "after": 1, "times": "always",
        });
        assert_eq!(format!("{text:?}"), format!("{:?}", FaultOptions::from_json(&json).unwrap()));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_what_can() {
        assert!(told("status=99").contains("status=`99` can't be read; accepted: a number from 200 to 599"));
        assert!(told("colour=red").contains("unknown part `colour` of a fault; accepted: method="));
        assert!(told("cluster=ci").contains("a fault of a cluster is one of: fail=MESSAGE"));
        assert!(told("cluster=ci,explode").contains("unknown fault `explode`"));
        assert!(told("delay=5").contains("such as 250ms"));
        assert!(
            told("status=429,retry_after=2s").contains("retry_after=`2s` can't be read; accepted: a number from 0")
        );
        assert!(told("drop,retry_after=2").contains("does not go with `drop`"));
        assert!(told("hang=maybe").contains("accepted: true, false"));
    }
}
