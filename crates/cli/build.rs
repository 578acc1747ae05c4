//! Records the commit that the binary is built of, for `pfgmpp --version`.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PFGMPP_COMMIT");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var("PFGMPP_COMMIT").ok();
    let commit = given.or_else(|| commit(own)).unwrap_or_default();
    let commit = match commit.trim() {
        "" => "unknown",
        commit => commit,
    };
    println!("cargo::rustc-env=PFGMPP_COMMIT={commit}");
}

/// The commit that is checked out, if the sources lie in a checkout of their own rather than in one of something else.
fn commit(own: &Path) -> Option<String> {
    let top = PathBuf::from(git(own, &["rev-parse", "--show-toplevel"])?);
    let sources = own.join("../..").canonicalize().ok()?;
    if top.canonicalize().ok()? != sources {
        return None;
    }
    // These change with every commit and checkout, and with nothing else: other builds do not run this again.
    // A file that is absent would make cargo run it every time.
    for name in ["HEAD", "logs/HEAD"] {
        let path = own.join(git(own, &["rev-parse", "--git-path", name])?);
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    git(own, &["rev-parse", "--short=12", "HEAD"])
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .current_dir(folder)
        .args(arguments)
        .output()
        .ok()?;
    let text = String::from_utf8(done.stdout).ok()?;
    done.status.success().then(|| text.trim().to_owned())
}
