//! The Python client `crate` and the shell `crash` against the engine and against gateways.
