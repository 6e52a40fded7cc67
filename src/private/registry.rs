//! Finds tests that libtest has twice.
//!
//! A plain `#[test]` above this crate's attribute is gone when that is expanded, so it can't be seen then. libtest runs
//! the function twice, each time in a thread of its own that has the test's name: the same test begun in two threads of
//! one name is the mistake. Three things may begin a test again: a loop of retries (same thread), several tests that
//! call one annotated function (threads of other names), and a harness without named threads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::Test;
use crate::error::{Error, Kind, Result};

#[derive(PartialEq, Eq, Hash)]
struct BegunTest {
    module: &'static str,
    name: &'static str,
    thread: String,
}

/// Notes that a test begins in the calling thread, or refuses it.
pub(super) fn admit(test: &Test) -> Result<()> {
    static BEGUN: Mutex<Option<HashMap<BegunTest, ThreadId>>> = Mutex::new(None);
    let thread = thread::current();
    let Some(name) = thread.name().filter(|name| *name != "main") else { return Ok(()) };
    let key = BegunTest { module: test.module, name: test.name, thread: name.to_owned() };
    let mut begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner);
    let first = *begun.get_or_insert_default().entry(key).or_insert(thread.id());
    if first == thread.id() { Ok(()) } else { Err(registered_twice(test)) }
}

fn registered_twice(test: &Test) -> Error {
    let (module, name) = (test.module, test.name);
    Error::new(Kind::Usage, format!("cannot run the test `{module}::{name}` a second time in this process"))
        .because("it is registered twice: another `#[test]` stands above the one of cratedb-test")
        .hint("remove the other one; where an attribute adds it: `#[test_case]` wants the function async, and rstest before 0.25 wants the name `#[cratedb_test::test]`")
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{Test, admit};

    fn begin(name: &'static str, thread: &str) -> Option<String> {
        let test = Test { module: "registry", name, ..Test::USUAL };
        let work = move || admit(&test).err().map(|error| error.to_string());
        thread::Builder::new().name(thread.into()).spawn(work).unwrap().join().unwrap()
    }

    #[test]
    fn a_test_in_two_threads_of_its_name_is_registered_twice() {
        assert_eq!(begin("twice", "twice"), None);
        let error = begin("twice", "twice").expect("the second one is refused");
        assert!(error.contains("`registry::twice`") && error.contains("another `#[test]` stands above"), "{error}");
    }

    #[test]
    fn one_function_may_serve_several_tests() {
        assert_eq!(begin("served", "case_1"), None);
        assert_eq!(begin("served", "case_2"), None);
        assert_eq!(begin("other", "case_1"), None);
    }

    #[test]
    fn a_loop_in_one_thread_may_begin_a_test_again() {
        let again = || {
            let test = Test { module: "registry", name: "again", ..Test::USUAL };
            admit(&test)
        };
        again().and_then(|()| again()).unwrap();
    }

    #[test]
    fn threads_without_a_name_tell_nothing() {
        assert_eq!(begin("main", "main"), None);
        assert_eq!(begin("main", "main"), None);
    }
}
