//! The plan that follows from two looks at a cluster.

use serde_json::json;

use super::*;

fn globals(settings: Value, things: &[(Thing, &[&str])]) -> Globals {
    Globals {
        cluster: "c1".into(),
        settings: flatten(&settings),
        things: things
            .iter()
            .map(|(kind, names)| (*kind, names.iter().map(|name| (*name).to_owned()).collect()))
            .collect(),
        granted: Vec::new(),
    }
}

fn statements(plan: &RestorePlan) -> Vec<&str> {
    let steps = plan.reset.iter().chain(&plan.revokes).chain(&plan.drops);
    steps.map(|step| step.statement.as_str()).collect()
}

#[test]
fn what_did_not_change_needs_nothing() {
    let same = globals(json!({"stats": {"enabled": true}}), &[(Thing::User, &["crate", "bob"])]);
    assert_eq!(diff(&same, &same.clone()), RestorePlan::default());
    assert_eq!(settings_left(&same, &same.clone()), None);
}

#[test]
fn changed_settings_are_reset_together_and_one_by_one() {
    let before = globals(json!({"stats": {"enabled": true, "jobs_log_size": 10}, "udc": {"enabled": false}}), &[]);
    let after = globals(json!({"stats": {"enabled": false, "jobs_log_size": 11}, "udc": {"enabled": false}}), &[]);
    let reset = diff(&before, &after).reset.unwrap();
    assert_eq!(reset.statement, r#"RESET GLOBAL "stats.enabled", "stats.jobs_log_size""#);
    assert_eq!(reset.what, "stats.enabled, stats.jobs_log_size");
    let parts: Vec<&str> = reset.parts.iter().map(|part| part.statement.as_str()).collect();
    assert_eq!(parts, [r#"RESET GLOBAL "stats.enabled""#, r#"RESET GLOBAL "stats.jobs_log_size""#]);
}

#[test]
fn what_the_reset_did_not_bring_back_is_set() {
    let before = globals(
        json!({"a": {"text": "it's", "number": 0.55, "yes": true, "list": ["x", "y"], "none": []}, "same": 1}),
        &[],
    );
    let after =
        globals(json!({"a": {"text": "", "number": 1, "yes": false, "list": [], "none": ["z"]}, "same": 1}), &[]);
    assert_eq!(
        settings_left(&before, &after).unwrap().statement,
        r#"SET GLOBAL "a.list" = ['x', 'y'], "a.none" = [], "a.number" = 0.55, "a.text" = 'it''s', "a.yes" = TRUE"#
    );
}

#[test]
fn a_setting_that_was_not_there_is_reset_and_never_set() {
    let before = globals(json!({"logger": []}), &[]);
    let after = globals(json!({"logger": [{"name": "logger.action", "level": "DEBUG"}]}), &[]);
    assert_eq!(statements(&diff(&before, &after)), [r#"RESET GLOBAL "logger.action""#]);
    assert_eq!(settings_left(&before, &after), None);
    // The other way round the test has reset what somebody had set.
    assert_eq!(settings_left(&after, &before).unwrap().statement, r#"SET GLOBAL "logger.action" = 'DEBUG'"#);
}

#[test]
fn settings_that_only_a_restart_changes_and_empty_groups_are_not_looked_at() {
    let all = flatten(&json!({
        "gateway": {"expected_nodes": 3},
        "cluster": {"awareness": {"force": {"": {}}, "attributes": []}, "gone": null},
        "logger": [],
    }));
    assert_eq!(all.into_iter().collect::<Vec<_>>(), [("cluster.awareness.attributes".to_owned(), json!([]))]);
}

#[test]
fn what_was_made_is_dropped_in_an_order_that_works() {
    let before = globals(json!({}), &Thing::ALL.map(|kind| (kind, &["old"][..])));
    let after = globals(json!({}), &Thing::ALL.map(|kind| (kind, &["new", "old"][..])));
    assert_eq!(
        statements(&diff(&before, &after)),
        [
            r#"DROP SUBSCRIPTION IF EXISTS "new""#,
            r#"DROP PUBLICATION IF EXISTS "new""#,
            r#"DROP SERVER IF EXISTS "new" CASCADE"#,
            r#"DROP ANALYZER "new""#,
            r#"DROP REPOSITORY "new""#,
            r#"DROP BLOB TABLE IF EXISTS "new""#,
            r#"DROP USER IF EXISTS "new""#,
            r#"DROP ROLE IF EXISTS "new""#,
        ]
    );
}

#[test]
fn a_hostile_name_stays_a_name() {
    let before = globals(json!({}), &[(Thing::User, &[])]);
    let after = globals(json!({}), &[(Thing::User, &[r#"a"; DROP USER "crate"#])]);
    assert_eq!(statements(&diff(&before, &after)), [r#"DROP USER IF EXISTS "a""; DROP USER ""crate""#]);
    let before = globals(json!({r#"a"b"#: "'; x"}), &[]);
    let after = globals(json!({}), &[]);
    assert_eq!(settings_left(&before, &after).unwrap().statement, r#"SET GLOBAL "a""b" = '''; x'"#);
}

#[test]
fn what_was_there_is_never_dropped_and_what_is_gone_is_named() {
    let before = globals(json!({}), &[(Thing::User, &["bob", "eve"]), (Thing::Repository, &["backup"])]);
    let after = globals(json!({}), &[(Thing::User, &["eve", "new"]), (Thing::Repository, &[])]);
    let plan = diff(&before, &after);
    assert_eq!(statements(&plan), [r#"DROP USER IF EXISTS "new""#]);
    assert_eq!(plan.lost, [r#"repository "backup""#, r#"user "bob""#]);
}

#[test]
fn a_kind_that_was_not_listed_both_times_is_left_alone() {
    let listed = globals(json!({}), &[(Thing::User, &["a", "b"])]);
    let not_listed = globals(json!({}), &[]);
    assert_eq!(diff(&not_listed, &listed), RestorePlan::default(), "everything would look new");
    assert_eq!(diff(&listed, &not_listed), RestorePlan::default(), "everything would look lost");
}

#[test]
fn another_cluster_is_left_alone() {
    let before = globals(json!({"a": 1}), &[(Thing::User, &["a"])]);
    let after = Globals { cluster: "c2".into(), ..globals(json!({"a": 2}), &[(Thing::User, &["b"])]) };
    assert_eq!(diff(&before, &after), RestorePlan::default());
    assert_eq!(settings_left(&before, &after), None);
}

#[test]
fn a_role_is_taken_from_who_stays_before_it_is_dropped() {
    let before = globals(json!({}), &[(Thing::User, &["old"]), (Thing::Role, &["r0"])]);
    let mut after = globals(json!({}), &[(Thing::User, &["new", "old"]), (Thing::Role, &["r0", "r1", "r2"])]);
    let granted = |role: &str, who: &str| (role.to_owned(), who.to_owned());
    after.granted = vec![granted("r0", "old"), granted("r1", "new"), granted("r1", "old"), granted("r2", "r1")];
    assert_eq!(
        statements(&diff(&before, &after)),
        [
            r#"REVOKE "r1" FROM "old""#,
            r#"REVOKE "r2" FROM "r1""#,
            r#"DROP USER IF EXISTS "new""#,
            r#"DROP ROLE IF EXISTS "r1""#,
            r#"DROP ROLE IF EXISTS "r2""#,
        ]
    );
}

#[test]
fn survives_the_journal_but_for_what_is_of_the_present_only() {
    let mut seen = globals(json!({"a": {"b": [1, "x"]}}), &[(Thing::BlobTable, &["b"])]);
    seen.granted.push(("r".into(), "u".into()));
    let again: Globals = serde_json::from_str(&serde_json::to_string(&seen).unwrap()).unwrap();
    assert_eq!(again, Globals { granted: Vec::new(), ..seen });
}

#[test]
fn says_what_was_put_back_in_one_line_and_nothing_about_nothing() {
    let list = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    assert_eq!(sentence("t", &Restored::default()), None);
    let restored = Restored {
        set_back: list(&["stats.enabled"]),
        dropped: list(&["user \"a\""]),
        not: list(&["user \"b\" (dropped)"]),
    };
    let all = sentence("m::t", &restored);
    assert_eq!(
        all.unwrap(),
        "`m::t` changed the cluster outside its schema: set back stats.enabled; dropped user \"a\"; \
         NOT put back: user \"b\" (dropped)"
    );
}
