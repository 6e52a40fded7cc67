//! The table of functions: every function of CrateDB, with the forms in which this engine has it.

use super::arrays::items;
use super::math::{checked, d, double, long};
use super::strings::{count, t};
use super::*;
use crate::engine::context::Context;
use crate::engine::time::DAY;

/// Functions in the order of their names. One without forms is refused: CrateDB has it and this engine doesn't, or it
/// is a word that CrateDB doesn't report as an unknown function.
pub(super) static FUNCTIONS: &[(&str, What)] = &[
    ("_pg_expandarray", What::Scalar(&[])),
    ("abs", What::Scalar(&[Form::Own(1, 1, math::abs), Form::NothingElse])),
    ("acos", What::Scalar(&[])),
    ("add", What::Scalar(&[])),
    ("age", What::Scalar(&[])),
    ("all", What::Scalar(&[])),
    ("any", What::Scalar(&[])),
    ("any_value", What::Aggregate(&[])),
    ("arbitrary", What::Aggregate(&[])),
    ("area", What::Scalar(&[])),
    ("array", What::Scalar(&[])),
    ("array_agg", What::Aggregate(&[(aggregates::of_array_agg, aggregates::array_agg)])),
    ("array_append", What::Scalar(&[Form::Strict(&[Arg::Array, Arg::NewItem], Gives::Same(0), arrays::append)])),
    ("array_avg", What::Scalar(&[])),
    ("array_cat", What::Scalar(&[Form::Own(2, 2, arrays::cat_typed)])),
    ("array_contains", What::Scalar(&[])),
    (
        "array_difference",
        What::Scalar(&[Form::Strict(&[Arg::Array, Arg::SameArray], Gives::Same(0), arrays::difference)]),
    ),
    ("array_flatten", What::Scalar(&[])),
    ("array_length", What::Scalar(&[Form::Strict(&[Arg::Array, Arg::One], Gives::Integer, arrays::length)])),
    (
        "array_lower",
        What::Scalar(&[Form::Strict(&[Arg::Array, Arg::One], Gives::Integer, |_, v| {
            Ok(if items(&v[0]).is_empty() { Value::Null } else { Value::Int(1) })
        })]),
    ),
    (
        "array_max",
        What::Scalar(&[Form::Strict(&[Arg::Numbers], Gives::Element, |_, v| Ok(most(items(&v[0]).iter(), true)))]),
    ),
    (
        "array_min",
        What::Scalar(&[Form::Strict(&[Arg::Numbers], Gives::Element, |_, v| Ok(most(items(&v[0]).iter(), false)))]),
    ),
    ("array_overlap", What::Scalar(&[Form::Strict(&[Arg::Array, Arg::SameArray], Gives::Boolean, arrays::overlap)])),
    ("array_position", What::Scalar(&[Form::Strict(&[Arg::Array, Arg::Item], Gives::Integer, arrays::position)])),
    ("array_prepend", What::Scalar(&[Form::Strict(&[Arg::NewItem, Arg::Array], Gives::Same(1), arrays::prepend)])),
    ("array_set", What::Scalar(&[])),
    (
        "array_slice",
        What::Scalar(&[Form::Strict(&[Arg::Array, Arg::Exact, Arg::Exact], Gives::Same(0), arrays::slice)]),
    ),
    ("array_sum", What::Scalar(&[Form::Strict(&[Arg::Integers], Gives::BigInt, arrays::sum)])),
    ("array_to_string", What::Scalar(&[Form::Own(2, 3, arrays::to_string)])),
    ("array_unique", What::Scalar(&[Form::Strict(&[Arg::Array], Gives::Same(0), arrays::unique)])),
    ("array_unnest", What::Scalar(&[])),
    ("array_upper", What::Scalar(&[Form::As("array_length")])),
    (
        "ascii",
        What::Scalar(&[Form::Strict(&[Arg::Text], Gives::Integer, |_, v| {
            count(t(&v[0]).chars().next().map_or(0, |c| c as usize))
        })]),
    ),
    ("asin", What::Scalar(&[])),
    ("atan", What::Scalar(&[])),
    (
        "atan2",
        What::Scalar(&[Form::Strict(&[Arg::Number, Arg::Number], Gives::Double, |_, v| {
            double(d(&v[0]).atan2(d(&v[1])))
        })]),
    ),
    ("avg", What::Aggregate(&[(aggregates::of_average, aggregates::average)])),
    ("bit_and", What::Scalar(&[])),
    ("bit_length", What::Scalar(&[])),
    ("bit_or", What::Scalar(&[])),
    ("bit_xor", What::Scalar(&[])),
    ("blake3", What::Scalar(&[])),
    (
        "btrim",
        What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text], Gives::Text, |_, v| {
            Ok(Value::text(t(&v[0]).trim_matches(|c| t(&v[1]).contains(c))))
        })]),
    ),
    ("case", What::Scalar(&[])),
    ("cast", What::Scalar(&[])),
    ("catcode", What::Scalar(&[])),
    ("catdesc", What::Scalar(&[])),
    ("cbrt", What::Scalar(&[])),
    ("ceil", What::Scalar(&[Form::Strict(&[Arg::Double], Gives::BigInt, |_, v| long(d(&v[0]).ceil()))])),
    ("ceiling", What::Scalar(&[Form::As("ceil")])),
    ("char_length", What::Scalar(&[Form::As("length")])),
    ("chr", What::Scalar(&[Form::Strict(&[Arg::Integer], Gives::Text, strings::chr)])),
    ("clock_timestamp", What::Scalar(&[])),
    ("coalesce", What::Scalar(&[Form::Own(1, usize::MAX, coalesce)])),
    ("col_description", What::Scalar(&[])),
    ("collect_set", What::Aggregate(&[])),
    ("collection_avg", What::Scalar(&[])),
    ("collection_count", What::Aggregate(&[])),
    ("collection_mean", What::Scalar(&[])),
    ("concat", What::Scalar(&[Form::Own(2, usize::MAX, strings::concat)])),
    ("concat_ws", What::Scalar(&[Form::Own(2, usize::MAX, strings::concat_ws)])),
    ("convert_from", What::Scalar(&[])),
    ("convert_to", What::Scalar(&[])),
    ("cos", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| double(d(&v[0]).cos()))])),
    ("cot", What::Scalar(&[])),
    ("count", What::Aggregate(&[(aggregates::of_count, aggregates::count)])),
    ("count_min_sketch", What::Aggregate(&[])),
    ("crc32", What::Scalar(&[])),
    ("curdate", What::Scalar(&[Form::As("current_date")])),
    ("current_catalog", What::Scalar(&[Form::As("current_database")])),
    ("current_database", What::Scalar(&[Form::Own(0, 0, |_, _| Ok(given("crate")))])),
    (
        "current_date",
        What::Scalar(&[Form::Lax(&[], Gives::Date, |c, _| Ok(Value::Int(c.now - c.now.rem_euclid(DAY))))]),
    ),
    ("current_role", What::Scalar(&[])),
    ("current_schema", What::Scalar(&[Form::Lax(&[], Gives::Text, |c, _| Ok(Value::text(c.session.schema())))])),
    ("current_schemas", What::Scalar(&[Form::Own(1, 1, current_schemas)])),
    ("current_setting", What::Scalar(&[Form::Own(1, 2, current_setting)])),
    (
        "current_time",
        What::Scalar(&[Form::Lax(&[], Gives::TimeTz, |c, _| {
            Ok(Value::Array(vec![Value::Int(c.now.rem_euclid(DAY) * 1000), Value::Int(0)]))
        })]),
    ),
    ("current_timestamp", What::Scalar(&[Form::As("now")])),
    ("current_user", What::Scalar(&[Form::Lax(&[], Gives::Text, |c, _| Ok(Value::text(&c.session.user)))])),
    ("date_bin", What::Scalar(&[Form::Own(3, 3, dates::bin)])),
    ("date_format", What::Scalar(&[Form::Own(1, 2, dates::format)])),
    ("date_part", What::Scalar(&[])),
    ("date_trunc", What::Scalar(&[Form::Own(2, 2, dates::trunc)])),
    ("decode", What::Scalar(&[])),
    ("degrees", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| double(d(&v[0]).to_degrees()))])),
    ("dense_rank", What::Window(&[(windows::of_rank, windows::dense_rank)])),
    ("distance", What::Scalar(&[])),
    ("divide", What::Scalar(&[])),
    ("empty_row", What::Scalar(&[])),
    ("encode", What::Scalar(&[])),
    ("exp", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| double(d(&v[0]).exp()))])),
    ("first_value", What::Window(&[(windows::of_value, windows::first_value)])),
    ("floor", What::Scalar(&[Form::Strict(&[Arg::Double], Gives::BigInt, |_, v| long(d(&v[0]).floor()))])),
    ("format", What::Scalar(&[])),
    ("format_type", What::Scalar(&[])),
    ("gen_random_text_uuid", What::Scalar(&[Form::Volatile(Gives::Text, |_, _| Ok(Value::Text(random_id())))])),
    ("gen_random_uuid", What::Scalar(&[])),
    ("generate_series", What::Table(sets::of_series, sets::generate_series)),
    ("generate_subscripts", What::Table(sets::of_subscripts, sets::generate_subscripts)),
    ("geo_intersects", What::Scalar(&[])),
    ("geo_point_to_text", What::Scalar(&[])),
    ("geohash", What::Scalar(&[])),
    ("geometric_mean", What::Aggregate(&[])),
    ("greatest", What::Scalar(&[Form::Own(1, usize::MAX, extreme)])),
    ("has_database_privilege", What::Scalar(&[])),
    ("has_function_privilege", What::Scalar(&[])),
    ("has_schema_privilege", What::Scalar(&[])),
    ("has_table_privilege", What::Scalar(&[])),
    ("hostname", What::Scalar(&[])),
    ("hyperloglog_distinct", What::Aggregate(&[(aggregates::of_distinct, aggregates::hyperloglog_distinct)])),
    ("if", What::Scalar(&[])),
    ("ignore3vl", What::Scalar(&[])),
    ("inet_aton", What::Scalar(&[])),
    (
        "initcap",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::Text(strings::initcap(t(&v[0]))))),
            Form::NothingElse,
        ]),
    ),
    ("intersects", What::Scalar(&[])),
    ("json_typeof", What::Scalar(&[])),
    ("jsonb", What::Scalar(&[])),
    ("knn_match", What::Scalar(&[])),
    ("lag", What::Window(&[(windows::of_offset, windows::lag)])),
    ("last_value", What::Window(&[(windows::of_value, windows::last_value)])),
    ("latitude", What::Scalar(&[])),
    ("lead", What::Window(&[(windows::of_offset, windows::lead)])),
    ("least", What::Scalar(&[Form::Own(1, usize::MAX, extreme)])),
    (
        "left",
        What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Integer], Gives::Text, |_, v| Ok(strings::side(&v, true)))]),
    ),
    ("length", What::Scalar(&[Form::Strict(&[Arg::Text], Gives::Integer, |_, v| count(t(&v[0]).chars().count()))])),
    ("levenshtein", What::Scalar(&[])),
    ("ln", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| checked("ln", d(&v[0]).ln()))])),
    ("localtime", What::Scalar(&[])),
    ("localtimestamp", What::Scalar(&[])),
    (
        "log",
        What::Scalar(&[
            Form::Strict(&[Arg::Number], Gives::Double, |_, v| checked("log", d(&v[0]).log10())),
            Form::Strict(&[Arg::Number, Arg::Number], Gives::Double, |_, v| {
                checked("log", d(&v[0]).ln() / d(&v[1]).ln())
            }),
        ]),
    ),
    ("longitude", What::Scalar(&[])),
    (
        "lower",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::Text(t(&v[0]).to_lowercase()))),
            Form::NothingElse,
        ]),
    ),
    (
        "lpad",
        What::Scalar(&[
            Form::Strict(&[Arg::Text, Arg::Integer], Gives::Text, |_, v| strings::pad(&v, true)),
            Form::Strict(&[Arg::Text, Arg::Integer, Arg::Text], Gives::Text, |_, v| strings::pad(&v, true)),
        ]),
    ),
    (
        "ltrim",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_start_matches(' ')))),
            Form::Strict(&[Arg::Text, Arg::Text], Gives::Text, |_, v| {
                Ok(Value::text(t(&v[0]).trim_start_matches(|c| t(&v[1]).contains(c))))
            }),
        ]),
    ),
    ("make_date", What::Scalar(&[])),
    ("make_timestamp", What::Scalar(&[])),
    ("map", What::Scalar(&[])),
    ("match", What::Scalar(&[])),
    ("max", What::Aggregate(&[(aggregates::of_extreme, aggregates::max)])),
    ("max_by", What::Aggregate(&[])),
    ("md5", What::Scalar(&[])),
    ("mean", What::Aggregate(&[(aggregates::of_average, aggregates::average)])),
    ("min", What::Aggregate(&[(aggregates::of_extreme, aggregates::min)])),
    ("min_by", What::Aggregate(&[])),
    ("mod", What::Scalar(&[Form::Own(2, 2, math::modulo)])),
    ("modulus", What::Scalar(&[])),
    ("multiply", What::Scalar(&[])),
    ("now", What::Scalar(&[Form::Lax(&[], Gives::TimestampTz, |c, _| Ok(Value::Int(c.now)))])),
    ("nth_value", What::Window(&[])),
    ("null_or_empty", What::Scalar(&[Form::Lax(&[Arg::Container], Gives::Boolean, null_or_empty)])),
    ("nullif", What::Scalar(&[Form::Own(2, 2, nullif)])),
    ("obj_description", What::Scalar(&[])),
    ("object_keys", What::Scalar(&[Form::Strict(&[Arg::Object], Gives::Texts, object_keys)])),
    ("octet_length", What::Scalar(&[Form::Strict(&[Arg::Text], Gives::Integer, |_, v| count(t(&v[0]).len()))])),
    ("op_||", What::Scalar(&[Form::Own(2, 2, strings::concatenate)])),
    ("overlay", What::Scalar(&[])),
    ("parse_float", What::Scalar(&[])),
    ("parse_ident", What::Scalar(&[])),
    ("parse_uri", What::Scalar(&[])),
    ("parse_url", What::Scalar(&[])),
    ("percentile", What::Aggregate(&[(aggregates::of_percentile, aggregates::percentile)])),
    ("pg_backend_pid", What::Scalar(&[])),
    ("pg_encoding_to_char", What::Scalar(&[])),
    ("pg_function_is_visible", What::Scalar(&[])),
    ("pg_get_constraintdef", What::Scalar(&[])),
    ("pg_get_expr", What::Scalar(&[])),
    ("pg_get_function_result", What::Scalar(&[])),
    ("pg_get_keywords", What::Scalar(&[])),
    ("pg_get_partkeydef", What::Scalar(&[])),
    ("pg_get_serial_sequence", What::Scalar(&[])),
    ("pg_get_userbyid", What::Scalar(&[])),
    ("pg_get_viewdef", What::Scalar(&[])),
    ("pg_is_in_recovery", What::Scalar(&[])),
    ("pg_postmaster_start_time", What::Scalar(&[])),
    ("pg_size_pretty", What::Scalar(&[])),
    ("pg_sleep", What::Scalar(&[])),
    ("pg_table_is_visible", What::Scalar(&[])),
    ("pg_table_size", What::Scalar(&[])),
    ("pg_timezone_names", What::Scalar(&[])),
    ("pg_total_relation_size", What::Scalar(&[])),
    ("pg_typeof", What::Scalar(&[Form::Own(1, 1, |_, args| Ok(given(args[0].ty.name())))])),
    (
        "pi",
        What::Scalar(&[Form::Own(0, 0, |_, _| Ok(Expr::literal(Value::Double(std::f64::consts::PI), Type::Double)))]),
    ),
    ("point", What::Scalar(&[])),
    ("pow", What::Scalar(&[Form::As("power")])),
    (
        "power",
        What::Scalar(&[Form::Strict(&[Arg::Number, Arg::Number], Gives::Double, |_, v| {
            double(d(&v[0]).powf(d(&v[1])))
        })]),
    ),
    ("quote_ident", What::Scalar(&[Form::Strict(&[Arg::Text], Gives::Text, strings::quote_ident)])),
    ("quote_literal", What::Scalar(&[])),
    ("radians", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| double(d(&v[0]).to_radians()))])),
    ("random", What::Scalar(&[Form::Volatile(Gives::Double, |_, _| double(math::random()))])),
    ("rank", What::Window(&[(windows::of_rank, windows::rank)])),
    ("regexp_count", What::Scalar(&[])),
    ("regexp_instr", What::Scalar(&[])),
    ("regexp_matches", What::Scalar(&[])),
    ("regexp_replace", What::Scalar(&[])),
    ("repeat", What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Integer], Gives::Text, strings::repeat)])),
    ("replace", What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text, Arg::Text], Gives::Text, strings::replace)])),
    (
        "reverse",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::Text(t(&v[0]).chars().rev().collect()))),
            Form::NothingElse,
        ]),
    ),
    (
        "right",
        What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Integer], Gives::Text, |_, v| Ok(strings::side(&v, false)))]),
    ),
    ("round", What::Scalar(&[Form::Strict(&[Arg::Double], Gives::BigInt, |_, v| long((d(&v[0]) + 0.5).floor()))])),
    ("row_number", What::Window(&[(windows::of_rank, windows::row_number)])),
    ("row_to_json", What::Scalar(&[])),
    (
        "rpad",
        What::Scalar(&[
            Form::Strict(&[Arg::Text, Arg::Integer], Gives::Text, |_, v| strings::pad(&v, false)),
            Form::Strict(&[Arg::Text, Arg::Integer, Arg::Text], Gives::Text, |_, v| strings::pad(&v, false)),
        ]),
    ),
    (
        "rtrim",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_end_matches(' ')))),
            Form::Strict(&[Arg::Text, Arg::Text], Gives::Text, |_, v| {
                Ok(Value::text(t(&v[0]).trim_end_matches(|c| t(&v[1]).contains(c))))
            }),
        ]),
    ),
    ("session_user", What::Scalar(&[Form::As("current_user")])),
    ("set_config", What::Scalar(&[])),
    ("sha1", What::Scalar(&[])),
    ("sha224", What::Scalar(&[])),
    ("sha256", What::Scalar(&[])),
    ("sha384", What::Scalar(&[])),
    ("sha512", What::Scalar(&[])),
    ("shobj_description", What::Scalar(&[])),
    (
        "sign",
        What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| {
            double(if d(&v[0]) == 0.0 { 0.0 } else { d(&v[0]).signum() })
        })]),
    ),
    ("sin", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| double(d(&v[0]).sin()))])),
    ("some", What::Scalar(&[])),
    ("soundex", What::Scalar(&[])),
    (
        "split_part",
        What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text, Arg::Integer], Gives::Text, strings::split_part)]),
    ),
    ("sqrt", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, math::sqrt)])),
    (
        "starts_with",
        What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text], Gives::Boolean, |_, v| {
            Ok(Value::Bool(t(&v[0]).starts_with(t(&v[1]))))
        })]),
    ),
    ("statement_timestamp", What::Scalar(&[])),
    ("stddev", What::Aggregate(&[])),
    ("stddev_pop", What::Aggregate(&[])),
    ("stddev_samp", What::Aggregate(&[])),
    ("string_agg", What::Aggregate(&[(aggregates::of_string_agg, aggregates::string_agg)])),
    ("string_to_array", What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text], Gives::Texts, strings::string_to_array)])),
    ("strpos", What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text], Gives::Integer, strings::strpos)])),
    ("subscript", What::Scalar(&[])),
    ("substr", What::Scalar(&[Form::Own(2, 3, strings::substr)])),
    ("substring", What::Scalar(&[Form::As("substr")])),
    ("subtract", What::Scalar(&[])),
    ("sum", What::Aggregate(&[(aggregates::of_sum, aggregates::sum)])),
    ("tan", What::Scalar(&[Form::Strict(&[Arg::Number], Gives::Double, |_, v| double(d(&v[0]).tan()))])),
    ("timezone", What::Scalar(&[Form::Own(2, 2, dates::zone)])),
    ("to_bin", What::Scalar(&[])),
    ("to_char", What::Scalar(&[])),
    ("to_date", What::Scalar(&[])),
    ("to_hex", What::Scalar(&[])),
    ("to_json_text", What::Scalar(&[])),
    ("to_timestamp", What::Scalar(&[])),
    ("topk", What::Aggregate(&[])),
    ("transaction_timestamp", What::Scalar(&[])),
    ("translate", What::Scalar(&[Form::Strict(&[Arg::Text, Arg::Text, Arg::Text], Gives::Text, strings::translate)])),
    (
        "trim",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::text(t(&v[0]).trim_matches(' ')))),
            Form::Strict(&[Arg::Text, Arg::Text], Gives::Text, |_, v| {
                Ok(Value::text(t(&v[0]).trim_matches(|c| t(&v[1]).contains(c))))
            }),
        ]),
    ),
    ("trunc", What::Scalar(&[Form::Strict(&[Arg::Double], Gives::BigInt, |_, v| long(d(&v[0]).trunc()))])),
    ("try_cast", What::Scalar(&[])),
    ("txid_current", What::Scalar(&[])),
    ("unnest", What::Table(sets::of_unnest, sets::unnest)),
    (
        "upper",
        What::Scalar(&[
            Form::Strict(&[Arg::Text], Gives::Text, |_, v| Ok(Value::Text(t(&v[0]).to_uppercase()))),
            Form::NothingElse,
        ]),
    ),
    ("user", What::Scalar(&[])),
    ("uuid", What::Scalar(&[])),
    ("uuid_generate_v4", What::Scalar(&[])),
    ("variance", What::Aggregate(&[])),
    ("vector_similarity", What::Scalar(&[])),
    ("version", What::Scalar(&[Form::Lax(&[], Gives::Text, version)])),
    ("within", What::Scalar(&[])),
    ("xxhash", What::Scalar(&[])),
    ("xxhash64", What::Scalar(&[])),
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
