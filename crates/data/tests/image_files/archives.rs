//! ZIP archives of every kind, and files that are called so.

use std::fs;

use zip::CompressionMethod;

use crate::files::*;

#[test]
fn what_is_no_archive_is_told_in_a_sentence() {
    let folder = temporary();
    let mut tar = vec![b'a'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, want) in [
        (
            &b"<!DOCTYPE html><title>Quota exceeded</title>"[..],
            "is not a zip archive but a web page (HTML)",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "run `git lfs pull`",
        ),
        (
            b"\x1f\x8b\x08\0",
            "is not a zip archive but compressed with gzip: unpack it first",
        ),
        (
            &tar,
            "is not a zip archive but a tar archive: unpack it first (tar -xf)",
        ),
        (
            b"Rar!\x1a\x07\x01\0",
            "is not a zip archive but a RAR archive",
        ),
        (b"", "is not a zip archive but empty"),
        (b"not a zip archive", "is not a zip archive"),
    ] {
        let got = refusal(&archive(folder.path(), bytes));
        assert!(
            got.contains("set.zip: ") && got.contains(want),
            "got {got}, want {want}"
        );
    }
    let got = refusal(&at_archive(folder.path().join("missing.zip")));
    assert!(
        got.ends_with("missing.zip: there is no such file or folder"),
        "got {got}"
    );
    let got = refusal(&at_archive(folder.path().to_path_buf()));
    assert!(got.contains("folder: {path: ...}"), "got {got}");
    let got = refusal(&at_folder(folder.path().join("set.zip")));
    assert!(got.contains("zip: {path: ...}"), "got {got}");
}

#[test]
fn archives_that_cannot_be_read_say_what_to_do() {
    let folder = temporary();
    let whole = zip_bytes(&numbered(10), CompressionMethod::Deflated);
    let of_method = |method: u16| {
        edited_headers(&whole, |local, central| {
            local[8..10].copy_from_slice(&method.to_le_bytes());
            central[10..12].copy_from_slice(&method.to_le_bytes());
        })
    };
    let encrypted = edited_headers(&whole, |local, central| {
        local[6] |= 1;
        central[8] |= 1;
    });
    let mut turned = whole.clone();
    turned[70] ^= 0xff;
    let method = "by a method that is not read here: pack it with Deflate";
    for (bytes, want) in [
        (
            whole[..whole.len() - 40].to_vec(),
            "is a zip archive that is cut off or damaged",
        ),
        (
            whole[..600].to_vec(),
            "is a zip archive that is cut off or damaged",
        ),
        (of_method(9), method),
        (of_method(12), method),
        (of_method(14), method),
        (encrypted, "is encrypted: unpack it and name the folder"),
        (turned, "img00000000.png: is damaged"),
    ] {
        let got = refusal(&archive(folder.path(), &bytes));
        assert!(got.contains(want), "got {got}, want {want}");
        for word in ["EOCD", "os error", "Central", "invalid Zip"] {
            assert!(!got.contains(word), "got {got}");
        }
    }
}

/// Changes the local and the central header of every entry, which come in the same order.
fn edited_headers(zip: &[u8], edit: impl Fn(&mut [u8], &mut [u8])) -> Vec<u8> {
    let mut bytes = zip.to_vec();
    let places = |magic: &[u8]| -> Vec<usize> {
        let at = zip.windows(4).enumerate();
        at.filter(|(_, found)| *found == magic)
            .map(|(at, _)| at)
            .collect()
    };
    let (locals, centrals) = (places(b"PK\x03\x04"), places(b"PK\x01\x02"));
    assert_eq!(locals.len(), centrals.len());
    for (&local, &central) in locals.iter().zip(&centrals) {
        let (mut first, mut second) = (
            bytes[local..local + 30].to_vec(),
            bytes[central..central + 46].to_vec(),
        );
        edit(&mut first, &mut second);
        bytes[local..local + 30].copy_from_slice(&first);
        bytes[central..central + 46].copy_from_slice(&second);
    }
    bytes
}

#[test]
fn names_of_every_length_are_read_from_an_archive() {
    for length in 1..=64 {
        let folder = temporary();
        let files = named(10, |i| format!("{}/{i}.png", "s".repeat(length)));
        let bytes = zip_bytes(&files, CompressionMethod::Stored);
        let source = archive(folder.path(), &bytes);
        assert_eq!(all_numbers(&load(&source)).len(), 10, "{length}");
        // What stands before an archive is passed over: it may unpack itself.
        let script = [b"#!/bin/sh\nexit\n".repeat(20), bytes].concat();
        let source = archive(folder.path(), &script);
        assert_eq!(all_numbers(&load(&source)).len(), 10, "{length}");
    }
}

#[test]
fn two_files_of_one_name_are_said() {
    let folder = temporary();
    let mut bytes = zip_bytes(
        &with(numbered(10), "00000/img0000000X.png", grey(200)),
        CompressionMethod::Stored,
    );
    for at in 0..bytes.len() - 21 {
        if bytes[at..].starts_with(b"00000/img0000000X.png") {
            bytes[at..at + 21].copy_from_slice(b"00000/img00000000.png");
        }
    }
    let source = archive(folder.path(), &bytes);
    let parts = load(&source);
    assert_eq!(numbers(&parts.train)[0], 200, "the later one counts");
    let got = parts.found.to_string();
    let want = "left out: 1 file of a name that a later one has too (00000/img00000000.png)";
    assert!(got.ends_with(want), "got {got}");
}

#[test]
fn separators_of_another_system_are_understood() {
    let folder = temporary();
    let json: Vec<String> = (0..10)
        .map(|i| format!(r#"["00000/img{i:08}.png", {i}]"#))
        .collect();
    let json = format!(r#"{{"labels": [{}]}}"#, json.join(", "));
    let files = with(numbered(10), "dataset.json", json);
    let mut bytes = zip_bytes(&files, CompressionMethod::Stored);
    for at in 0..bytes.len() - 9 {
        if bytes[at..].starts_with(b"00000/img") && bytes[at - 1] != b'"' {
            bytes[at + 5] = b'\\';
        }
    }
    let parts = load(&archive(folder.path(), &bytes));
    assert_eq!(labels(&parts.held_out), Some(vec![4, 9]));
}

#[test]
fn an_archive_within_an_archive_is_named() {
    let folder = temporary();
    let inner = zip_bytes(&numbered(10), CompressionMethod::Stored);
    let got = refusal(&stored(folder.path(), &vec![("data.zip".into(), inner)]));
    assert!(
        got.ends_with("left out: 1 .zip file (data.zip)"),
        "got {got}"
    );
    let empty = zip_bytes(&Vec::new(), CompressionMethod::Stored);
    let got = refusal(&archive(folder.path(), &empty));
    assert!(got.contains("holds 0 images"), "got {got}");
    assert!(fs::metadata(folder.path().join("set.zip")).is_ok());
}

#[test]
fn archives_of_64_bits_and_names_of_any_script_are_read() {
    let folder = temporary();
    let files = named(10, |i| format!("Füchse/狐 {i}.PNG"));
    let mut zip = zip::write::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in &files {
        let options = zip::write::SimpleFileOptions::default().large_file(true);
        zip.start_file(name.as_str(), options).unwrap();
        std::io::Write::write_all(&mut zip, bytes).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert_eq!(
        all_numbers(&load(&archive(folder.path(), &bytes))).len(),
        10
    );
    assert_eq!(
        all_numbers(&load(&unpacked(folder.path(), &files))).len(),
        10
    );
}
