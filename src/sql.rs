//! The HTTP `_sql` client: a statement and its arguments go out, an answer with lossless cells comes back.
//!
//! One client has connections of its own, since a connection of CrateDB is a session: the schema that unqualified names
//! mean is read from the `Default-Schema` header of a connection's first request and ignored on all later ones.

mod answer;
mod bind;
mod bulk;
mod cell;
mod client;
pub(crate) mod connections;
mod failure;
mod refresh;
mod row;
mod split;
#[cfg(test)]
pub(crate) mod test_server;
#[cfg(feature = "harness")]
mod tokens;
mod types;
mod wallet;

pub(crate) use answer::Answer;
pub(crate) use bind::{bind, bind_row};
pub(crate) use client::Client;
#[cfg(feature = "harness")]
pub(crate) use failure::code;
pub(crate) use failure::{Statement, excerpt};
pub(crate) use refresh::{quoted, refresh};
#[cfg_attr(not(feature = "harness"), allow(unused_imports))]
pub(crate) use split::{split, without_leading_comments, without_texts};
#[cfg(feature = "harness")]
pub(crate) use tokens::{Token, tokens};
pub(crate) use wallet::{Credentials, Renewal, Renewer, Wallet};
