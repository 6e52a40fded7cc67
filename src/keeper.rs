//! The keeper: the one process per user and resource that acquires a cluster, holds it and releases it.

mod machine;
