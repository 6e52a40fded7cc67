//! The Rust blocks of `docs/testing.md`, `docs/fixtures.md` and `docs/failures.md` are written into `tests/`.
