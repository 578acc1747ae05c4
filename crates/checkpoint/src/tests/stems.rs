//! Archives as `torch.save` names their entries: after the file's stem, whatever its length.

use std::io::{Cursor, Read, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::read;

/// The entries of a sound archive, without the folder that they lie in.
fn entries() -> Vec<(String, Vec<u8>)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/training-state.pt");
    let bytes = std::fs::read(path).expect("part of the crate");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    (0..archive.len())
        .map(|i| {
            let mut entry = archive.by_index(i).expect("an entry");
            let name = entry.name().expect("a name").into_owned();
            let (_, name) = name.split_once('/').expect("a folder");
            let name = name.to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("its bytes");
            (name, bytes)
        })
        .collect()
}

/// The archive that PyTorch writes to `stem.pt`: entries as they are, and the end records of zip64 however few there are.
fn archive(entries: &[(String, Vec<u8>)], stem: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in entries {
        let name = format!("{stem}/{name}");
        writer.start_file(name, stored).expect("an entry");
        writer.write_all(bytes).expect("its bytes");
    }
    let bytes = writer.finish().expect("an archive").into_inner();
    let (rest, end) = bytes.split_at(bytes.len() - 22);
    assert_eq!(&end[..4], b"PK\x05\x06");
    let number = |at: usize| {
        u64::from(u32::from_le_bytes(
            end[at..at + 4].try_into().expect("4 bytes"),
        ))
    };
    let (count, size, start) = (entries.len() as u64, number(12), number(16));
    let mut record = b"PK\x06\x06".to_vec();
    record.extend(44u64.to_le_bytes());
    record.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for value in [count, count, size, start] {
        record.extend(value.to_le_bytes());
    }
    record.extend(b"PK\x06\x07\0\0\0\0");
    record.extend((rest.len() as u64).to_le_bytes());
    record.extend(1u32.to_le_bytes());
    [rest, &record, end].concat()
}

#[test]
fn archives_are_read_whatever_the_length_of_their_name() {
    let entries = entries();
    for len in 1..=64 {
        let stem: String = "training-state-000123-".chars().cycle().take(len).collect();
        let got = read(archive(&entries, &stem));
        assert_eq!(got, Ok(()), "a stem of {len} bytes");
    }
}
