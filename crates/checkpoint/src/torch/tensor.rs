//! Tensors: views of storages by offset, shape and stride.

use candle_core::{Device, Tensor};
use pfgmpp_pickle::{Call, Id, Value};
use pfgmpp_store::Window;

use super::storage::{Element, Storage, element_of_class, element_of_dtype};
use super::{TorchError, TorchFile, legacy};
use crate::elements;

/// Calls within calls of one tensor: a parameter of a tensor subclass of a tensor.
const MAX_WRAPPERS: usize = 8;

/// Where a tensor's elements lie.
pub(crate) struct View {
    element: Element,
    storage: Storage,
    /// In elements.
    offset: usize,
    pub(crate) shape: Vec<usize>,
    stride: Vec<usize>,
    /// One more than the last element's position.
    end: usize,
}

impl View {
    /// Number of elements.
    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of the elements.
    pub(crate) fn bytes(&self) -> usize {
        self.len() * self.element.size
    }

    fn is_contiguous(&self) -> bool {
        self.end - self.offset == self.len() && {
            let mut expected = 1;
            let axes = self.shape.iter().zip(&self.stride).rev();
            axes.filter(|(size, _)| **size != 1).all(|(size, stride)| {
                let fits = *stride == expected;
                expected *= size;
                fits
            })
        }
    }

    /// Reads the elements.
    pub(crate) fn read(&self, name: &str, device: &Device) -> Result<Tensor, TorchError> {
        let problem = |problem: String| TorchError::Tensor {
            name: name.into(),
            problem,
        };
        let size = self.element.size;
        let dtype = self.element.dtype.ok_or_else(|| {
            problem(format!(
                "its elements, of {size} bytes, are no kind of number that networks have"
            ))
        })?;
        self.check_crc(name)?;
        let window = &self.storage.window;
        let at = (self.offset * size) as u64;
        let tensor = if self.is_contiguous() {
            elements::read(window, at, dtype, &self.shape, device)
        } else {
            let mut bytes = vec![0; (self.end - self.offset) * size];
            window.read_at(&mut bytes, at)?;
            Tensor::from_raw_buffer(&self.gather(&bytes), dtype, &self.shape, device)
        };
        tensor.map_err(|source| TorchError::Backend {
            name: name.into(),
            source,
        })
    }

    /// Compares the whole storage with its checksum, if one is recorded and the tensor is all of it.
    fn check_crc(&self, name: &str) -> Result<(), TorchError> {
        let window = &self.storage.window;
        let Some(want) = self
            .storage
            .crc
            .filter(|_| self.bytes() as u64 == window.len())
        else {
            return Ok(());
        };
        let mut crc = crc32fast::Hasher::new();
        elements::for_each_piece(window, |piece| crc.update(piece))?;
        if crc.finalize() == want {
            return Ok(());
        }
        Err(TorchError::Tensor {
            name: name.into(),
            problem: "its bytes have another checksum than recorded: copy the file again".into(),
        })
    }

    /// The elements in the order of a contiguous tensor, from bytes that start at `offset`.
    fn gather(&self, bytes: &[u8]) -> Vec<u8> {
        let size = self.element.size;
        let mut out = Vec::with_capacity(self.bytes());
        let mut index = vec![0; self.shape.len()];
        for _ in 0..self.len() {
            let at: usize = index.iter().zip(&self.stride).map(|(i, s)| i * s).sum();
            out.extend_from_slice(&bytes[at * size..(at + 1) * size]);
            for (i, n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        out
    }
}

impl TorchFile {
    /// Whether a value describes a tensor, readable or not, rather than another object.
    pub(crate) fn is_tensor(&self, id: Id) -> bool {
        let function = self.pickle.call(id).map(|call| self.pickle.function(call));
        function.is_some_and(|name| {
            name.starts_with("torch._utils._rebuild_")
                || name.starts_with("torch._tensor._rebuild_")
        })
    }

    /// The tensor that a value describes; `name` is for errors.
    pub(crate) fn tensor(&self, id: Id, name: &str) -> Result<View, TorchError> {
        let problem = |problem: String| TorchError::Tensor {
            name: name.into(),
            problem,
        };
        let mut id = id;
        for _ in 0..MAX_WRAPPERS {
            let call = self
                .pickle
                .call(id)
                .ok_or_else(|| problem(format!("it is {}", self.pickle.describe(id))))?;
            let arguments = self.pickle.arguments(call);
            match (self.pickle.function(call), arguments) {
                ("torch._utils._rebuild_parameter", &[data, ..])
                | ("torch._utils._rebuild_parameter_with_state", &[data, ..]) => id = data,
                ("torch._tensor._rebuild_from_type_v2", &[function, _, arguments, ..]) => {
                    return self.rebuild(function, arguments).map_err(problem);
                }
                _ => return self.rebuild_call(call).map_err(problem),
            }
        }
        Err(problem("it is wrapped too often".into()))
    }

    fn rebuild_call(&self, call: &Call) -> Result<View, String> {
        self.rebuild(call.function, call.arguments)
    }

    /// The tensor of `_rebuild_tensor_v2(storage, offset, size, stride, ...)` and its relatives.
    fn rebuild(&self, function: Id, arguments: Id) -> Result<View, String> {
        let Value::Global(name) = self.pickle.get(function) else {
            return Err("it is made by something that has no name".into());
        };
        let arguments = self.pickle.items(arguments).unwrap_or_default();
        let typed = match &**name {
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => None,
            "torch._utils._rebuild_tensor_v3" => {
                let dtype = arguments.get(6).map(|id| self.pickle.get(*id));
                let Some(Value::Global(dtype)) = dtype else {
                    return Err("it has no type of number".into());
                };
                Some(element_of_dtype(dtype).ok_or_else(|| format!("its numbers are {dtype}"))?)
            }
            name => return Err(format!("it is made by {name}, which is not supported")),
        };
        let &[storage, offset, shape, stride, ..] = arguments else {
            return Err("its description is cut off".into());
        };
        let (element, storage) = self.storage(storage)?;
        let offset = self.pickle.size(offset).ok_or("its offset is not a size")?;
        let view = Layout {
            offset,
            shape: self
                .sizes(shape)
                .ok_or("its shape is not a tuple of sizes")?,
            stride: self
                .sizes(stride)
                .ok_or("its stride is not a tuple of sizes")?,
        };
        view.on(typed.unwrap_or(element), storage)
    }

    /// The sizes in a tuple or in `torch.Size((...))`.
    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let id = match self.pickle.call(id) {
            Some(call) if self.pickle.function(call) == "torch.Size" => {
                *self.pickle.arguments(call).first()?
            }
            _ => id,
        };
        let items = self.pickle.items(id)?;
        items.iter().map(|&item| self.pickle.size(item)).collect()
    }

    /// The storage that a value names or holds.
    fn storage(&self, id: Id) -> Result<(Element, Storage), String> {
        match self.pickle.get(id) {
            Value::Persistent(key) => self.named_storage(*key),
            Value::Call(call) if self.pickle.function(call) == "torch.storage._load_from_bytes" => {
                let window = self
                    .pickle
                    .arguments(call)
                    .first()
                    .and_then(|&id| self.bytes(id));
                let window = window.ok_or("its storage holds no bytes")?;
                if !legacy::is_legacy(&window) {
                    return Err(
                        "its storage is not a file of torch.save in the legacy format".into(),
                    );
                }
                let file = legacy::read(&window).map_err(|e| e.to_string())?;
                match file.pickle.get(file.pickle.root()) {
                    // A file inside this one may name storages but not hold files in turn.
                    Value::Persistent(key) => file.named_storage(*key),
                    _ => Err("its storage is not in the file that should hold it".into()),
                }
            }
            _ => Err(format!("its storage is {}", self.pickle.describe(id))),
        }
    }

    /// The storage of `('storage', class, key, location, numel, ...)`.
    fn named_storage(&self, id: Id) -> Result<(Element, Storage), String> {
        let parts = self.pickle.items(id).unwrap_or_default();
        let &[_, class, key, _, numel, ref rest @ ..] = parts else {
            return Err("its storage is described by something else than a tuple of five".into());
        };
        let element = match self.pickle.get(class) {
            Value::Global(class) => element_of_class(class)
                .ok_or_else(|| format!("its storage is a {class}, which is not supported"))?,
            _ => return Err("its storage has no class".into()),
        };
        let key = self.pickle.text(key).ok_or("its storage has no key")?;
        let storage = self
            .storages
            .get(key)
            .ok_or_else(|| format!("storage {key:.40} is not in the file"))?;
        let numel = self.pickle.size(numel).ok_or("its storage has no size")?;
        // Legacy files may name a part of a storage: (key of the part, offset, size), in elements.
        let offset = match rest.first().and_then(|&view| self.pickle.items(view)) {
            Some(&[_, offset, _]) => self
                .pickle
                .size(offset)
                .ok_or("its storage has no offset")?,
            _ => 0,
        };
        let bytes = |count: usize| count.checked_mul(element.size).map(|bytes| bytes as u64);
        let window = match (bytes(offset), bytes(numel)) {
            (Some(offset), Some(len)) => storage.window.part(offset, len),
            _ => None,
        };
        let window = window.ok_or_else(|| {
            format!(
                "its storage should hold {numel} elements, the file has {} bytes of it",
                storage.window.len()
            )
        })?;
        let crc = storage.crc.filter(|_| window.len() == storage.window.len());
        Ok((element, Storage { window, crc }))
    }

    /// A byte string of the pickle.
    pub(super) fn bytes(&self, id: Id) -> Option<Window> {
        match self.pickle.get(id) {
            Value::Bytes(start, len) => self.window.part(*start, *len),
            _ => None,
        }
    }
}

struct Layout {
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

impl Layout {
    /// Checks that every element lies within the storage before anything is allocated.
    fn on(self, element: Element, storage: Storage) -> Result<View, String> {
        let available = storage.window.len() as usize / element.size;
        let Self {
            offset,
            shape,
            stride,
        } = self;
        if shape.len() != stride.len() {
            return Err(format!(
                "its shape {shape:?} and stride {stride:?} differ in length"
            ));
        }
        let count = shape
            .iter()
            .try_fold(1usize, |n, size| n.checked_mul(*size));
        let too_large = || format!("its shape is {shape:?}, its storage has {available} elements");
        let count = count.ok_or_else(too_large)?;
        let end = if count == 0 {
            Some(offset)
        } else {
            let axes = shape.iter().zip(&stride);
            axes.clone()
                .try_fold(offset, |end, (n, step)| {
                    end.checked_add((n - 1).checked_mul(*step)?)
                })
                .and_then(|last| last.checked_add(1))
        };
        // An expanded tensor (stride 0) of a small storage could claim any size: no checkpoint has one.
        match end {
            Some(end) if end <= available && count <= available => Ok(View {
                element,
                storage,
                offset,
                shape,
                stride,
                end,
            }),
            _ => Err(too_large()),
        }
    }
}
