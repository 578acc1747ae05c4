//! Hyperparameters of a run for TensorBoard's table of runs, beside their final scores.
//!
//! The plugin's messages (`tensorboard/plugins/hparams/plugin_data.proto`) are few and small, so they are written here
//! by the rules of protocol buffers.

use protobuf::RepeatedField;
use serde_json::Value;
use tensorboard_proto::summary::{Summary_Value, SummaryMetadata};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::tensor_shape::{TensorShapeProto, TensorShapeProto_Dim};
use tensorboard_proto::types::DataType;

use super::{EventError, EventWriter, since_epoch};

const PLUGIN: &str = "hparams";
const START: &str = "_hparams_/session_start_info";
const END: &str = "_hparams_/session_end_info";

/// Numbers of the fields of the plugin's messages.
const SESSION_START: u32 = 3;
const SESSION_END: u32 = 4;
const HPARAMS: u32 = 1;
const START_TIME: u32 = 5;
const STATUS: u32 = 1;
const END_TIME: u32 = 2;
/// Fields of an entry of a map.
const KEY: u32 = 1;
const VALUE: u32 = 2;
/// Fields of `google.protobuf.Value`.
const NUMBER: u32 = 2;
const STRING: u32 = 3;
const BOOL: u32 = 4;
/// The run has ended as it should.
const SUCCESS: u64 = 1;

impl EventWriter {
    /// Adds a finished run's hyperparameters, a tree of values whose leaves are named by their dotted keys.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn hparams(&mut self, tree: &Value) -> Result<(), EventError> {
        let now = since_epoch().as_secs_f64();
        let mut leaves = Vec::new();
        flatten("", tree, &mut leaves);
        let mut start = Vec::new();
        for (name, value) in leaves {
            let mut entry = Vec::new();
            bytes(&mut entry, KEY, name.as_bytes());
            bytes(&mut entry, VALUE, &encoded(value));
            bytes(&mut start, HPARAMS, &entry);
        }
        double(&mut start, START_TIME, now);
        let mut end = Vec::new();
        varint(&mut end, STATUS, SUCCESS);
        double(&mut end, END_TIME, now);
        for (tag, field, message) in [(START, SESSION_START, start), (END, SESSION_END, end)] {
            let mut content = Vec::new();
            bytes(&mut content, field, &message);
            self.summary(tag, of_plugin(content), 0)?;
        }
        Ok(())
    }
}

/// A summary that is its metadata; what reads it asks for a tensor besides.
fn of_plugin(content: Vec<u8>) -> Summary_Value {
    let mut metadata = SummaryMetadata::new();
    let data = metadata.mut_plugin_data();
    data.set_plugin_name(PLUGIN.to_owned());
    data.set_content(content);
    let mut side = TensorShapeProto_Dim::new();
    side.set_size(1);
    let mut shape = TensorShapeProto::new();
    shape.set_dim(RepeatedField::from_vec(vec![side]));
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_FLOAT);
    tensor.set_tensor_shape(shape);
    tensor.set_float_val(vec![0.0]);
    let mut entry = Summary_Value::new();
    entry.set_metadata(metadata);
    entry.set_tensor(tensor);
    entry
}

/// The leaves of `tree` by their dotted keys; lists are leaves, and what is null is left out.
fn flatten<'v>(name: &str, tree: &'v Value, leaves: &mut Vec<(String, &'v Value)>) {
    match tree {
        Value::Object(map) => {
            for (key, value) in map {
                let name = match name {
                    "" => key.clone(),
                    _ => format!("{name}.{key}"),
                };
                flatten(&name, value, leaves);
            }
        }
        Value::Null => {}
        leaf => leaves.push((name.to_owned(), leaf)),
    }
}

/// A `google.protobuf.Value`.
fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Value::Bool(value) => varint(&mut out, BOOL, u64::from(*value)),
        Value::String(text) => bytes(&mut out, STRING, text.as_bytes()),
        other => match other.as_f64() {
            Some(number) => double(&mut out, NUMBER, number),
            None => bytes(&mut out, STRING, other.to_string().as_bytes()),
        },
    }
    out
}

/// The number of a field and how its value is stored: 0 a varint, 1 eight bytes, 2 counted bytes.
fn key(out: &mut Vec<u8>, field: u32, stored: u32) {
    write_varint(out, u64::from(field << 3 | stored));
}

fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    key(out, field, 0);
    write_varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, 2);
    write_varint(out, value.len() as u64);
    out.extend(value);
}

fn write_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_have_dotted_names_and_lists_are_leaves() {
        let tree = json!({"d": "inf", "optimizer": {"lr": 0.5, "schedule": null}, "sizes": [1, 2]});
        let mut leaves = Vec::new();
        flatten("", &tree, &mut leaves);
        let names: Vec<&str> = leaves.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["d", "optimizer.lr", "sizes"]);
    }

    #[test]
    fn values_are_encoded_as_the_well_known_type() {
        // By protoc: Value {string_value: "inf"}, {bool_value: true}, {number_value: 0.5}, and a list as its text.
        assert_eq!(encoded(&json!("inf")), b"\x1a\x03inf");
        assert_eq!(encoded(&json!(true)), b"\x20\x01");
        assert_eq!(encoded(&json!(0.5)), b"\x11\0\0\0\0\0\0\xe0\x3f");
        assert_eq!(encoded(&json!([1, 2])), b"\x1a\x05[1,2]");
    }

    #[test]
    fn long_values_are_counted_in_pieces_of_seven_bits() {
        let mut out = Vec::new();
        bytes(&mut out, 1, &[7; 300]);
        assert_eq!(out[..3], [0x0a, 0xac, 0x02]);
        assert_eq!(out.len(), 303);
    }
}
