//! The Rust blocks of `docs/testing.md` are written into `tests/` beside this.
