//! Tensors in a `.safetensors` file: images, points or rows of a table in one, their classes in another.
//!
//! The format: <https://huggingface.co/docs/safetensors>.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::array::{Array, Element, NpyLayout, Place, Reading, choose, classes, load, not_read};
use super::file_name;
use crate::error::DataError;
use crate::file_error::FileError;
use crate::labels::Labels;
use crate::source::Source;
use crate::splits::Splits;

/// Bytes of the description at the beginning of a file.
const MAX_HEADER: u64 = 16 << 20;

/// A file of tensors. Row `i` is held out when `i % 5 == 4`; shapes and types are those of
/// [`NpyArray`](crate::NpyArray).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafetensorsFile {
    /// The file; a relative path starts from the working directory.
    pub path: PathBuf,
    /// The tensor of the images; one that is called `images`, `x` or `data`, or the only one, if not named.
    #[serde(default)]
    pub images: Option<String>,
    /// The tensor of the classes; one that is called `labels` or `y` if not named.
    #[serde(default)]
    pub labels: Option<String>,
    /// The values that become -1 and 1; `U8` needs none.
    #[serde(default)]
    pub range: Option<[f64; 2]>,
    /// Where the channels stand, needed where the shape allows both.
    #[serde(default)]
    pub layout: Option<NpyLayout>,
}

impl Source for SafetensorsFile {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn load(&self) -> Result<Splits, DataError> {
        let tensors = Tensors::open(&self.path)?;
        let names: Vec<String> = tensors.described.keys().cloned().collect();
        let wanted = [&self.images, &self.labels].map(Option::as_deref);
        let chosen = choose(&Place::file(&self.path), &names, wanted[0], wanted[1])?;
        let images = tensors.array(&chosen.images)?;
        let labels = match &chosen.labels {
            None => Labels::Absent,
            Some(name) => Labels::Classes(classes(tensors.array(name)?, images.num())?),
        };
        let reading = Reading {
            range: self.range,
            layout: self.layout,
        };
        let mut splits = load(self.name(), images, reading, &labels)?;
        splits.found.skipped.extend(not_read(&chosen.others));
        Ok(splits)
    }
}

/// What the header says of a tensor.
#[derive(Deserialize)]
struct Described {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// A file of which the header is read.
struct Tensors {
    path: PathBuf,
    described: BTreeMap<String, Described>,
    /// Where the values begin, and how many bytes of them there are.
    start: u64,
    held: u64,
}

impl Tensors {
    fn open(path: &Path) -> Result<Self, FileError> {
        let refuse = |reason: &str| FileError::file(path, reason);
        let mut file = File::open(path).map_err(FileError::io(path))?;
        let len = file.metadata().map_err(FileError::io(path))?.len();
        let no_header = || refuse("is not a safetensors file, or is cut off: copy it again");
        let mut size = [0; 8];
        file.read_exact(&mut size).map_err(|_| no_header())?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size + 8 > len {
            return Err(no_header());
        }
        let mut header = vec![0; size as usize];
        file.read_exact(&mut header).map_err(|_| no_header())?;
        let header = serde_json::from_slice::<BTreeMap<String, Value>>(&header);
        let mut described = BTreeMap::new();
        for (name, value) in header.map_err(|_| no_header())? {
            // Texts of whoever wrote the file.
            if name != "__metadata__" {
                let tensor = serde_json::from_value(value).map_err(|_| no_header())?;
                described.insert(name, tensor);
            }
        }
        Ok(Self {
            path: path.to_path_buf(),
            described,
            start: 8 + size,
            held: len - 8 - size,
        })
    }

    fn array(&self, name: &str) -> Result<Array<'static>, FileError> {
        let place = Place::within(&self.path, name);
        let Described {
            dtype,
            shape,
            data_offsets: [begin, end],
        } = &self.described[name];
        let element = element(dtype).ok_or_else(|| {
            place.refuse(format!(
                "is a tensor of {dtype}, accepted are U8, F32 and F64, and whole numbers for labels: convert it"
            ))
        })?;
        if begin > end || *end > self.held {
            return Err(place.refuse("lies beyond the end of the file: copy it again"));
        }
        let mut file = File::open(&self.path).map_err(FileError::io(&self.path))?;
        let found = file.seek(SeekFrom::Start(self.start + begin));
        found.map_err(FileError::io(&self.path))?;
        let reader = BufReader::new(file.take(end - begin));
        let array = Array::new(place, reader, element, shape.clone(), Some(end - begin))?;
        Ok(array.starting_at(self.start + begin))
    }
}

fn element(dtype: &str) -> Option<Element> {
    Some(match dtype {
        "U8" => Element::U8,
        "F32" => Element::F32,
        "F64" => Element::F64,
        "I8" => Element::Whole(1, true),
        "I16" => Element::Whole(2, true),
        "I32" => Element::Whole(4, true),
        "I64" => Element::Whole(8, true),
        "U16" => Element::Whole(2, false),
        "U32" => Element::Whole(4, false),
        "U64" => Element::Whole(8, false),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::array::load_into;
    use super::*;
    use crate::mutated::mutated;
    use crate::storage::Room;

    #[test]
    fn a_damaged_file_that_rows_stay_in_is_read_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.safetensors");
        let header = r#"{"images":{"dtype":"U8","shape":[60,2,1,3],"data_offsets":[0,360]}}"#;
        let mut whole = (header.len() as u64).to_le_bytes().to_vec();
        whole.extend(header.as_bytes());
        whole.extend((0..360).map(|i| (i % 251) as u8));
        let room = Room {
            values: 0,
            levels: 0,
        };
        let mut read = 0;
        for seed in 0..200 {
            std::fs::write(&path, mutated(&whole, seed)).unwrap();
            let array = Tensors::open(&path).and_then(|tensors| {
                match tensors.described.first_key_value() {
                    Some((name, _)) => tensors.array(name),
                    None => Err(FileError::file(&path, "holds nothing")),
                }
            });
            let reading = Reading {
                range: None,
                layout: None,
            };
            let loaded = array.map_err(DataError::from).and_then(|array| {
                load_into(room, "x".to_string(), array, reading, &Labels::Absent)
            });
            match loaded.and_then(|splits| splits.train.images()) {
                Ok(_) => read += 1,
                Err(error) => {
                    let got = error.to_string();
                    assert!(got.contains("x.safetensors"), "mutation {seed}: got {got}");
                    assert_eq!(got.lines().count(), 1, "mutation {seed}: got {got}");
                }
            }
        }
        assert!((1..200).contains(&read), "got {read} read");
    }
}
