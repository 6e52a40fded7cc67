//! The keeper itself: what it holds, what it survives and what survives it.
