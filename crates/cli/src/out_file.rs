//! The file that a command is to write: checked before any work is done.

use std::path::Path;

use pfgmpp_run::RunError;
use pfgmpp_store::check_writable;

use crate::failure::Failure;

/// Checks that a file can be made at `path`, or replaced there if `overwrite` says so.
///
/// - `endings`: what its name may end in; anything if empty.
///
/// # Errors
///
/// A folder of that name, a file that is there already, a folder around it that is not there or cannot be written to.
pub fn check(path: &Path, endings: &[&str], overwrite: bool) -> Result<(), Failure> {
    let refuse = |why: &str| {
        let message = format!("{}: {why}", path.display());
        Err(Failure::bad_input(message))
    };
    let ending = path.extension().and_then(|own| own.to_str());
    let is = |one: &&str| ending.is_some_and(|own| own.eq_ignore_ascii_case(one));
    if !endings.is_empty() && !endings.iter().any(is) {
        return refuse(&format!(
            "give a name that ends in .{}",
            endings.join(" or .")
        ));
    }
    if path.is_dir() {
        return refuse("is a folder: give the name of a file");
    }
    // A link that leads nowhere is there as well.
    if path.symlink_metadata().is_ok() && !overwrite {
        return refuse("is there already: give another name, or --overwrite");
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let message = format!("{}: no such folder: make it first", folder.display());
        return Err(Failure::bad_input(message));
    }
    check_writable(folder).map_err(|e| RunError::io(folder)(e).into())
}
