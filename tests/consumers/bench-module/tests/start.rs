//! One container by the module: until it is healthy.

use std::time::Instant;

#[test]
fn module() {
    let began = Instant::now();
    let (_container, _) = bench_module::start();
    let took = began.elapsed();
    std::fs::write(std::env::var_os("BENCH_OUT").expect("BENCH_OUT"), took.as_millis().to_string()).expect("a file");
}
