//! The cache that programs of the Hub share.

mod check;
mod layout;
#[cfg(feature = "http")]
mod write;

pub(crate) use check::Damage;
pub(crate) use layout::Cache;
pub use layout::Fetched;
#[cfg(feature = "http")]
pub(crate) use write::folder_of;
