//! Its tests are the blocks of `docs/coming-from-testcontainers.md` and `docs/coming-from-sqlx-test.md`.
