//! Explores all states of a model, for the tests of pure machines.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

use stateright::{Checker as _, HasDiscoveries, Model};

/// A variable with which a failed property shows the way to its state.
const PATHS: &str = "MODEL_PATHS";

/// Explores all states, or those that are reached first, and prints how many. Returns the properties that fail.
pub(crate) fn explore<M>(model: M, name: &str, most: usize, shown: impl Fn(&M::State) -> String) -> Vec<&'static str>
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + Debug + Hash + Eq + Send + Sync + 'static,
    M::Action: Clone + Debug + PartialEq,
{
    let begin = Instant::now();
    let checker =
        model.checker().threads(1).target_state_count(most).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (states, unique, depth) = (checker.state_count(), checker.unique_state_count(), checker.max_depth());
    let all = if states < most { "all" } else { "the first" };
    println!("{name}: {all} {unique} states ({states} steps), depth {depth}, {:.1?}", begin.elapsed());
    let mut failed = Vec::new();
    for (property, path) in checker.discoveries() {
        println!("  fails: {property}");
        if std::env::var_os(PATHS).is_some() {
            let last = shown(path.last_state());
            for (state, action) in path.into_vec() {
                println!("    {}\n   {action:?}", shown(&state));
            }
            println!("    {last}");
        }
        failed.push(property);
    }
    failed.sort_unstable();
    failed
}
