//! schemathesis with the vendor's document against the paths that the simulator serves.
