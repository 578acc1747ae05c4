//! Latent states read back from a file.

use std::path::Path;

use candle_core::{DType, Tensor};
use pfgmpp_data::{DataError, read_array};

use crate::sample_file::SampleFormat;
use crate::sample_set::read_tensors;

/// Latent states, with the classes that they were found under.
#[derive(Clone, Debug)]
pub struct LatentFile {
    /// `[n, C, H, W]`, `f32`.
    pub states: Tensor,
    /// `[n]`, where the file has them.
    pub classes: Option<Vec<usize>>,
}

impl LatentFile {
    /// Reads the states of data of `shape` `[C, H, W]` that a [`SampleFile`](crate::SampleFile) holds: a `.npy` file of
    /// values `[n, ...]`, or `samples` and `classes` of a `.safetensors` file.
    ///
    /// # Errors
    ///
    /// In words: a file of another kind or shape, one without states, and values that are not finite.
    pub fn read(path: &Path, shape: [usize; 3]) -> Result<Self, String> {
        // Whoever names the file in front of the message need not read it twice.
        let place = format!("{}: ", path.display());
        let plain = |e: DataError| e.to_string().replacen(&place, "", 1);
        let unreadable = |e: candle_core::Error| format!("cannot be read: {e}");
        let (values, classes) = match SampleFormat::of(path) {
            Some(SampleFormat::Npy) => (read_array(path).map_err(plain)?, None),
            Some(SampleFormat::Safetensors) => {
                let mut tensors = read_tensors(path)?;
                let classes = tensors.remove("classes");
                let classes = classes.map(|classes| classes.to_dtype(DType::I64)?.to_vec1::<i64>());
                let values = tensors.remove("samples");
                (
                    values.ok_or("has no tensor `samples`")?,
                    classes.transpose().map_err(unreadable)?,
                )
            }
            _ => {
                return Err(
                    "give a .npy or .safetensors file, as pfgmpp encode writes them".into(),
                );
            }
        };
        let n: usize = shape.iter().product();
        let num = values.dims().first().copied().unwrap_or(0);
        let fits = num > 0 && values.elem_count() == num * n && is_of(values.dims(), shape);
        if !fits {
            let (got, [c, h, w]) = (values.dims(), shape);
            return Err(format!(
                "must hold states of shape {shape:?}, [num, {c}, {h}, {w}] in all, got {got:?}"
            ));
        }
        let whole = || -> candle_core::Result<(Tensor, bool)> {
            let states = values
                .to_dtype(DType::F32)?
                .reshape((num, shape[0], shape[1], shape[2]))?;
            let all = (&states * 0.0)?.sum_all()?.to_scalar::<f32>()?;
            Ok((states, all == 0.0))
        };
        let (states, finite) = whole().map_err(unreadable)?;
        if !finite {
            return Err("holds values that are not finite".to_string());
        }
        let squares = || states.flatten_from(1)?.sqr()?.sum(1)?.to_vec1::<f32>();
        let squares = squares().map_err(unreadable)?;
        if let Some(state) = squares
            .iter()
            .position(|square| *square == 0.0 || !square.is_finite())
        {
            return Err(format!(
                "state {state} has norm {}, which no state of the prior has",
                squares[state].sqrt()
            ));
        }
        let classes = classes.map(|classes| {
            let class = |class: i64| {
                usize::try_from(class).map_err(|_| format!("holds {class} as a class"))
            };
            classes
                .into_iter()
                .map(class)
                .collect::<Result<Vec<_>, _>>()
        });
        let classes = classes.transpose()?;
        match &classes {
            Some(classes) if classes.len() != num => Err(format!(
                "holds {num} states and {} classes: as many of each are needed",
                classes.len()
            )),
            _ => Ok(Self { states, classes }),
        }
    }
}

/// Whether an array of `dims` is one of samples of `shape`; those of points in the plane and of rows of tables have two
/// dimensions.
fn is_of(dims: &[usize], shape: [usize; 3]) -> bool {
    dims[1..] == shape || dims.len() == 2 && shape.contains(&dims[1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_file::SampleFile;
    use candle_core::Device;

    fn states() -> Tensor {
        let values: Vec<f32> = (0..12).map(|k| k as f32 * 7.0 - 40.0).collect();
        Tensor::from_vec(values, (3, 1, 2, 2), &Device::Cpu).unwrap()
    }

    fn write(folder: &Path, name: &str, classes: Option<Vec<usize>>) -> std::path::PathBuf {
        let path = folder.join(name);
        let format = SampleFormat::of(&path).unwrap();
        let mut file =
            SampleFile::create(&path, format, [1, 2, 2], &[0, 1, 2], classes, None).unwrap();
        file.add(&states()).unwrap();
        file.finish().unwrap();
        path
    }

    #[test]
    fn states_that_were_written_are_read_back_with_their_classes() {
        let folder = tempfile::tempdir().unwrap();
        for (name, classes, want) in [
            ("a.npy", None, None),
            ("a.safetensors", None, None),
            ("b.safetensors", Some(vec![2, 0, 1]), Some(vec![2, 0, 1])),
        ] {
            let path = write(folder.path(), name, classes);
            let got = LatentFile::read(&path, [1, 2, 2]).unwrap();
            let flat = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(flat(&got.states), flat(&states()), "{name}");
            assert_eq!(
                (got.states.dims(), got.classes),
                (&[3, 1, 2, 2][..], want),
                "{name}"
            );
        }
    }

    #[test]
    fn files_that_hold_no_states_of_the_model_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let npy = write(folder.path(), "a.npy", None);
        let broken = folder.path().join("broken.npy");
        let nan = (states() * f64::NAN).unwrap();
        nan.write_npy(&broken).unwrap();
        let text = folder.path().join("text.npy");
        std::fs::write(&text, "text").unwrap();
        let zeros = folder.path().join("zeros.npy");
        (states() * 0.0).unwrap().write_npy(&zeros).unwrap();
        // A header that claims more than the file holds takes no memory.
        let lie = folder.path().join("lie.npy");
        let header =
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000, 1, 2, 2), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        std::fs::write(&lie, bytes).unwrap();
        for (path, shape, want) in [
            (&npy, [1, 2, 3], "states of shape [1, 2, 3]"),
            (&npy, [2, 2, 1], "[num, 2, 2, 1] in all, got [3, 1, 2, 2]"),
            (&broken, [1, 2, 2], "not finite"),
            (&text, [1, 2, 2], "is not a NumPy array"),
            (&zeros, [1, 2, 2], "state 0 has norm 0"),
            (&lie, [1, 2, 2], "cut off"),
            (
                &folder.path().join("x.png"),
                [1, 2, 2],
                ".npy or .safetensors",
            ),
        ] {
            let error = LatentFile::read(path, shape).unwrap_err();
            assert!(error.contains(want), "got {error}, want {want}");
        }
    }
}
