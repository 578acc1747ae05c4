//! Opcodes, each by a pickle that Python would write.

use pfgmpp_store::Window;

use crate::{Limits, Pickle, PickleError, Regard, Value};

const LIMITS: Limits = Limits {
    opcodes: 1000,
    text: 1000,
    depth: 10,
    regard: |module, _| match module {
        "builtins" | "collections" => Regard::Known,
        "os" => Regard::Refused,
        _ => Regard::PassedOver,
    },
};

fn read(bytes: &[u8]) -> Result<Pickle, PickleError> {
    crate::read(&Window::from_bytes(bytes.to_vec()), &LIMITS)
}

fn root(bytes: &[u8]) -> String {
    let pickle = read(bytes).unwrap_or_else(|e| panic!("got {e}, want {bytes:?} read"));
    format!("{:?}", pickle.get(pickle.root()))
}

#[test]
fn integers_of_every_length_are_read() {
    for (bytes, want) in [
        (&b"K\xff."[..], "Int(255)"),
        (b"M\x00\x01.", "Int(256)"),
        (b"J\xff\xff\xff\xff.", "Int(-1)"),
        (b"\x8a\x00.", "Int(0)"),
        (b"\x8a\x01\xff.", "Int(-1)"),
        (b"\x8a\x02\xff\x00.", "Int(255)"),
        (
            b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
            "Int(119547037146038801333356)",
        ),
        (b"\x8a\x11abcdefghijklmnopq.", "LongInt(17)"),
        (b"\x8b\x11\0\0\0abcdefghijklmnopq.", "LongInt(17)"),
        (b"G?\xf0\0\0\0\0\0\0.", "Float(1.0)"),
    ] {
        assert_eq!(root(bytes), want, "{bytes:?}");
    }
}

#[test]
fn a_memorised_value_is_shared_and_sees_later_changes() {
    // a = []; (a, a) with a.append(1) between the two mentions.
    let pickle = read(b"(]q\0h\0K\x01at.").expect("a sound pickle");
    let items = pickle.items(pickle.root()).expect("a tuple");
    assert_eq!(items[0], items[1], "both are the same list");
    assert_eq!(pickle.items(items[0]).expect("a list").len(), 1);
}

#[test]
fn containers_are_filled_in_every_way() {
    let ordered = b"ccollections\nOrderedDict\n)RX\x01\0\0\0aK\x01s.";
    let pickle = read(ordered).expect("a sound pickle");
    assert_eq!(
        pickle.entry(pickle.root(), "a").map(|id| pickle.size(id)),
        Some(Some(1))
    );
    let pairs = b"ccollections\nOrderedDict\n](X\x01\0\0\0aK\x02\x86e\x85R.";
    let pickle = read(pairs).expect("a sound pickle");
    assert_eq!(
        pickle.entry(pickle.root(), "a").map(|id| pickle.size(id)),
        Some(Some(2))
    );
    let set = read(b"\x8f(K\x01K\x02\x90.").expect("a sound pickle");
    assert!(matches!(set.get(set.root()), Value::Set(items) if items.len() == 2));
}

#[test]
fn long_bytes_are_remembered_by_position() {
    assert_eq!(root(b"\x8e\x03\0\0\0\0\0\0\0abc."), "Bytes(9, 3)");
    // A string of Python 2: bytes under an opcode of its own, read to 3 bytes here as any length would be.
    assert_eq!(root(b"T\x03\0\0\0a\xffc."), "Bytes(5, 3)");
}

#[test]
fn damage_is_named_with_its_place() {
    for (bytes, want) in [
        (
            &b"R."[..],
            "byte 0: the pickle is damaged: it takes a value where there is none",
        ),
        (
            b"h\x05.",
            "byte 0: the pickle is damaged: it refers to a value that is not there",
        ),
        (
            b"t.",
            "byte 0: the pickle is damaged: it closes what it did not open",
        ),
        (
            b"NNa.",
            "byte 2: the pickle is damaged: it appends to something that is not a list",
        ),
        (
            b"N)R.",
            "byte 2: the pickle is damaged: what is called is not a function",
        ),
        (
            b"\x82\x01.",
            "byte 0: opcode 0x82 is not one that is read here",
        ),
        (
            b"(N",
            "the pickle ends too early, at byte 2: the file is cut off or damaged",
        ),
        (
            b"X\x02\0\0\0\xff\xfe.",
            "byte 0: the pickle is damaged: a text is not UTF-8",
        ),
    ] {
        let got = read(bytes).map(|_| ()).expect_err("a refusal").to_string();
        assert_eq!(got, want, "{bytes:?}");
    }
}
