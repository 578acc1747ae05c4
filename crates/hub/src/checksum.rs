//! The checksum by which the Hub knows a file.

use std::io::{self, Read};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The checksum by which the Hub knows a file; also its name among the cache's blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checksum {
    /// Of a large file: SHA-256.
    Sha256(String),
    /// Of a file within git: SHA-1 of `blob <size>\0` and the file.
    GitBlob(String),
}

impl Checksum {
    /// Reads the value of an `ETag` header: 64 hexadecimal digits, or 40.
    pub(crate) fn of_etag(etag: &str) -> Option<Self> {
        let etag = etag.trim();
        let text = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
        let is_hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        match text.len() {
            64 if is_hex => Some(Self::Sha256(text.to_ascii_lowercase())),
            40 if is_hex => Some(Self::GitBlob(text.to_ascii_lowercase())),
            _ => None,
        }
    }

    /// The hexadecimal digits.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::GitBlob(text) => text,
        }
    }

    /// What kind of checksum it is, as users know it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git checksum",
        }
    }

    /// Whether `bytes`, `size` of them, have this checksum.
    pub(crate) fn fits(&self, bytes: impl Read, size: u64) -> io::Result<bool> {
        let got = match self {
            Self::Sha256(_) => digest(Sha256::new(), bytes)?,
            Self::GitBlob(_) => digest(Sha1::new_with_prefix(format!("blob {size}\0")), bytes)?,
        };
        Ok(got == self.text())
    }
}

fn digest<D: Digest>(mut hash: D, mut bytes: impl Read) -> io::Result<String> {
    let mut piece = vec![0; 1 << 18];
    loop {
        match bytes.read(&mut piece) {
            Ok(0) => break,
            Ok(len) => hash.update(&piece[..len]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    let digest = hash.finalize();
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    // `printf 'hello\n' | sha256sum` and `printf 'hello\n' | git hash-object --stdin`.
    const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
    const GIT: &str = "ce013625030ba8dba906f756967f9e9ca394464a";

    #[test]
    fn both_kinds_are_those_of_sha256sum_and_git() {
        for etag in [
            format!("\"{SHA256}\""),
            format!("W/\"{GIT}\""),
            GIT.to_uppercase(),
        ] {
            let checksum = Checksum::of_etag(&etag).unwrap();
            assert!(checksum.fits(&b"hello\n"[..], 6).unwrap(), "{etag}");
            assert!(!checksum.fits(&b"hello!"[..], 6).unwrap(), "{etag}");
        }
    }

    #[test]
    fn other_etags_are_no_checksums() {
        for etag in ["", "\"abc\"", "../../../../x", &SHA256.replace('5', "g")] {
            assert_eq!(Checksum::of_etag(etag), None, "{etag}");
        }
    }
}
