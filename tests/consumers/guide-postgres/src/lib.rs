//! Its tests are the blocks of `docs/postgres.md`.
