//! What this binary is: its version, its commit, its features, the devices that it was built for.

use std::sync::LazyLock;

/// The commit that it was built of, `unknown` outside of a checkout.
pub const COMMIT: &str = env!("PFGMPP_COMMIT");

/// What `--version` shows; `-V` shows the version alone.
pub fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let features = match features() {
            none if none.is_empty() => "none".to_owned(),
            some => some.join(", "),
        };
        format!(
            "{}\ncommit    {COMMIT}\nfeatures  {features}\ndevices   {}",
            env!("CARGO_PKG_VERSION"),
            devices().join(", ")
        )
    });
    &LONG
}

/// The features that this binary was built with.
pub fn features() -> Vec<&'static str> {
    named(&[
        ("hub", cfg!(feature = "hub")),
        ("datasets", cfg!(feature = "datasets")),
        ("cuda", cfg!(feature = "cuda")),
        ("cudnn", cfg!(feature = "cudnn")),
        ("metal", cfg!(feature = "metal")),
        ("mpi", cfg!(feature = "mpi")),
        ("nccl", cfg!(feature = "nccl")),
    ])
}

/// The devices that this binary was built for, whether they are here or not.
fn devices() -> Vec<&'static str> {
    named(&[
        ("cpu", true),
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ])
}

fn named(all: &[(&'static str, bool)]) -> Vec<&'static str> {
    let there = all.iter().filter(|(_, is_there)| *is_there);
    there.map(|(name, _)| *name).collect()
}
