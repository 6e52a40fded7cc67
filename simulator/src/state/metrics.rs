//! Metrics of a cluster: a few points with invented values.

use serde_json::json;

use super::read::parameter;
use super::{ApiAnswer, Micros, QueryPairs, State, stamp};

const MINUTE: Micros = 60_000_000;
/// Default time span of a list.
const USUAL_MINUTES: i64 = 60;
/// The largest number of points.
const MOST_POINTS: i64 = 120;

/// Metrics and what each has at every point.
const METRICS: [(&str, f64); 8] = [
    ("crate_query_count", 0.0),
    ("crate_query_duration", 0.0),
    ("crate_availability", 1.0),
    ("crate_cpu_seconds", 0.05),
    ("crate_memory_usage", 536_870_912.0),
    ("crate_disk_usage2", 67_108_864.0),
    ("crate_cluster_last_user_activity", 0.0),
    ("crate_unreplicated_tables", 0.0),
];

impl State {
    /// The shape is that of the time series behind it; the vendor's document leaves it open.
    pub(super) fn metrics(&self, now: Micros, cluster: &str, metric: &str, query: &QueryPairs) -> ApiAnswer {
        let known = METRICS.iter().find(|(name, _)| *name == metric);
        let (Some(cluster), Some((name, value))) = (self.by_id(cluster), known) else { return ApiAnswer::not_found() };
        if !cluster.is_running() {
            return ApiAnswer::no_content();
        }
        let date = |name: &str| parameter(query, name).and_then(stamp::parse_date);
        let end = date("end").unwrap_or(now).min(now);
        let minutes = parameter(query, "minutes_ago").and_then(|text| text.parse::<i64>().ok());
        let back = |minutes: i64| end.saturating_sub(minutes.clamp(0, 1 << 30) * MINUTE);
        let start = minutes.map(back).or_else(|| date("start")).unwrap_or_else(|| back(USUAL_MINUTES));
        let value = if *name == "crate_cluster_last_user_activity" { seconds(cluster.used) } else { *value };
        let step = MINUTE * (((end - start) / MINUTE) / MOST_POINTS + 1);
        let points: Vec<_> =
            (0..MOST_POINTS).map(|n| start.saturating_add(n * step)).take_while(|at| *at <= end).collect();
        let values: Vec<_> = points.into_iter().map(|at| json!([seconds(at), value.to_string()])).collect();
        let series = json!([{ "metric": { "__name__": name, "cluster_id": cluster.id }, "values": values }]);
        ApiAnswer::ok(json!({ "status": "success", "data": { "resultType": "matrix", "result": series } }))
    }
}

fn seconds(at: Micros) -> f64 {
    at as f64 / 1e6
}
