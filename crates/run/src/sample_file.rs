//! Many samples in one file of arrays, as other programs read them.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use pfgmpp_data::{Column, is_image, is_planar, to_image};
use pfgmpp_store::NewFile;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::error::RunError;
use crate::table::{own_units, write_names, write_row};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleFormat {
    /// NumPy: the samples as they are, `f32`.
    ///
    /// ```text
    /// [num, C, H, W]; points in the plane [num, 2]; rows of a table [num, n]
    /// ```
    Npy,
    /// NumPy: images as bytes in `arr_0`, `[num, H, W, C]`, as evaluators of images read them, with the classes in
    /// `arr_1`, `[num]`, if there are any.
    Npz,
    /// The samples as they are in `samples`, shaped as in [`Self::Npy`], with `seeds` `[num]`, and `classes` `[num]` if
    /// there are any.
    Safetensors,
    /// Text: a line with the names of the columns, then a row a sample, with its class behind it if there are any.
    Csv,
}

impl SampleFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Npz, Self::Npy, Self::Safetensors, Self::Csv];

    /// The ending of its files' names.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Safetensors => "safetensors",
            Self::Csv => "csv",
        }
    }

    /// The format that a path's ending names.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?;
        let is = |format: &Self| ending.eq_ignore_ascii_case(format.ending());
        Self::ALL.into_iter().find(is)
    }

    /// Checks that samples of `shape` `[C, H, W]` can be written.
    ///
    /// # Errors
    ///
    /// What is no image, where only images can be, and what is one, where only rows can.
    pub fn check(self, shape: [usize; 3]) -> Result<(), String> {
        match self {
            Self::Npz if !is_image(shape) => Err(format!(
                ".npz holds grey or RGB images as bytes, samples are of shape {shape:?}: give a name that ends in .npy \
                 or .safetensors, or in .csv for a table"
            )),
            Self::Csv if !is_row(shape) => Err(format!(
                ".csv holds rows of a table, samples are images of shape {shape:?}: give a name that ends in .png, .npz, .npy or \
                 .safetensors"
            )),
            _ => Ok(()),
        }
    }
}

/// Samples on their way into one file, in order.
pub struct SampleFile {
    path: PathBuf,
    num: usize,
    columns: Option<Vec<Column>>,
    classes: Option<Vec<usize>>,
    seeds: Vec<u64>,
    sink: Sink,
    taken: usize,
}

/// What is written to.
enum Sink {
    /// Values one after the other, behind a header that has been written.
    Plain(SampleFormat, BufWriter<NewFile>),
    /// The entry `arr_0` of an archive.
    Archive(Box<ZipWriter<BufWriter<NewFile>>>),
}

impl SampleFile {
    /// Begins the file at `path` for one sample of `shape` `[C, H, W]` for each of `seeds`.
    ///
    /// With the `columns` of a table that was standardised, samples are written in its own units; `.csv` without them calls
    /// the columns 0, 1 and so on.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    pub fn create(
        path: &Path,
        format: SampleFormat,
        shape: [usize; 3],
        seeds: &[u64],
        classes: Option<Vec<usize>>,
        columns: Option<&[Column]>,
    ) -> Result<Self, RunError> {
        let begin = || -> io::Result<Sink> {
            let mut file = BufWriter::new(NewFile::create(path)?);
            let dims = dims(seeds.len(), shape);
            match format {
                SampleFormat::Npy => file.write_all(&npy_header("<f4", &dims))?,
                SampleFormat::Safetensors => {
                    file.write_all(&safetensors_header(&dims, seeds.len(), classes.is_some()))?;
                }
                SampleFormat::Csv => {
                    let names = match columns {
                        Some(columns) => columns.iter().map(|c| c.name.clone()).collect(),
                        None => (0..shape.iter().product())
                            .map(|c: usize| c.to_string())
                            .collect::<Vec<_>>(),
                    };
                    write_names(&mut file, &names, classes.is_some())?;
                }
                SampleFormat::Npz => {
                    let mut archive = ZipWriter::new(file);
                    let [c, h, w] = shape;
                    archive.start_file("arr_0.npy", stored())?;
                    archive.write_all(&npy_header("|u1", &[seeds.len(), h, w, c]))?;
                    return Ok(Sink::Archive(Box::new(archive)));
                }
            }
            Ok(Sink::Plain(format, file))
        };
        Ok(Self {
            sink: begin().map_err(RunError::io(path))?,
            path: path.to_path_buf(),
            columns: columns.map(<[Column]>::to_vec),
            num: seeds.len(),
            seeds: seeds.to_vec(),
            classes,
            taken: 0,
        })
    }

    /// Takes the next samples, `[n, C, H, W]`.
    ///
    /// # Errors
    ///
    /// Any failure of the file system, and images that cannot be drawn.
    pub fn add(&mut self, samples: &Tensor) -> Result<(), RunError> {
        let before = self.taken;
        self.taken += samples.dim(0)?;
        let samples = match &self.columns {
            Some(columns) => &own_units(samples, columns)?,
            None => samples,
        };
        let written = match &mut self.sink {
            Sink::Plain(SampleFormat::Csv, file) => {
                let values = samples.to_dtype(DType::F64)?;
                let rows = values.flatten_from(1)?.to_vec2::<f64>()?;
                let mut rows = rows.iter().enumerate();
                let classes = self.classes.as_deref();
                rows.try_for_each(|(row, values)| {
                    write_row(file, values, classes.map(|classes| classes[before + row]))
                })
            }
            Sink::Plain(_, file) => {
                let values = samples.to_dtype(DType::F32)?.flatten_all()?;
                let values = values.to_vec1::<f32>()?;
                let mut values = values.iter();
                values.try_for_each(|value| file.write_all(&value.to_le_bytes()))
            }
            Sink::Archive(archive) => {
                let mut written = Ok(());
                for index in 0..samples.dim(0)? {
                    let picture = to_image(&samples.get(index)?)?;
                    written = written.and_then(|()| archive.write_all(picture.bytes()));
                }
                written
            }
        };
        written.map_err(RunError::io(&self.path))
    }

    /// Ends the file and puts it in its place.
    ///
    /// # Errors
    ///
    /// Any failure of the file system.
    ///
    /// # Panics
    ///
    /// Fewer or more samples than it was begun for.
    pub fn finish(self) -> Result<(), RunError> {
        let Self {
            path, num, taken, ..
        } = &self;
        assert_eq!(taken, num, "{}: not all samples were drawn", path.display());
        let path = path.clone();
        self.end().map_err(RunError::io(&path))
    }

    fn end(self) -> io::Result<()> {
        let classes = |file: &mut dyn Write| -> io::Result<()> {
            let mut classes = self.classes.iter().flatten();
            classes.try_for_each(|&class| file.write_all(&(class as i64).to_le_bytes()))
        };
        let file = match self.sink {
            Sink::Plain(SampleFormat::Safetensors, mut file) => {
                let mut seeds = self.seeds.iter();
                // Signed, as few readers know other ones.
                seeds.try_for_each(|&seed| file.write_all(&(seed as i64).to_le_bytes()))?;
                classes(&mut file)?;
                file
            }
            Sink::Plain(_, file) => file,
            Sink::Archive(mut archive) => {
                if self.classes.is_some() {
                    archive.start_file("arr_1.npy", stored())?;
                    archive.write_all(&npy_header("<i8", &[self.num]))?;
                    classes(&mut archive)?;
                }
                archive.finish()?
            }
        };
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .keep()
    }
}

/// Whether samples of `shape` `[C, H, W]` are rows of numbers: points in the plane or rows of a table.
fn is_row(shape: [usize; 3]) -> bool {
    is_planar(shape) || matches!(shape, [1, 1, _])
}

/// The shape of all samples together.
fn dims(num: usize, shape: [usize; 3]) -> Vec<usize> {
    match shape {
        _ if is_planar(shape) => vec![num, 2],
        [1, 1, n] => vec![num, n],
        [c, h, w] => vec![num, c, h, w],
    }
}

/// Entries are not compressed, as NumPy writes them, and may be larger than 4 GiB.
fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .large_file(true)
}

/// The header of a `.npy` file, version 1.0: its length is a multiple of 64.
fn npy_header(dtype: &str, dims: &[usize]) -> Vec<u8> {
    let sizes: Vec<String> = dims.iter().map(ToString::to_string).collect();
    // Python writes a tuple of one with a comma.
    let sizes = sizes.join(", ") + if dims.len() == 1 { "," } else { "" };
    let mut text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Magic number, version and length take 10 bytes, the line break 1.
    let padding = (64 - (text.len() + 11) % 64) % 64;
    text.push_str(&" ".repeat(padding));
    text.push('\n');
    let length = text.len() as u16;
    [
        b"\x93NUMPY\x01\x00".as_slice(),
        &length.to_le_bytes(),
        text.as_bytes(),
    ]
    .concat()
}

/// The header of a safetensors file: its length in 8 bytes, then JSON.
fn safetensors_header(dims: &[usize], num: usize, has_classes: bool) -> Vec<u8> {
    let samples = 4 * dims.iter().product::<usize>();
    let seeds = samples + 8 * num;
    let mut tensors = json!({
        "samples": {"dtype": "F32", "shape": dims, "data_offsets": [0, samples]},
        "seeds": {"dtype": "I64", "shape": [num], "data_offsets": [samples, seeds]},
    });
    if has_classes {
        tensors["classes"] =
            json!({"dtype": "I64", "shape": [num], "data_offsets": [seeds, seeds + 8 * num]});
    }
    let mut text = tensors.to_string();
    // Data begin at a multiple of 8.
    text.push_str(&" ".repeat((8 - text.len() % 8) % 8));
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, safetensors};

    fn samples() -> Tensor {
        let values: Vec<f32> = (0..12).map(|k| k as f32 / 5.5 - 1.0).collect();
        Tensor::from_vec(values, (3, 1, 2, 2), &Device::Cpu).unwrap()
    }

    fn written(format: SampleFormat, folder: &Path) -> PathBuf {
        let path = folder.join("x").with_extension(format.ending());
        let classes = Some(vec![7, 0, 3]);
        let mut file =
            SampleFile::create(&path, format, [1, 2, 2], &[5, 6, 9], classes, None).unwrap();
        file.add(&samples().narrow(0, 0, 2).unwrap()).unwrap();
        file.add(&samples().narrow(0, 2, 1).unwrap()).unwrap();
        assert!(!path.exists(), "the file appears whole");
        file.finish().unwrap();
        path
    }

    #[test]
    fn arrays_are_read_back_as_they_were_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let want = samples().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let npy = Tensor::read_npy(written(SampleFormat::Npy, folder.path())).unwrap();
        assert_eq!(npy.dims(), [3, 1, 2, 2]);
        assert_eq!(npy.flatten_all().unwrap().to_vec1::<f32>().unwrap(), want);
        let path = written(SampleFormat::Safetensors, folder.path());
        let mut all = safetensors::load(path, &Device::Cpu).unwrap();
        let got = all.remove("samples").unwrap().flatten_all().unwrap();
        assert_eq!(got.to_vec1::<f32>().unwrap(), want);
        let classes = all.remove("classes").unwrap().to_vec1::<i64>().unwrap();
        assert_eq!(classes, [7, 0, 3]);
    }

    #[test]
    fn images_are_bytes_with_channels_last() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(SampleFormat::Npz, folder.path());
        let all = candle_core::npy::NpzTensors::new(&path).unwrap();
        let images = all.get("arr_0").unwrap().unwrap();
        assert_eq!(
            (images.dims(), images.dtype()),
            (&[3, 2, 2, 1][..], DType::U8)
        );
        let got = images.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        let want: Vec<u8> = (0..12)
            .map(|k| (k as f32 * 255.0 / 11.0).round() as u8)
            .collect();
        assert_eq!(got, want);
        let classes = all.get("arr_1").unwrap().unwrap().to_vec1::<i64>().unwrap();
        assert_eq!(classes, [7, 0, 3]);
    }

    #[test]
    fn points_are_no_images() {
        assert!(SampleFormat::Npy.check([2, 1, 1]).is_ok());
        let got = SampleFormat::Npz.check([2, 1, 1]).unwrap_err();
        assert!(
            got.starts_with(".npz holds grey or RGB images"),
            "got {got}"
        );
        assert!(SampleFormat::Csv.check([2, 1, 1]).is_ok());
        assert!(SampleFormat::Csv.check([1, 1, 7]).is_ok());
        let got = SampleFormat::Csv.check([1, 8, 8]).unwrap_err();
        assert!(got.starts_with(".csv holds rows of a table"), "got {got}");
        assert_eq!(dims(5, [2, 1, 1]), [5, 2]);
        assert_eq!(dims(5, [1, 1, 7]), [5, 7]);
    }

    #[test]
    fn a_standardised_table_is_written_in_its_own_units() {
        let folder = tempfile::tempdir().unwrap();
        let column = |name: &str, shift, scale| Column {
            name: name.to_string(),
            shift,
            scale,
        };
        let columns = [
            column("a", 1.0, 2.0),
            column("b", 0.0, 1e3),
            column("c", 0.0, 1.0),
        ];
        let rows = Tensor::new(&[[0.25f32, -1.5, 0.0], [7.0, 0.0, 1.0]], &Device::Cpu).unwrap();
        let rows = rows.reshape((2, 1, 1, 3)).unwrap();
        let write = |format: SampleFormat| {
            let path = folder.path().join("x").with_extension(format.ending());
            let (classes, columns) = (Some(vec![4, 2]), Some(&columns[..]));
            let mut file =
                SampleFile::create(&path, format, [1, 1, 3], &[0, 1], classes, columns).unwrap();
            for row in 0..2 {
                file.add(&rows.narrow(0, row, 1).unwrap()).unwrap();
            }
            file.finish().unwrap();
            path
        };
        let got = std::fs::read_to_string(write(SampleFormat::Csv)).unwrap();
        assert_eq!(got, "a,b,c,class\n1.5,-1500.0,0.0,4\n15.0,0.0,1.0,2\n");
        let got = Tensor::read_npy(write(SampleFormat::Npy)).unwrap();
        let got = got.to_vec2::<f32>().unwrap();
        assert_eq!(got, [[1.5, -1500.0, 0.0], [15.0, 0.0, 1.0]]);
    }
}
