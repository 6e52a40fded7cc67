//! The programs of `docs/sdk.md` are written into `src/bin/` beside this.
