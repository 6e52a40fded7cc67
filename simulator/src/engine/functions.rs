//! Scalar functions: which there are, the types they take, and what they give.

mod arrays;
pub(crate) mod dates;
mod math;
pub(crate) mod sets;
mod strings;

use super::error::{Result, SqlError, no_function, refuse};
use super::expr::{Expr, Function, Kind};
use super::operators::{coerce, common};
use super::session::Context;
use super::types::{TEXT, Type};
use super::value::Value;

pub(super) type Run = fn(&Context, Vec<Value>) -> Result<Value>;

/// Functions CrateDB has and this engine doesn't: refused rather than called unknown.
const ELSEWHERE: &str = " area array_length asin acos atan atan2 cot bit_and bit_or bit_xor cbrt col_description crc32 current_setting \
current_time date_bin decode distance encode format format_type gen_random_text_uuid geohash has_database_privilege \
has_schema_privilege has_table_privilege ignore3vl intersects inet_aton knn_match latitude longitude length levenshtein md5 \
obj_description parse_uri parse_url pg_backend_pid pg_encoding_to_char pg_function_is_visible pg_get_constraintdef pg_get_expr \
pg_get_function_result pg_get_keywords pg_get_partkeydef pg_get_serial_sequence pg_get_userbyid pg_get_viewdef pg_postmaster_start_time \
pg_sleep pg_table_is_visible pg_table_size pg_total_relation_size quote_literal regexp_count regexp_instr regexp_matches regexp_replace \
sha1 sha256 sha512 shobj_description sin cos tan subscript timezone to_char to_date to_timestamp topk try_cast uuid gen_random_uuid \
vector_similarity within xxhash xxhash64 point geo_point_to_text array_set array_difference array_unnest array_overlap _pg_expandarray \
age translate soundex empty_row if case cast unnest generate_series generate_subscripts match any all some session_user \
current_catalog current_database current_role set_config array_flatten array_contains txid_current pg_size_pretty current_date \
greatest least object_keys null_or_empty array_agg map to_json_text jsonb json_typeof geo_intersects \
concat_ws convert_to convert_from overlay parse_float pg_is_in_recovery to_hex to_bin sha224 sha384 row_to_json pg_timezone_names \
array_avg array_upper add subtract multiply divide modulus bit_length blake3 collection_avg collection_count collection_mean parse_ident \
catdesc catcode has_function_privilege hostname ln user array statement_timestamp clock_timestamp transaction_timestamp localtime localtimestamp date_part make_date make_timestamp uuid_generate_v4 ";

pub(crate) fn is_volatile(name: &str) -> bool {
    matches!(name, "random" | "gen_random_text_uuid" | "subquery")
}

pub(super) fn wrong_arguments(name: &str) -> SqlError {
    no_function(format!("Invalid arguments in: {name}"))
}

/// A call that gives null if any argument is.
pub(super) fn strict(name: &'static str, run: Run, args: Vec<Expr>, ty: Type) -> Result<Expr> {
    Ok(Expr::new(Kind::Call(Function { name, run, strict: true }, args), ty))
}

/// A call that sees nulls.
pub(super) fn lax(name: &'static str, run: Run, args: Vec<Expr>, ty: Type) -> Result<Expr> {
    Ok(Expr::new(Kind::Call(Function { name, run, strict: false }, args), ty))
}

/// A value of the session or statement.
fn given(value: impl Into<String>) -> Result<Expr> {
    // A call, so that it isn't converted as a literal would be.
    let text = Expr::literal(Value::text(value), TEXT);
    Ok(text)
}

/// Arguments as texts; numbers become text as CrateDB does it by itself.
pub(super) fn texts(name: &str, args: Vec<Expr>) -> Result<Vec<Expr>> {
    let text = |e: Expr| match &e.ty {
        Type::Text(_) => Ok(e),
        Type::Undefined => coerce(e, &TEXT),
        Type::Array(_) => Err(wrong_arguments(name)),
        ty if ty.is_integer() || *ty == Type::Boolean => Ok(Expr::new(Kind::Cast(Box::new(e), false), TEXT)),
        ty => Err(refuse(format!("{name} over {}", ty.name()))),
    };
    args.into_iter().map(text).collect()
}

/// The analysed call of a function.
pub(crate) fn resolve(name: &str, args: Vec<Expr>) -> Result<Expr> {
    if let Some(found) = strings::resolve(name, &args) {
        return found;
    }
    if let Some(found) = math::resolve(name, &args) {
        return found;
    }
    if let Some(found) = arrays::resolve(name, &args) {
        return found;
    }
    if let Some(found) = dates::resolve(name, &args) {
        return found;
    }
    match (name, args.len()) {
        ("coalesce", 1..) => {
            let (args, ty) = common(args)?;
            Ok(Expr::new(Kind::Coalesce(args), ty))
        }
        ("nullif", 2) => {
            let mut args = args;
            let (Some(b), Some(a)) = (args.pop(), args.pop()) else { return Err(refuse("nullif")) };
            let ty = a.ty.clone();
            let equal = super::operators::comparison("=", a.clone(), b)?;
            Ok(Expr::new(Kind::Case(vec![(equal, Expr::literal(Value::Null, ty.clone()))], Box::new(a)), ty))
        }
        ("greatest" | "least", 1..) => {
            let (args, ty) = common(args)?;
            if !(ty.is_number() || ty.is_text() || ty.is_time())
                || args.iter().any(|a| a.as_literal() == Some(&Value::Null))
            {
                return Err(refuse(format!("{name} over this")));
            }
            let run: Run = if name == "greatest" { |_, v| Ok(extreme(v, true)) } else { |_, v| Ok(extreme(v, false)) };
            lax(if name == "greatest" { "greatest" } else { "least" }, run, args, ty)
        }
        ("pg_typeof", 1) => given(args[0].ty.name()),
        ("null_or_empty", 1) if matches!(args[0].ty, Type::Object(_) | Type::Array(_) | Type::Undefined) => {
            let run: Run = |_, v| {
                Ok(Value::Bool(match &v[0] {
                    Value::Object(fields) => fields.is_empty(),
                    Value::Array(items) => items.is_empty(),
                    value => value.is_null(),
                }))
            };
            lax("null_or_empty", run, args, Type::Boolean)
        }
        ("object_keys", 1) if matches!(args[0].ty, Type::Object(_)) => {
            let run: Run = |_, v| match &v[0] {
                Value::Object(fields) => Ok(Value::Array(fields.iter().map(|f| Value::text(&f.0)).collect())),
                _ => Ok(Value::Null),
            };
            strict("object_keys", run, args, Type::array(TEXT))
        }
        ("current_schema", 0) => of_context("current_schema", |c, _| Ok(Value::text(c.session.schema()))),
        ("current_user" | "session_user", 0) => of_context("current_user", |c, _| Ok(Value::text(&c.session.user))),
        ("current_database" | "current_catalog", 0) => given("crate"),
        ("current_schemas", 1) if args[0].as_literal() == Some(&Value::Bool(true)) => {
            let run: Run = |c, _| {
                let all = std::iter::once("pg_catalog").chain(c.session.path.iter().map(String::as_str));
                Ok(Value::Array(all.map(Value::text).collect()))
            };
            lax("current_schemas", run, vec![], Type::array(TEXT))
        }
        ("current_setting", 1..=2) => current_setting(&args),
        ("version", 0) => of_context("version", |c, _| {
            Ok(Value::Text(format!("CrateDB {} (embedded engine of the CrateDB Cloud simulator)", c.options.version)))
        }),
        ("gen_random_text_uuid", 0) => lax("gen_random_text_uuid", |_, _| Ok(Value::Text(random_id())), vec![], TEXT),
        (name, _) if ELSEWHERE.contains(&format!(" {name} ")) || is_implemented(name) => {
            Err(refuse(format!("the function {name} with these arguments")))
        }
        (name, _)
            if name.starts_with("pg_")
                || name.starts_with("has_")
                || name.starts_with("op_")
                || name.starts_with('_') =>
        {
            Err(refuse(format!("the function {name}")))
        }
        (name, _) => Err(no_function(format!("Unknown function: {name}"))),
    }
}

fn is_implemented(name: &str) -> bool {
    const HERE: &str = " coalesce nullif pg_typeof current_schema current_schemas current_user version ";
    HERE.contains(&format!(" {name} "))
        || [strings::NAMES, math::NAMES, arrays::NAMES, dates::NAMES].iter().any(|n| n.contains(&format!(" {name} ")))
}

fn of_context(name: &'static str, run: Run) -> Result<Expr> {
    lax(name, run, vec![], TEXT)
}

fn extreme(values: Vec<Value>, greatest: bool) -> Value {
    let best = |a: Value, b: Value| if b.compare(&a).is_gt() == greatest { b } else { a };
    values.into_iter().filter(|v| !v.is_null()).reduce(best).unwrap_or(Value::Null)
}

fn current_setting(args: &[Expr]) -> Result<Expr> {
    let run: Run = |c, v| {
        let Value::Text(name) = &v[0] else { return Ok(Value::Null) };
        match c.session.show(name) {
            Err(e) if !e.is_refusal() && v.get(1) == Some(&Value::Bool(true)) => Ok(Value::Null),
            value => value,
        }
    };
    let fits = args[0].ty.is_text() && args.get(1).is_none_or(|a| a.ty == Type::Boolean);
    if fits { lax("current_setting", run, args.to_vec(), TEXT) } else { Err(refuse("current_setting like this")) }
}

/// Twenty characters nobody else has.
pub(crate) fn random_id() -> String {
    use std::hash::{BuildHasher, RandomState};
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    let mut bits = u128::from(RandomState::new().hash_one(1)) << 64 | u128::from(RandomState::new().hash_one(2));
    let mut out = String::from("A");
    for _ in 0..19 {
        out.push(LETTERS[(bits & 63) as usize] as char);
        bits >>= 6;
    }
    out
}
