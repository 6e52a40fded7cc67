//! Twenty tests with ten tables, each in a container of its own: what those of `bench` do in a schema each.

use std::io::Write as _;
use std::time::Instant;

fn in_a_container() {
    let began = Instant::now();
    let (_container, port) = bench_module::start();
    let execute = |stmt: &str| {
        let answer = bench_module::ask(port, stmt).expect("an answer");
        assert!(answer.contains("rowcount"), "{stmt}: {answer}");
        answer
    };
    let text = include_str!("../../bench/migrations/0001_ten_tables.sql");
    text.trim().trim_end_matches(';').split(";\n").for_each(|stmt| drop(execute(stmt)));
    let out = std::env::var_os("BENCH_OUT").expect("BENCH_OUT");
    let mut out = std::fs::OpenOptions::new().append(true).create(true).open(out).expect("the file of samples");
    out.write_all(format!("container {}\n", began.elapsed().as_nanos()).as_bytes()).expect("a line");
    execute("INSERT INTO t01 (id, name) VALUES (1, 'a')");
    execute("REFRESH TABLE t01");
    assert!(execute("SELECT count(*) FROM t01").contains("[[1]]"));
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            in_a_container();
        }
    )*};
}

tests! { t00 t01 t02 t03 t04 t05 t06 t07 t08 t09 t10 t11 t12 t13 t14 t15 t16 t17 t18 t19 }
