//! An application whose tables are made by migrations.
