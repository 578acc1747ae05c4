//! What a file really is, told from its first bytes, for a sentence on a file that is not what it is called.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Where a tar archive says what it is.
const TAR_MAGIC: usize = 257;

/// A kind of file, displayed as what it is and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileKind {
    what: &'static str,
    advice: &'static str,
}

/// What to do about an image that stands where a set is expected.
const OF_A_SET: &str = "a set of images is a folder or an archive";

const fn kind(what: &'static str, advice: &'static str) -> FileKind {
    FileKind { what, advice }
}

/// Kinds by what they begin with.
const MAGIC: [(&[u8], FileKind); 21] = [
    (b"\x89PNG\r\n\x1a\n", FileKind::PNG),
    (
        b"\x89PNG",
        kind(
            "a copy of a PNG image with its line ends changed, as if it were text",
            "copy it again as a binary file",
        ),
    ),
    (b"\xff\xd8\xff", FileKind::JPEG),
    (b"GIF8", kind("a GIF image", "convert it to PNG")),
    (b"II*\0", FileKind::TIFF),
    (b"MM\0*", FileKind::TIFF),
    (b"PK\x03\x04", FileKind::ZIP),
    (b"PK\x05\x06", FileKind::ZIP),
    (
        b"\x1f\x8b",
        kind(
            "compressed with gzip",
            "unpack it first (gunzip, or tar -xzf)",
        ),
    ),
    (
        b"\xfd7zXZ\0",
        kind("compressed with xz", "unpack it first (unxz, or tar -xJf)"),
    ),
    (
        b"BZh",
        kind(
            "compressed with bzip2",
            "unpack it first (bunzip2, or tar -xjf)",
        ),
    ),
    (
        b"\x28\xb5\x2f\xfd",
        kind(
            "compressed with zstd",
            "unpack it first (zstd -d, or tar --zstd -xf)",
        ),
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        kind("a 7z archive", "unpack it first (7z x)"),
    ),
    (
        b"Rar!\x1a\x07",
        kind("a RAR archive", "unpack it first (unrar x)"),
    ),
    (b"\x93NUMPY", FileKind::NPY),
    (
        b"\x89HDF\r\n\x1a\n",
        kind("an HDF5 file", "save its arrays by numpy.savez"),
    ),
    (b"PAR1", FileKind::PARQUET),
    (
        b"MATLAB 5.0 MAT-file",
        kind("a file of MATLAB", "save its arrays by numpy.savez"),
    ),
    (
        b"\x80\x04\x95",
        kind(
            "a Python pickle, which can run anything",
            "save its arrays by numpy.savez",
        ),
    ),
    (
        b"\0\0\0\x0cjP  ",
        kind("a JPEG 2000 image", "convert it to PNG"),
    ),
    (b"%PDF-", kind("a PDF document", "it is not read here")),
];

impl FileKind {
    /// Nothing at all.
    pub const EMPTY: Self = kind("empty", "fetch or copy it again");
    /// A PNG image.
    pub const PNG: Self = kind("a PNG image", OF_A_SET);
    /// A JPEG image.
    pub const JPEG: Self = kind("a JPEG image", OF_A_SET);
    /// A WebP image.
    pub const WEBP: Self = kind("a WebP image", OF_A_SET);
    /// A TIFF image.
    pub const TIFF: Self = kind("a TIFF image", OF_A_SET);
    /// A BMP image.
    pub const BMP: Self = kind("a BMP image", OF_A_SET);
    /// A ZIP archive.
    pub const ZIP: Self = kind("a ZIP archive", "name it so, or unpack it");
    /// A NumPy array.
    pub const NPY: Self = kind("a NumPy array", "name it so");
    /// A Parquet file.
    pub const PARQUET: Self = kind("a Parquet file", "name it so, parquet: {path: ...}");

    /// Bytes at the beginning of a file that are looked at.
    pub const HEAD: usize = 512;

    /// What it is, without what to do about it.
    pub(crate) fn what(self) -> &'static str {
        self.what
    }

    /// The kind of the file at `path`; `None` for one that cannot be read, or of a kind that is not told here.
    pub fn of_file(path: &Path) -> Option<Self> {
        let file = File::open(path).ok()?;
        let len = file.metadata().ok()?.len();
        let mut head = Vec::with_capacity(Self::HEAD);
        file.take(Self::HEAD as u64).read_to_end(&mut head).ok()?;
        Self::of(&head, len)
    }

    /// The kind of a file of `len` bytes that begins with `head`, up to [`Self::HEAD`] bytes; `None` for a kind
    /// that is not told here.
    pub fn of(head: &[u8], len: u64) -> Option<Self> {
        if len == 0 {
            return Some(Self::EMPTY);
        }
        let magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
        magic
            .map(|(_, kind)| *kind)
            .or_else(|| others(head))
            .or_else(|| text(head))
            .or_else(|| {
                let zeros = head.len() >= 64 && head.iter().all(|&byte| byte == 0);
                zeros.then_some(kind(
                    "zeros only, as a file whose download did not finish",
                    "fetch it again",
                ))
            })
    }
}

/// Kinds whose mark does not stand at the beginning.
fn others(head: &[u8]) -> Option<FileKind> {
    if head.get(128..132) == Some(b"DICM") {
        return Some(kind(
            "a DICOM file",
            "save its pixels with pydicom and numpy.save, or convert it to PNG of 16 bits",
        ));
    }
    if head.get(344..347) == Some(b"n+1") {
        return Some(kind(
            "a NIfTI volume",
            "save its slices with nibabel and numpy.save",
        ));
    }
    if head.get(4..8) == Some(b"ftyp") {
        let image = matches!(head.get(8..12), Some(b"heic" | b"heix" | b"mif1" | b"avif"));
        return Some(match image {
            true => kind("a HEIF or AVIF image", "convert it to JPEG or PNG"),
            false => kind("a video", "save its frames as images"),
        });
    }
    if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        return Some(FileKind::WEBP);
    }
    // Two letters could begin a text; two numbers that are not used are zero in every BMP image.
    if head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) {
        return Some(FileKind::BMP);
    }
    let tar = head.get(TAR_MAGIC..TAR_MAGIC + 5) == Some(b"ustar");
    tar.then_some(kind("a tar archive", "unpack it first (tar -xf)"))
}

/// Texts that stand in place of a file.
fn text(head: &[u8]) -> Option<FileKind> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(text.trim_ascii_start()).to_ascii_lowercase();
    let begins = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    if begins(&["version https://git-lfs"]) {
        return Some(kind(
            "a Git LFS pointer in place of the file itself",
            "run `git lfs pull` in its repository",
        ));
    }
    if begins(&["<!doctype html", "<html", "<head", "<body"]) {
        return Some(kind(
            "a web page (HTML), as a server sends for a log-in or an error",
            "fetch the file itself",
        ));
    }
    if begins(&["<?xml", "<error"]) {
        return Some(kind(
            "XML, as a server sends for an error",
            "fetch the file itself",
        ));
    }
    begins(&["{\"", "{\n", "{ "]).then_some(kind(
        "JSON, as a description or a server's error",
        "fetch the file itself",
    ))
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_with_what_to_do() {
        let mut tar = vec![b'a'; 300];
        tar[TAR_MAGIC..TAR_MAGIC + 5].copy_from_slice(b"ustar");
        let mut dicom = vec![0; 200];
        dicom[128..132].copy_from_slice(b"DICM");
        for (head, want) in [
            (&b""[..], "empty: fetch or copy it again"),
            (b"\x1f\x8b\x08", "gunzip"),
            (b"\xfd7zXZ\0", "unxz"),
            (b"BZh91AY", "bunzip2"),
            (b"\x28\xb5\x2f\xfd\0", "zstd -d"),
            (b"7z\xbc\xaf\x27\x1c", "7z x"),
            (b"Rar!\x1a\x07\x01\0", "unrar x"),
            (&tar, "tar -xf"),
            (b"\n <!DOCTYPE HTML>", "web page"),
            (b"\xef\xbb\xbf<html>", "web page"),
            (b"<?xml version=\"1.0\"?><Error>", "XML"),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            (b"{\"error\": \"Not Found\"}", "JSON"),
            (&[0; 512], "zeros only"),
            (b"\xff\xd8\xff\xe0", "JPEG"),
            (b"RIFF\0\0\0\0WEBPVP8", "WebP"),
            (b"GIF89a", "GIF"),
            (b"\x89PNG\n\x1a\n", "line ends"),
            (&dicom, "pydicom"),
            (b"\0\0\0\x18ftypheic", "convert it to JPEG"),
            (b"\0\0\0\x18ftypisom", "a video"),
            (b"PAR1", "parquet: {path: ...}"),
            (b"\x80\x04\x95\0", "a Python pickle"),
            (b"BM\x36\0\0\0\0\0\0\0", "a BMP image"),
        ] {
            let got = FileKind::of(head, head.len() as u64).expect("a kind");
            let got = got.to_string();
            assert!(got.contains(want), "got {got}, want {want}");
            assert!(!got.contains('\n'), "got {got}, want one line");
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for head in [&b"hello"[..], b"\x80\x05", b"\0\0\0", b"BMW"] {
            assert_eq!(FileKind::of(head, head.len() as u64), None);
        }
    }
}
