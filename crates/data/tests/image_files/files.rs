//! Sets of files, made in a temporary folder.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use pfgmpp_data::{DataSource, Dataset, ImageArchive, ImageFolder, Splits};
use tempfile::TempDir;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

/// Names and bytes.
pub type Files = Vec<(String, Vec<u8>)>;

pub fn png(levels: &[u8], width: u32, colour: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let height = levels.len() as u32 * 8 / u32::from(colour.bits_per_pixel()) / width;
    let encoder = PngEncoder::new(&mut bytes);
    encoder.write_image(levels, width, height, colour).unwrap();
    bytes
}

pub fn grey(level: u8) -> Vec<u8> {
    png(&[level, 0, 255, 128], 2, ExtendedColorType::L8)
}

/// `num` grey images of 2 by 2 pixels; the first pixel is the image's number.
pub fn numbered(num: u8) -> Files {
    let file = |i| (format!("00000/img{i:08}.png"), grey(i));
    (0..num).map(file).collect()
}

/// The same images under names that `name` gives.
pub fn named(num: u8, name: impl Fn(u8) -> String) -> Files {
    (0..num).map(|i| (name(i), grey(i))).collect()
}

pub fn with(mut files: Files, name: &str, bytes: impl AsRef<[u8]>) -> Files {
    files.retain(|(other, _)| other != name);
    files.push((name.to_string(), bytes.as_ref().to_vec()));
    files
}

pub fn zip_bytes(files: &Files, method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The archive `set.zip` of these bytes.
pub fn archive(folder: &Path, bytes: &[u8]) -> DataSource {
    let path = folder.join("set.zip");
    fs::write(&path, bytes).unwrap();
    at_archive(path)
}

pub fn at_archive(path: PathBuf) -> DataSource {
    DataSource::Zip(ImageArchive { path })
}

pub fn at_folder(path: PathBuf) -> DataSource {
    DataSource::Folder(ImageFolder { path })
}

pub fn zipped(folder: &Path, files: &Files, method: CompressionMethod) -> DataSource {
    archive(folder, &zip_bytes(files, method))
}

pub fn stored(folder: &Path, files: &Files) -> DataSource {
    zipped(folder, files, CompressionMethod::Stored)
}

pub fn unpacked(folder: &Path, files: &Files) -> DataSource {
    let path = folder.join("set");
    for (name, bytes) in files {
        let file = path.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }
    at_folder(path)
}

pub fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn values(dataset: &Dataset) -> Vec<f32> {
    let flat = dataset.images().unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// The numbers of the images of [`numbered`].
pub fn numbers(dataset: &Dataset) -> Vec<u32> {
    let first = |image: &[f32]| (127.5 * (image[0] + 1.0)).round() as u32;
    values(dataset)
        .chunks_exact(dataset.n())
        .map(first)
        .collect()
}

/// The numbers of the images of both parts, in their order.
pub fn all_numbers(parts: &Splits) -> Vec<u32> {
    let mut all = [numbers(&parts.train), numbers(&parts.held_out)].concat();
    all.sort_unstable();
    all
}

pub fn labels(dataset: &Dataset) -> Option<Vec<u32>> {
    let everything: Vec<usize> = (0..dataset.num_images()).collect();
    dataset.labels(&everything).unwrap()
}

pub fn refusal(source: &DataSource) -> String {
    let error = source.load().expect_err("it was accepted");
    assert!(error.is_bad_input(), "got {error}");
    let error = error.to_string();
    assert_eq!(error.lines().count(), 1, "got `{error}`");
    error
}

pub fn load(source: &DataSource) -> Splits {
    source.load().unwrap_or_else(|e| panic!("{e}"))
}

/// The line on what was found.
pub fn found(source: &DataSource) -> String {
    load(source).found.to_string()
}
