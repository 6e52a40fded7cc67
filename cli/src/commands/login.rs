//! x
mod browser;
mod listener;
