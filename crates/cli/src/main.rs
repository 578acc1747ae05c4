//! The `pfgmpp` binary.
fn main() {}
