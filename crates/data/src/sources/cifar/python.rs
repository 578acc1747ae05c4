//! The Python versions: a pickled dictionary a file, which is read as a description and never run.

use pfgmpp_pickle::{Id, Limits, Pickle, Regard, Value, read};
use pfgmpp_store::Window;

use super::{Batch, PIXELS};
use crate::splits::MIN_IMAGES;

/// Bounds on the pickles, several times what the largest file holds: 50,000 classes of both kinds and as many names of files.
const LIMITS: Limits = Limits {
    opcodes: 2_000_000,
    text: 16 << 20,
    depth: 8,
    regard,
};

/// An array of NumPy is all that these files name.
fn regard(module: &str, name: &str) -> Regard {
    let known = match module {
        "numpy.core.multiarray" | "numpy._core.multiarray" => name == "_reconstruct",
        "numpy" => ["ndarray", "dtype"].contains(&name),
        _ => false,
    };
    match known {
        true => Regard::Known,
        false => Regard::Refused,
    }
}

/// A pickled dictionary and the bytes that it lies in.
struct Dictionary {
    pickle: Pickle,
    window: Window,
}

impl Dictionary {
    fn read(bytes: Vec<u8>) -> Result<Self, String> {
        let window = Window::from_bytes(bytes);
        let pickle = read(&window, &LIMITS).map_err(|e| format!("{e}: fetch it again"))?;
        match pickle.entries(pickle.root()) {
            Some(_) => Ok(Self { pickle, window }),
            None => Err("is not a pickled dictionary: fetch it again".to_string()),
        }
    }

    /// The bytes of a byte string.
    fn bytes(&self, id: Id) -> Option<Vec<u8>> {
        match *self.pickle.get(id) {
            Value::Bytes(start, len) => self.window.part(start, len)?.to_vec().ok(),
            _ => None,
        }
    }

    /// A text, or a short byte string: what a string of Python 2 is depends on who saved it again.
    fn text(&self, id: Id) -> Option<String> {
        match *self.pickle.get(id) {
            Value::Bytes(_, len) if len <= 255 => String::from_utf8(self.bytes(id)?).ok(),
            _ => self.pickle.text(id).map(str::to_string),
        }
    }

    fn entry(&self, key: &str) -> Result<Id, String> {
        let entries = self.pickle.entries(self.pickle.root()).unwrap_or_default();
        let mut entries = entries.iter().rev();
        let found = entries.find(|(name, _)| self.text(*name).as_deref() == Some(key));
        let found = found.map(|(_, value)| *value);
        found.ok_or_else(|| format!("has no entry {key}: fetch it again"))
    }

    /// An array of bytes with `PIXELS` columns, row after row.
    fn images(&self, id: Id) -> Result<Vec<u8>, String> {
        let pickle = &self.pickle;
        let other = || {
            let got = pickle.describe(id);
            format!("its data are {got}, CIFAR has an array of u8 with {PIXELS} columns")
        };
        let call = pickle.call(id).ok_or_else(other)?;
        let is_array = pickle.function(call).ends_with("multiarray._reconstruct");
        let state = call.state.filter(|_| is_array).ok_or_else(other)?;
        let &[_, shape, dtype, by_columns, bytes] = pickle.items(state).ok_or_else(other)? else {
            return Err(other());
        };
        let shape: Option<Vec<usize>> = (pickle.items(shape).unwrap_or_default().iter())
            .map(|&size| pickle.size(size))
            .collect();
        let Some(&[rows, PIXELS]) = shape.as_deref() else {
            return Err(format!(
                "its data have shape {shape:?}, CIFAR has {PIXELS} columns"
            ));
        };
        let kind = (pickle.call(dtype))
            .and_then(|call| self.text(*pickle.arguments(call).first()?))
            .ok_or_else(other)?;
        if !["u1", "|u1"].contains(&kind.as_str()) {
            return Err(format!("its data are of {kind}, CIFAR has u1 (bytes)"));
        }
        let bytes = self.bytes(bytes).ok_or_else(other)?;
        if Some(bytes.len()) != rows.checked_mul(PIXELS) || rows < MIN_IMAGES {
            let len = bytes.len();
            return Err(format!(
                "its data have {len} bytes for {rows} images, at least {MIN_IMAGES} images of {PIXELS} are needed: fetch it again"
            ));
        }
        match pickle.get(by_columns) {
            Value::Bool(false) | Value::Int(0) => Ok(bytes),
            _ => Ok((0..bytes.len())
                .map(|i| bytes[i % PIXELS * rows + i / PIXELS])
                .collect()),
        }
    }
}

/// The images of a file, and their classes under `key`.
pub(super) fn batch(bytes: Vec<u8>, key: &str) -> Result<Batch, String> {
    let dictionary = Dictionary::read(bytes)?;
    let levels = dictionary.images(dictionary.entry("data")?)?;
    let (images, pickle) = (levels.len() / PIXELS, &dictionary.pickle);
    let labels = pickle.items(dictionary.entry(key)?).unwrap_or_default();
    if labels.len() != images {
        let got = labels.len();
        return Err(format!(
            "has {got} {key} for {images} images: fetch it again"
        ));
    }
    let class = |(image, &id): (usize, &Id)| {
        match pickle.get(id) {
            Value::Int(class) => u32::try_from(*class).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            let got = pickle.describe(id);
            format!("label of image {image} must be a class, got {got}: fetch it again")
        })
    };
    let classes = labels
        .iter()
        .enumerate()
        .map(class)
        .collect::<Result<_, _>>();
    Ok(Batch {
        levels,
        classes: classes?,
    })
}

/// The names of the classes under `key`.
pub(super) fn names(bytes: Vec<u8>, key: &str) -> Option<Vec<String>> {
    let dictionary = Dictionary::read(bytes).ok()?;
    let names = dictionary.pickle.items(dictionary.entry(key).ok()?)?;
    names.iter().map(|&name| dictionary.text(name)).collect()
}
