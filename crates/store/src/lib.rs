//! Files and folders on disk: written whole or not at all, and held by one process at a time.
//!
//! [`write_file`] and [`replace_folder`] write beside, sync and rename, [`write_files`] many files at once, [`write_first`] where there is none;
//! [`LockedFolder`] is a folder that no second process can open while this one works in it,
//! and [`make_within`] makes folders in one without bringing it back. [`Window`] is a stretch of a file that is read by position.

mod atomic;
mod batch;
mod claim;
mod error;
mod lock;
mod locked_folder;
mod new_file;
mod partial;
mod window;
mod within;

pub use atomic::{check_writable, replace_folder, write_file, write_first};
pub use batch::{write_files, write_new_files};
pub use error::{StoreError, is_about_place};
pub use lock::{
    Lock, adopt, check_lockable, in_turn, is_held, lock, lock_within, share, share_existing,
};
pub use locked_folder::LockedFolder;
pub use new_file::NewFile;
pub use partial::{remove_partial, remove_partial_of};
pub use window::{Window, WindowReader};
pub use within::{make_one, make_within};
