//! Storages: the flat arrays that tensors are views of.

use candle_core::DType;
use pfgmpp_store::Window;

/// What a storage's elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// Bytes of one.
    pub(super) size: usize,
    /// The type of the tensor; `None` where none corresponds, as for complex numbers.
    pub(super) dtype: Option<DType>,
}

/// The bytes of a storage.
#[derive(Clone)]
pub(super) struct Storage {
    pub(super) window: Window,
    /// CRC-32 of all bytes, where the file records one.
    pub(super) crc: Option<u32>,
}

/// The elements of the storage class `torch.<name>`.
pub(super) fn element_of_class(class: &str) -> Option<Element> {
    let name = class.rsplit('.').next().unwrap_or(class);
    let name = name.strip_suffix("Storage")?;
    let (size, dtype) = match name {
        "Double" => (8, Some(DType::F64)),
        "Float" => (4, Some(DType::F32)),
        "Half" => (2, Some(DType::F16)),
        "BFloat16" => (2, Some(DType::BF16)),
        "Long" => (8, Some(DType::I64)),
        "Int" => (4, Some(DType::I32)),
        "Short" => (2, Some(DType::I16)),
        "Byte" | "Bool" | "Untyped" => (1, Some(DType::U8)),
        "Char" => (1, None),
        "ComplexFloat" => (8, None),
        "ComplexDouble" => (16, None),
        _ => return None,
    };
    Some(Element { size, dtype })
}

/// The elements of the dtype `torch.<name>`.
pub(super) fn element_of_dtype(dtype: &str) -> Option<Element> {
    let class = match dtype.strip_prefix("torch.")? {
        "float64" | "double" => "DoubleStorage",
        "float32" | "float" => "FloatStorage",
        "float16" | "half" => "HalfStorage",
        "bfloat16" => "BFloat16Storage",
        "int64" | "long" => "LongStorage",
        "int32" | "int" => "IntStorage",
        "int16" => "ShortStorage",
        "uint8" => "ByteStorage",
        "bool" => "BoolStorage",
        _ => return None,
    };
    element_of_class(class)
}
