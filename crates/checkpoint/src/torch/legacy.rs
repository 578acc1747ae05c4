//! Files of `torch.save` before 1.6: pickles of a magic number, a version, the machine, the object
//! and the storages' keys; then for each key the number of elements and the elements.

use std::collections::HashMap;

use pfgmpp_pickle::{Pickle, Value};
use pfgmpp_store::Window;

use super::storage::{Element, Storage, element_of_class};
use super::{LIMITS, TorchError, TorchFile, head};

/// The number that the first pickle holds.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// The version in the second.
const VERSION: i128 = 1001;
/// The first pickle: protocol, an integer of 10 bytes, end.
const MAGIC_PICKLE: [u8; 15] = [
    0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.',
];

pub(super) fn is_legacy(file: &Window) -> bool {
    head(file, MAGIC_PICKLE.len()) == MAGIC_PICKLE
}

pub(super) fn read(file: &Window) -> Result<TorchFile, TorchError> {
    let mut rest = file.clone();
    let mut next = || -> Result<(Pickle, Window), TorchError> {
        let window = rest.clone();
        let pickle = pfgmpp_pickle::read(&window, &LIMITS)?;
        rest = window.tail(pickle.end()).ok_or_else(cut_off)?;
        Ok((pickle, window))
    };
    let (magic, _) = next()?;
    let (version, _) = next()?;
    let is = |pickle: &Pickle, want| matches!(pickle.get(pickle.root()), Value::Int(got) if *got == want);
    if !is(&magic, MAGIC) || !is(&version, VERSION) {
        let got = version.describe(version.root());
        return Err(TorchError::Damaged(format!(
            "its version is {got}, {VERSION} is known"
        )));
    }
    let (machine, _) = next()?;
    let little = machine.entry(machine.root(), "little_endian");
    if little.is_some_and(|id| matches!(machine.get(id), Value::Bool(false))) {
        return Err(TorchError::BigEndian);
    }
    let (pickle, window) = next()?;
    let (keys, _) = next()?;
    let storages = storages(&pickle, &keys, &rest)?;
    Ok(TorchFile {
        pickle,
        window,
        storages,
        len: file.len(),
    })
}

/// The storages in `data`, in the order of `keys`.
fn storages(
    pickle: &Pickle,
    keys: &Pickle,
    data: &Window,
) -> Result<HashMap<String, Storage>, TorchError> {
    let elements = elements(pickle);
    let keys_of_file = keys
        .items(keys.root())
        .ok_or_else(|| TorchError::Damaged("its keys are not a list".into()))?;
    let mut storages = HashMap::new();
    let mut at = 0;
    for &key in keys_of_file {
        let key = keys
            .text(key)
            .ok_or_else(|| TorchError::Damaged("a storage's key is not a text".into()))?;
        let element = elements
            .get(key)
            .ok_or_else(|| TorchError::Damaged(format!("storage {key:.40} has no type")))?;
        let mut numel = [0; 8];
        data.read_at(&mut numel, at).map_err(|_| cut_off())?;
        let len = u64::from_le_bytes(numel).checked_mul(element.size as u64);
        let window = len.and_then(|len| data.part(at + 8, len));
        let window = window.ok_or_else(cut_off)?;
        at += 8 + window.len();
        storages.insert(key.to_owned(), Storage { window, crc: None });
    }
    Ok(storages)
}

/// The element types of the storages that a pickle names.
fn elements(pickle: &Pickle) -> HashMap<&str, Element> {
    let named = pickle.values().iter().filter_map(|value| {
        let Value::Persistent(id) = value else {
            return None;
        };
        let [_, class, key, ..] = pickle.items(*id)? else {
            return None;
        };
        let Value::Global(class) = pickle.get(*class) else {
            return None;
        };
        Some((pickle.text(*key)?, element_of_class(class)?))
    });
    named.collect()
}

fn cut_off() -> TorchError {
    TorchError::Damaged("its storages are cut off".into())
}
