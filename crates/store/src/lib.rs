//! Files and folders on disk: written whole or not at all, and held by one process at a time.
//!
//! [`write_file`] and [`replace_folder`] write beside, sync and rename; [`LockedFolder`] is a folder that
//! no second process can open while this one works in it.

mod atomic;
mod error;
mod locked_folder;

pub use atomic::{remove_partial, replace_folder, write_file};
pub use error::{StoreError, is_about_place};
pub use locked_folder::{LockedFolder, lock};
