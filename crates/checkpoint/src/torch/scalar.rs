//! Numbers, as Python or NumPy write them.

use pfgmpp_pickle::{Id, Value};
use pfgmpp_store::Window;

use super::TorchFile;

impl TorchFile {
    /// A number: an integer, a float, a truth value or a NumPy scalar.
    pub(crate) fn number(&self, id: Id) -> Option<f64> {
        match self.pickle.get(id) {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Bool(value) => Some(f64::from(u8::from(*value))),
            Value::Call(call) if self.pickle.function(call).ends_with(".multiarray.scalar") => {
                let &[dtype, bytes] = self.pickle.arguments(call) else {
                    return None;
                };
                let bytes = self.encoded(bytes)?;
                let dtype = self.pickle.call(dtype)?;
                let code = self.pickle.arguments(dtype).first()?;
                decode(self.pickle.text(*code)?, &bytes)
            }
            _ => None,
        }
    }

    /// Bytes, which protocol 2 writes as `_codecs.encode(text, 'latin1')`.
    fn encoded(&self, id: Id) -> Option<Vec<u8>> {
        if let Some(call) = self.pickle.call(id) {
            let text = self.pickle.text(*self.pickle.arguments(call).first()?)?;
            return text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).ok())
                .collect();
        }
        let window: Window = self.bytes(id)?;
        // The longest number has 16 bytes.
        (window.len() <= 16).then(|| window.to_vec().ok())?
    }
}

/// A little-endian number of NumPy's type `code`.
fn decode(code: &str, bytes: &[u8]) -> Option<f64> {
    Some(match code.trim_start_matches(['<', '|', '=']) {
        "f8" => f64::from_le_bytes(bytes.try_into().ok()?),
        "f4" => f32::from_le_bytes(bytes.try_into().ok()?).into(),
        "i8" => i64::from_le_bytes(bytes.try_into().ok()?) as f64,
        "i4" => i32::from_le_bytes(bytes.try_into().ok()?).into(),
        "u8" => u64::from_le_bytes(bytes.try_into().ok()?) as f64,
        "b1" => u8::from_le_bytes(bytes.try_into().ok()?).into(),
        _ => return None,
    })
}
