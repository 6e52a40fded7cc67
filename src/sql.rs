//! The client for CrateDB's HTTP endpoint `_sql`: sends a statement with its arguments, returns an answer with lossless
//! cells.
//!
//! Each client has connections of its own, since a connection of CrateDB is a session. The server reads the default
//! schema from the `Default-Schema` header of a connection's first request and ignores it on all later ones.

mod answer;
mod authority;
mod bind;
mod body;
mod cell;
mod client;
pub(crate) mod connections;
mod failure;
mod lexer;
mod row;
#[cfg(test)]
pub(crate) mod test_server;
mod wallet;

pub(crate) use answer::Answer;
pub(crate) use authority::Authority;
pub(crate) use bind::{bind, bind_row};
pub(crate) use body::Body;
pub(crate) use cell::RawObject;
pub(crate) use client::{SqlClient, quoted, refresh};
pub(crate) use failure::{Statement, code};
pub(crate) use lexer::{Token, begins_with, split, tokens, without_leading_comments, without_texts};
pub(crate) use wallet::{Credentials, Renewal, Renewer, Wallet};
