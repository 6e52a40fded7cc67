//! A project whose tests talk to the cluster with drivers of the PostgreSQL protocol, as they are.
