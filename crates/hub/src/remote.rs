//! Asking the Hub.
//!
//! hf-hub knows the Hub's addresses and who asks; its own downloads are not used, since they check neither length
//! nor checksum of what they store, wait without end, and read answers of any length. Requests, redirections and
//! the bounds on answers are settled in `client`.

mod address;
mod bytes;
mod client;
mod fault;
mod listing;
mod metadata;
mod proxies;

pub(crate) use client::Remote;
pub(crate) use fault::Fault;
pub(crate) use metadata::Metadata;
