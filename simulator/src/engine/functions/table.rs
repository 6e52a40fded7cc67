//! The table of functions: every function of CrateDB, with the forms in which this engine has it.

use super::Arg::*;
use super::Form::*;
use super::What::*;
use super::arrays::items;
use super::math::{checked, d, double};
use super::strings::{count, t};
use super::*;
use crate::engine::context::Context;
use crate::engine::time::DAY;

/// Functions in the order of their names. One without forms is refused: CrateDB has it and this engine doesn't, or it
/// is a word that CrateDB doesn't report as an unknown function.
pub(super) static FUNCTIONS: &[(&str, What)] = &[
    ("abs", Scalar(&[Own(1, 1, math::abs), NothingElse])),
    ("acos", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(libm::acos(math::in_range(d(&v[0]))?)))])),
    ("add", Scalar(&[])),
    ("age", Scalar(&[])),
    ("all", Scalar(&[])),
    ("any", Scalar(&[])),
    ("any_value", Aggregate(&[(aggregates::of_any, aggregates::any_value)])),
    ("arbitrary", Aggregate(&[(aggregates::of_any, aggregates::any_value)])),
    ("area", Scalar(&[])),
    ("array", Scalar(&[])),
    ("array_agg", Aggregate(&[(aggregates::of_array_agg, aggregates::array_agg)])),
    ("array_append", Scalar(&[Lax(&[Array, NewItem], Gives::Same(0), arrays::append)])),
    ("array_avg", Scalar(&[Own(1, 1, arrays::average)])),
    ("array_cat", Scalar(&[Own(2, 2, arrays::cat_typed)])),
    ("array_difference", Scalar(&[Lax(&[Array, SameArray], Gives::Same(0), arrays::difference)])),
    ("array_length", Scalar(&[Strict(&[Array, One], Gives::Integer, arrays::length)])),
    (
        "array_lower",
        Scalar(&[Strict(&[Array, One], Gives::Integer, |_, v| {
            Ok(if items(&v[0]).is_empty() { Value::Null } else { Value::Int(1) })
        })]),
    ),
    ("array_max", Scalar(&[Strict(&[Numbers], Gives::Element, |_, v| Ok(most(items(&v[0]).iter(), true)))])),
    ("array_min", Scalar(&[Strict(&[Numbers], Gives::Element, |_, v| Ok(most(items(&v[0]).iter(), false)))])),
    ("array_overlap", Scalar(&[Strict(&[Array, SameArray], Gives::Boolean, arrays::overlap)])),
    ("array_position", Scalar(&[Strict(&[Array, Item], Gives::Integer, arrays::position)])),
    ("array_prepend", Scalar(&[Lax(&[NewItem, Array], Gives::Same(1), arrays::prepend)])),
    ("array_set", Scalar(&[])),
    ("array_slice", Scalar(&[Lax(&[Array, Exact, Exact], Gives::Same(0), arrays::slice)])),
    ("array_sum", Scalar(&[Strict(&[Integers], Gives::BigInt, arrays::sum)])),
    ("array_to_string", Scalar(&[Own(2, 3, arrays::to_string)])),
    ("array_unique", Scalar(&[Lax(&[Array], Gives::Same(0), arrays::unique)])),
    ("array_unnest", Scalar(&[])),
    ("array_upper", Scalar(&[As("array_length")])),
    (
        "ascii",
        Scalar(&[Strict(&[Text], Gives::Integer, |_, v| count(t(&v[0]).chars().next().map_or(0, |c| c as usize)))]),
    ),
    ("asin", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(libm::asin(math::in_range(d(&v[0]))?)))])),
    ("atan", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(libm::atan(d(&v[0]))))])),
    ("atan2", Scalar(&[Strict(&[Number, Number], Gives::Double, |_, v| double(libm::atan2(d(&v[0]), d(&v[1]))))])),
    ("avg", Aggregate(&[(aggregates::of_average, aggregates::average)])),
    ("bit_length", Scalar(&[Strict(&[Text], Gives::Integer, |_, v| count(8 * t(&v[0]).len()))])),
    ("blake3", Scalar(&[])),
    (
        "btrim",
        Scalar(&[Strict(&[Text, Text], Gives::Text, |_, v| {
            Ok(Value::text(t(&v[0]).trim_matches(|c| t(&v[1]).contains(c))))
        })]),
    ),
    ("case", Scalar(&[])),
    ("cast", Scalar(&[])),
    ("ceil", Scalar(&[Own(1, 1, math::whole)])),
    ("ceiling", Scalar(&[As("ceil")])),
    ("char_length", Scalar(&[As("length")])),
    ("chr", Scalar(&[Strict(&[Integer], Gives::Text, strings::chr)])),
    ("coalesce", Scalar(&[Own(1, usize::MAX, coalesce)])),
    ("col_description", Scalar(&[])),
    ("collect_set", Aggregate(&[])),
    ("collection_avg", Scalar(&[])),
    ("collection_count", Aggregate(&[])),
    ("collection_mean", Scalar(&[])),
    ("concat", Scalar(&[Own(1, usize::MAX, strings::concat), NothingElse])),
    ("concat_ws", Scalar(&[Own(2, usize::MAX, strings::concat_ws)])),
    ("cos", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(d(&v[0]).cos()))])),
    ("cot", Scalar(&[Strict(&[Number], Gives::Double, math::cot)])),
    ("count", Aggregate(&[(aggregates::of_count, aggregates::count)])),
    ("curdate", Scalar(&[As("current_date")])),
    ("current_catalog", Scalar(&[As("current_database")])),
    ("current_database", Scalar(&[Own(0, 0, |_, _| Ok(given("crate")))])),
    ("current_date", Scalar(&[Lax(&[], Gives::Date, |c, _| Ok(Value::Int(c.now - c.now.rem_euclid(DAY))))])),
    ("current_role", Scalar(&[])),
    ("current_schema", Scalar(&[Lax(&[], Gives::Text, |c, _| Ok(Value::text(c.session.schema())))])),
    ("current_schemas", Scalar(&[Own(1, 1, current_schemas)])),
    ("current_setting", Scalar(&[Own(1, 2, current_setting)])),
    (
        "current_time",
        Scalar(&[Lax(&[], Gives::TimeTz, |c, _| {
            Ok(Value::Array(vec![Value::Int(c.now.rem_euclid(DAY) * 1000), Value::Int(0)]))
        })]),
    ),
    ("current_timestamp", Scalar(&[As("now")])),
    ("current_user", Scalar(&[Lax(&[], Gives::Text, |c, _| Ok(Value::text(&c.session.user)))])),
    ("date_bin", Scalar(&[Own(3, 3, dates::bin)])),
    ("date_format", Scalar(&[Own(1, 3, dates::format)])),
    ("date_trunc", Scalar(&[Own(2, 3, dates::trunc)])),
    ("decode", Scalar(&[Strict(&[Text, Text], Gives::Text, codes::decode)])),
    ("degrees", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(d(&v[0]).to_degrees()))])),
    ("dense_rank", Window(&[(aggregates::of_rank, aggregates::dense_rank)])),
    ("distance", Scalar(&[])),
    ("divide", Scalar(&[])),
    ("empty_row", Scalar(&[])),
    ("encode", Scalar(&[Strict(&[Text, Text], Gives::Text, codes::encode)])),
    ("exp", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(d(&v[0]).exp()))])),
    ("first_value", Window(&[(aggregates::of_value, aggregates::first_value)])),
    ("floor", Scalar(&[Own(1, 1, math::whole)])),
    ("format", Scalar(&[])),
    ("format_type", Scalar(&[])),
    ("gen_random_text_uuid", Scalar(&[Volatile(Gives::Text, |_, _| Ok(Value::Text(random_id())))])),
    ("generate_series", Table(sets::of_series, sets::generate_series)),
    ("generate_subscripts", Table(sets::of_subscripts, sets::generate_subscripts)),
    ("geohash", Scalar(&[])),
    ("geometric_mean", Aggregate(&[(aggregates::of_spread, aggregates::geometric_mean)])),
    ("greatest", Scalar(&[Own(1, usize::MAX, extreme)])),
    ("has_database_privilege", Scalar(&[])),
    ("has_function_privilege", Scalar(&[])),
    ("has_schema_privilege", Scalar(&[])),
    ("has_table_privilege", Scalar(&[])),
    ("hyperloglog_distinct", Aggregate(&[(aggregates::of_distinct, aggregates::hyperloglog_distinct)])),
    ("if", Scalar(&[])),
    ("ignore3vl", Scalar(&[Lax(&[Truth], Gives::Boolean, |_, v| Ok(Value::Bool(v[0] == Value::Bool(true))))])),
    (
        "initcap",
        Scalar(&[Strict(&[Text], Gives::Text, |_, v| Ok(Value::Text(strings::initcap(t(&v[0]))))), NothingElse]),
    ),
    ("intersects", Scalar(&[])),
    ("knn_match", Scalar(&[])),
    ("lag", Window(&[(aggregates::of_offset, aggregates::lag)])),
    ("last_value", Window(&[(aggregates::of_value, aggregates::last_value)])),
    ("latitude", Scalar(&[])),
    ("lead", Window(&[(aggregates::of_offset, aggregates::lead)])),
    ("least", Scalar(&[Own(1, usize::MAX, extreme)])),
    ("left", Scalar(&[Strict(&[Text, Integer], Gives::Text, |_, v| Ok(strings::side(&v, true)))])),
    ("length", Scalar(&[Strict(&[Text], Gives::Integer, |_, v| count(t(&v[0]).chars().count()))])),
    ("ln", Scalar(&[Strict(&[Number], Gives::Double, |_, v| checked("ln", d(&v[0]).ln()))])),
    (
        "log",
        Scalar(&[
            Strict(&[Number], Gives::Double, |_, v| checked("log", libm::log10(d(&v[0])))),
            Strict(&[Number, Number], Gives::Double, math::log),
        ]),
    ),
    ("longitude", Scalar(&[])),
    ("lower", Scalar(&[Strict(&[Text], Gives::Text, |_, v| Ok(Value::Text(t(&v[0]).to_lowercase()))), NothingElse])),
    (
        "lpad",
        Scalar(&[
            Strict(&[Text, Integer], Gives::Text, |_, v| strings::pad(&v, true)),
            Strict(&[Text, Integer, Text], Gives::Text, |_, v| strings::pad(&v, true)),
        ]),
    ),
    (
        "ltrim",
        Scalar(&[
            Strict(&[Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_start_matches(' ')))),
            Strict(&[Text, Text], Gives::Text, |_, v| {
                Ok(Value::text(t(&v[0]).trim_start_matches(|c| t(&v[1]).contains(c))))
            }),
        ]),
    ),
    ("map", Scalar(&[])),
    ("match", Scalar(&[])),
    ("max", Aggregate(&[(aggregates::of_extreme, aggregates::max)])),
    ("max_by", Aggregate(&[(aggregates::of_extreme_by, aggregates::max_by)])),
    ("md5", Scalar(&[Strict(&[Text], Gives::Text, codes::md5)])),
    ("mean", Aggregate(&[(aggregates::of_average, aggregates::average)])),
    ("min", Aggregate(&[(aggregates::of_extreme, aggregates::min)])),
    ("min_by", Aggregate(&[(aggregates::of_extreme_by, aggregates::min_by)])),
    ("mod", Scalar(&[Own(2, 2, math::modulo)])),
    ("modulus", Scalar(&[])),
    ("multiply", Scalar(&[])),
    ("now", Scalar(&[Lax(&[], Gives::TimestampTz, |c, _| Ok(Value::Int(c.now)))])),
    ("nth_value", Window(&[(aggregates::of_nth, aggregates::nth_value)])),
    ("null_or_empty", Scalar(&[Lax(&[Container], Gives::Boolean, null_or_empty)])),
    ("nullif", Scalar(&[Own(2, 2, nullif)])),
    ("obj_description", Scalar(&[])),
    ("object_keys", Scalar(&[Strict(&[Object], Gives::Texts, object_keys)])),
    ("octet_length", Scalar(&[Strict(&[Text], Gives::Integer, |_, v| count(t(&v[0]).len()))])),
    ("op_is", Scalar(&[Lax(&[Truth, Truth], Gives::Boolean, |_, v| Ok(Value::Bool(v[0] == v[1])))])),
    ("op_||", Scalar(&[Own(2, 2, strings::concatenate)])),
    ("parse_ident", Scalar(&[])),
    ("parse_uri", Scalar(&[])),
    ("parse_url", Scalar(&[])),
    ("percentile", Aggregate(&[(aggregates::of_percentile, aggregates::percentile)])),
    ("pg_backend_pid", Scalar(&[Lax(&[], Gives::Integer, |_, _| Ok(Value::Int(-1)))])),
    ("pg_encoding_to_char", Scalar(&[])),
    ("pg_function_is_visible", Scalar(&[])),
    ("pg_get_constraintdef", Scalar(&[])),
    ("pg_get_expr", Scalar(&[])),
    ("pg_get_function_result", Scalar(&[])),
    ("pg_get_keywords", Scalar(&[])),
    ("pg_get_partkeydef", Scalar(&[])),
    ("pg_get_serial_sequence", Scalar(&[])),
    ("pg_get_userbyid", Scalar(&[])),
    ("pg_postmaster_start_time", Scalar(&[Lax(&[], Gives::TimestampTz, |c, _| Ok(Value::Int(c.state.started)))])),
    ("pg_sleep", Scalar(&[])),
    ("pg_table_is_visible", Scalar(&[])),
    ("pg_typeof", Scalar(&[Own(1, 1, |_, args| Ok(given(args[0].ty.name())))])),
    ("pi", Scalar(&[Own(0, 0, |_, _| Ok(Expr::literal(Value::Double(std::f64::consts::PI), Type::Double)))])),
    ("pow", Scalar(&[As("power")])),
    ("power", Scalar(&[Strict(&[Number, Number], Gives::Double, |_, v| double(d(&v[0]).powf(d(&v[1]))))])),
    ("quote_ident", Scalar(&[Strict(&[Text], Gives::Text, strings::quote_ident)])),
    ("radians", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(d(&v[0]).to_radians()))])),
    ("random", Scalar(&[Volatile(Gives::Double, |_, _| double(math::random()))])),
    ("rank", Window(&[(aggregates::of_rank, aggregates::rank)])),
    ("regexp_count", Scalar(&[])),
    ("regexp_instr", Scalar(&[])),
    ("regexp_matches", Scalar(&[])),
    ("regexp_replace", Scalar(&[])),
    ("repeat", Scalar(&[Strict(&[Text, Integer], Gives::Text, strings::repeat)])),
    ("replace", Scalar(&[Strict(&[Text, Text, Text], Gives::Text, strings::replace)])),
    (
        "reverse",
        Scalar(&[Strict(&[Text], Gives::Text, |_, v| Ok(Value::Text(t(&v[0]).chars().rev().collect()))), NothingElse]),
    ),
    ("right", Scalar(&[Strict(&[Text, Integer], Gives::Text, |_, v| Ok(strings::side(&v, false)))])),
    ("round", Scalar(&[Own(1, 1, math::whole), Own(2, 2, math::round_to)])),
    ("row_number", Window(&[(aggregates::of_rank, aggregates::row_number)])),
    (
        "rpad",
        Scalar(&[
            Strict(&[Text, Integer], Gives::Text, |_, v| strings::pad(&v, false)),
            Strict(&[Text, Integer, Text], Gives::Text, |_, v| strings::pad(&v, false)),
        ]),
    ),
    (
        "rtrim",
        Scalar(&[
            Strict(&[Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_end_matches(' ')))),
            Strict(&[Text, Text], Gives::Text, |_, v| {
                Ok(Value::text(t(&v[0]).trim_end_matches(|c| t(&v[1]).contains(c))))
            }),
        ]),
    ),
    ("session_user", Scalar(&[As("current_user")])),
    ("sha1", Scalar(&[Strict(&[Text], Gives::Text, codes::sha1)])),
    (
        "sign",
        Scalar(&[Strict(&[Number], Gives::Double, |_, v| {
            double(if d(&v[0]) == 0.0 { 0.0 } else { d(&v[0]).signum() })
        })]),
    ),
    ("sin", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(d(&v[0]).sin()))])),
    ("some", Scalar(&[])),
    ("split_part", Scalar(&[Strict(&[Text, Text, Integer], Gives::Text, strings::split_part)])),
    ("sqrt", Scalar(&[Strict(&[Number], Gives::Double, math::sqrt)])),
    (
        "starts_with",
        Scalar(&[Strict(&[Text, Text], Gives::Boolean, |_, v| Ok(Value::Bool(t(&v[0]).starts_with(t(&v[1])))))]),
    ),
    ("stddev", Aggregate(&[(aggregates::of_spread, aggregates::sample_deviation)])),
    ("stddev_pop", Aggregate(&[(aggregates::of_spread, aggregates::deviation)])),
    ("stddev_samp", Aggregate(&[(aggregates::of_spread, aggregates::sample_deviation)])),
    ("string_agg", Aggregate(&[(aggregates::of_string_agg, aggregates::string_agg)])),
    (
        "string_to_array",
        Scalar(&[
            Lax(&[Text, Text], Gives::Texts, strings::string_to_array),
            Lax(&[Text, Text, Text], Gives::Texts, strings::string_to_array),
        ]),
    ),
    ("strpos", Scalar(&[Strict(&[Text, Text], Gives::Integer, strings::strpos)])),
    ("subscript", Scalar(&[])),
    ("substr", Scalar(&[Own(2, 3, strings::substr)])),
    ("substring", Scalar(&[As("substr")])),
    ("subtract", Scalar(&[])),
    ("sum", Aggregate(&[(aggregates::of_sum, aggregates::sum)])),
    ("tan", Scalar(&[Strict(&[Number], Gives::Double, |_, v| double(d(&v[0]).tan()))])),
    ("timezone", Scalar(&[Own(2, 2, dates::zone)])),
    ("to_char", Scalar(&[])),
    ("topk", Aggregate(&[])),
    ("translate", Scalar(&[Strict(&[Text, Text, Text], Gives::Text, strings::translate)])),
    (
        "trim",
        Scalar(&[
            Strict(&[Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_matches(' ')))),
            Strict(&[Text, Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_matches(|c| t(&v[1]).contains(c))))),
            Strict(&[Text, Text, Text], Gives::Text, |_, v| Ok(strings::trim(&v))),
        ]),
    ),
    ("trunc", Scalar(&[Own(1, 1, math::whole), Own(2, 2, math::truncate_to)])),
    ("try_cast", Scalar(&[])),
    ("unnest", Table(sets::of_unnest, sets::unnest)),
    ("upper", Scalar(&[Strict(&[Text], Gives::Text, |_, v| Ok(Value::Text(t(&v[0]).to_uppercase()))), NothingElse])),
    ("user", Scalar(&[])),
    ("variance", Aggregate(&[(aggregates::of_spread, aggregates::variance)])),
    ("vector_similarity", Scalar(&[])),
    ("version", Scalar(&[Lax(&[], Gives::Text, version)])),
    ("within", Scalar(&[])),
];

/// Makes a literal of a text that is known at analysis.
fn given(value: impl Into<String>) -> Expr {
    Expr::literal(Value::text(value), TEXT)
}

fn null_or_empty(_: &Context, v: Vec<Value>) -> Result<Value> {
    Ok(Value::Bool(match &v[0] {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        value => value.is_null(),
    }))
}

fn object_keys(_: &Context, v: Vec<Value>) -> Result<Value> {
    match &v[0] {
        Value::Object(fields) => Ok(Value::Array(fields.iter().map(|f| Value::text(&f.0)).collect())),
        _ => Ok(Value::Null),
    }
}

fn version(c: &Context, _: Vec<Value>) -> Result<Value> {
    Ok(Value::Text(format!("CrateDB {} (embedded engine of the CrateDB Cloud simulator)", c.options.version)))
}
