//! What a small file can claim to hold, and what is taken of it.

use std::fs;

use image::ExtendedColorType;
use zip::CompressionMethod;

use crate::files::*;

#[test]
fn a_set_that_is_larger_than_the_memory_it_may_have_stays_in_its_archive() {
    let folder = temporary();
    let large = |level| png(&vec![level; 4096 * 4096], 4096, ExtendedColorType::L8);
    let (first, others) = (large(255), large(0));
    let files: Files = (0..70)
        .map(|i| {
            (
                format!("{i:02}.png"),
                if i == 6 { &first } else { &others }.clone(),
            )
        })
        .collect();
    let splits = load(&zipped(folder.path(), &files, CompressionMethod::Stored));
    assert!(splits.train.is_in_files());
    assert!(
        splits
            .found
            .to_string()
            .contains("read from their files as they are needed")
    );
    // Image 6 is the sixth that is not held out.
    let batch = splits
        .train
        .batch(&[5, 6], &candle_core::Device::Cpu)
        .unwrap();
    let means = batch.mean((1, 2, 3)).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(means, [1.0, -1.0]);
    let got = splits.train.images().unwrap_err().to_string();
    let want = "56 images at once need 3584 MiB as f32, up to 2048 MiB are accepted";
    assert!(got.contains(want), "got {got}, want {want}");
}

#[test]
fn an_archive_that_unpacks_to_far_more_than_images_is_refused_before_it_is_unpacked() {
    let folder = temporary();
    // A thousand names for one compressed stream of 20 MB.
    let bomb = [grey(1), vec![0; 20 << 20]].concat();
    let one = zip_bytes(
        &vec![("000000.png".into(), bomb)],
        CompressionMethod::Deflated,
    );
    let directory = one
        .windows(4)
        .rposition(|magic| magic == b"PK\x01\x02")
        .unwrap();
    let end = one
        .windows(4)
        .rposition(|magic| magic == b"PK\x05\x06")
        .unwrap();
    let mut bytes = one[..directory].to_vec();
    let mut entries = Vec::new();
    for i in 0..1000 {
        let mut entry = one[directory..end].to_vec();
        entry[46..52].copy_from_slice(format!("{i:06}").as_bytes());
        entries.extend(entry);
    }
    let mut tail = one[end..].to_vec();
    tail[8..10].copy_from_slice(&1000u16.to_le_bytes());
    tail[10..12].copy_from_slice(&1000u16.to_le_bytes());
    tail[12..16].copy_from_slice(&(entries.len() as u32).to_le_bytes());
    bytes.extend(entries);
    bytes.extend(tail);
    assert!(bytes.len() < 100_000, "{} bytes", bytes.len());
    let got = refusal(&archive(folder.path(), &bytes));
    assert!(
        got.contains("its image files have 20001 MiB together, up to 1024 MiB"),
        "got {got}"
    );
}

#[test]
fn an_entry_that_unpacks_to_more_than_it_says_is_refused() {
    let folder = temporary();
    let files = with(
        numbered(10),
        "00000/img00000003.png",
        [grey(3), vec![0; 1 << 20]].concat(),
    );
    let mut bytes = zip_bytes(&files, CompressionMethod::Deflated);
    let size = ((1 << 20) + grey(3).len() as u32).to_le_bytes();
    for at in 0..bytes.len() - 4 {
        if bytes[at..at + 4] == size {
            bytes[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
        }
    }
    let got = refusal(&archive(folder.path(), &bytes));
    assert!(got.contains("img00000003.png: "), "got {got}");
}

#[test]
fn a_file_of_one_image_that_is_too_large_is_refused() {
    let folder = temporary();
    let files = with(numbered(10), "00000/img00000003.png", vec![0; 65 << 20]);
    for source in [
        zipped(folder.path(), &files, CompressionMethod::Deflated),
        unpacked(folder.path(), &files),
    ] {
        let got = refusal(&source);
        assert!(
            got.contains("img00000003.png: has more than the 64 MiB"),
            "got {got}"
        );
    }
}

#[test]
fn folders_that_are_too_deep_are_refused() {
    let folder = temporary();
    let source = unpacked(folder.path(), &numbered(10));
    let deep = folder.path().join("set").join("a/".repeat(32));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("x.png"), grey(10)).unwrap();
    assert_eq!(all_numbers(&load(&source)).len(), 11);
    fs::create_dir(deep.join("a")).unwrap();
    let got = refusal(&source);
    assert!(
        got.ends_with("a/: lies in more than the 32 folders that are accepted"),
        "got {got}"
    );
}

#[cfg(unix)]
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = temporary();
    let source = unpacked(folder.path(), &numbered(10));
    std::os::unix::net::UnixListener::bind(folder.path().join("set/socket.png")).unwrap();
    let got = refusal(&source);
    assert!(
        got.ends_with("set: socket.png: is not a file but a pipe, a device or a socket"),
        "got {got}"
    );
}
