//! Which files make a cache, and what a JVM says of one that does not fit.
