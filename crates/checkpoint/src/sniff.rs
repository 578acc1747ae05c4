//! What a file that is no checkpoint really is, told from its first bytes in one sentence with what to do.

use pfgmpp_store::Window;

/// Bytes that are looked at.
const HEAD: u64 = 512;
/// Where a tar archive says what it is.
const TAR_MAGIC: usize = 257;

/// A sentence on a file that can be none of the formats that are read here; `None` for any other.
pub(crate) fn sniff(file: &Window) -> Option<String> {
    let head = file.part(0, file.len().min(HEAD))?.to_vec().ok()?;
    of_head(&head, file.len())
}

/// As [`sniff`], by the first bytes of a file of `len` bytes.
pub(crate) fn of_head(head: &[u8], len: u64) -> Option<String> {
    if len == 0 {
        return Some("the file is empty: fetch or copy it again".into());
    }
    packed(head).or_else(|| written(head, len)).or_else(|| {
        let unfinished = head.len() >= 64 && head.iter().all(|&byte| byte == 0);
        unfinished.then(|| {
            "the file begins with zeros only, as one whose download did not finish: fetch it again"
                .into()
        })
    })
}

/// Archives and compressed files.
fn packed(head: &[u8]) -> Option<String> {
    let kinds: [(&[u8], &str, &str); 6] = [
        (b"\x1f\x8b", "compressed with gzip", "gunzip, or tar -xzf"),
        (b"\xfd7zXZ\0", "compressed with xz", "unxz, or tar -xJf"),
        (b"BZh", "compressed with bzip2", "bunzip2, or tar -xjf"),
        (
            b"\x28\xb5\x2f\xfd",
            "compressed with zstd",
            "zstd -d, or tar --zstd -xf",
        ),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
        (b"Rar!\x1a\x07", "a rar archive", "unrar x"),
    ];
    let found = kinds.iter().find(|(magic, ..)| head.starts_with(magic));
    if let Some((_, what, how)) = found {
        return Some(format!("the file is {what}: unpack it first ({how})"));
    }
    let tar = head.get(TAR_MAGIC..TAR_MAGIC + 5) == Some(b"ustar");
    tar.then(|| "the file is a tar archive: unpack it first (tar -xf)".into())
}

/// Texts that stand in place of a file.
fn written(head: &[u8], len: u64) -> Option<String> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = String::from_utf8_lossy(text.trim_ascii_start()).to_ascii_lowercase();
    if text.starts_with("version https://git-lfs") {
        return Some(format!(
            "the file is a Git LFS pointer of {len} bytes in place of the file itself: run `git lfs pull` in its repository"
        ));
    }
    let page = ["<!doctype html", "<html", "<head", "<body"];
    if page.iter().any(|start| text.starts_with(start)) {
        return Some(
            "the file is a web page (HTML), as a server sends for a log-in or an error: fetch the file itself"
                .into(),
        );
    }
    if text.starts_with("<?xml") || text.starts_with("<error") {
        return Some(
            "the file is XML, as a server sends for an error: fetch the file itself".into(),
        );
    }
    // The header of a safetensors file has a length before its brace.
    (text.starts_with("{\"") || text.starts_with("{\n")).then(|| {
        "the file is JSON, as a description or a server's error: the weights are another file"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_with_what_to_do() {
        let mut tar = vec![b'a'; 300];
        tar[TAR_MAGIC..TAR_MAGIC + 5].copy_from_slice(b"ustar");
        for (head, want) in [
            (&b""[..], "is empty"),
            (b"\x1f\x8b\x08", "gunzip"),
            (b"\xfd7zXZ\0", "unxz"),
            (b"BZh91AY", "bunzip2"),
            (b"\x28\xb5\x2f\xfd\0", "zstd -d"),
            (b"7z\xbc\xaf\x27\x1c", "7z x"),
            (&tar, "tar -xf"),
            (b"\n <!DOCTYPE HTML>", "web page"),
            (b"\xef\xbb\xbf<html>", "web page"),
            (b"<?xml version=\"1.0\"?><Error>", "is XML"),
            (
                b"version https://git-lfs.github.com/spec/v1\n",
                "git lfs pull",
            ),
            (b"{\"error\": \"Not Found\"}", "is JSON"),
            (&[0; 512], "zeros only"),
        ] {
            let got = of_head(head, head.len() as u64).expect("a sentence");
            assert!(got.contains(want), "got {got}, want {want}");
            assert!(!got.contains('\n'), "got {got}, want one line");
        }
    }

    #[test]
    fn what_is_read_here_is_not_told_to_be_something_else() {
        for head in [
            &b"PK\x03\x04"[..],
            b"\x80\x04\x95",
            b"\x40\0\0\0\0\0\0\0{\"a\"",
            b"hello",
        ] {
            assert_eq!(of_head(head, head.len() as u64), None);
        }
    }
}
