//! Tests on several versions of CrateDB in one run.
