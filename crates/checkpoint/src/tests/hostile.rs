//! Pickles made to harm a reader: one clear line each, nothing run, little memory.

use super::{memory, read};

/// Bytes that reading a small file may take.
const MEMORY: usize = 200 << 20;

fn line(bytes: &[u8]) -> String {
    let mut message = String::new();
    let file = bytes.to_vec();
    let peak = memory::peak(|| message = read(file).expect_err("a refusal"));
    assert!(peak < MEMORY, "got {peak} bytes, want below {MEMORY}");
    assert!(
        !message.contains('\n') && message.len() < 300,
        "got {message:?}, want one line"
    );
    message
}

fn assert_says(bytes: &[u8], want: &str) {
    let got = line(bytes);
    assert!(got.contains(want), "got {got:?}, want {want:?}");
}

/// A short text.
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x8c, text.len() as u8];
    bytes.extend(text.as_bytes());
    bytes
}

/// A protocol 4 pickle of these parts.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    [&[0x80, 4][..], &parts.concat(), b"."].concat()
}

pub(super) fn global(module: &str, name: &str) -> Vec<u8> {
    [text(module), text(name), vec![0x93]].concat()
}

#[test]
fn a_call_of_a_system_command_is_named_and_not_run() {
    let marker = std::env::temp_dir().join(format!("pfgmpp-hostile-{}", std::process::id()));
    let command = format!("touch {}", marker.display());
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("subprocess", "Popen"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch.hub", "load"),
        ("numpy", "load"),
    ] {
        let bytes = pickle(&[&global(module, name), &text(&command), b"\x85R"]);
        let want = format!("asks for {module}.{name}, which is not needed here; nothing was run");
        assert_says(&bytes, &want);
    }
    let old = b"\x80\x02cos\nsystem\nX\x05\0\0\0touch\x85R.";
    assert_says(old, "asks for os.system");
    assert!(!marker.exists(), "the command was run");
}

#[test]
fn deep_nesting_is_refused() {
    let nested =
        |open: &[u8], close: &[u8]| pickle(&[&open.repeat(100_000), b"N", &close.repeat(100_000)]);
    let want = "more than the 1000 values nested in each other";
    assert_says(&pickle(&[b"N", &b"\x85".repeat(100_000)]), want);
    assert_says(&nested(b"(", b"t"), want);
    assert_says(&nested(b"]", b"a"), want);
    assert_says(&nested(b"}N", b"s"), want);
}

#[test]
fn a_value_that_holds_itself_is_refused() {
    // A list in itself; a dictionary under its own key; a module whose child is itself.
    assert_says(&pickle(&[b"]\x94h\0a"]), "the file holds a list");
    let list = &[text("ema"), b"h\0s".to_vec()].concat();
    assert_says(&pickle(&[b"}\x94", list]), "the file holds a dictionary");
    let own = [
        global("training.networks", "EDMPrecond"),
        b")\x81\x94}(".to_vec(),
        text("_parameters"),
        b"}".to_vec(),
        text("_buffers"),
        b"}".to_vec(),
        text("_init_kwargs"),
        b"}".to_vec(),
        text("_modules"),
        b"}".to_vec(),
        text("model"),
        b"h\0sub".to_vec(),
    ]
    .concat();
    let got = line(&pickle(&[&own]));
    assert!(
        got.contains("network EDMPrecond is not supported"),
        "got {got:?}"
    );
}

#[test]
fn claims_of_enormous_sizes_allocate_nothing() {
    let huge = (1u64 << 40).to_le_bytes();
    for opcode in [0x8d, 0x8e, 0x96] {
        let bytes = [&[0x80, 4, opcode][..], &huge].concat();
        let got = line(&bytes);
        assert!(
            got.contains("ends too early") || got.contains("bytes of text"),
            "got {got:?}"
        );
    }
    assert_says(&[0x80, 4, 0x8b, 255, 255, 255, 127], "ends too early");
}

/// A legacy file of one tensor, with a storage of four elements, that claims another size and storage.
fn legacy(size: u64, stride: u8, numel: u64) -> Vec<u8> {
    let long = |value: u64| [&[0x8a, 8][..], &value.to_le_bytes()].concat();
    let name = |name: &str| {
        [
            &[b'X'][..],
            &(name.len() as u32).to_le_bytes(),
            name.as_bytes(),
        ]
        .concat()
    };
    let main = [
        b"\x80\x02}".to_vec(),
        name("weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        name("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        name("0"),
        name("cpu"),
        long(numel),
        b"NtQK\0".to_vec(),
        long(size),
        [&b"\x85K"[..], &[stride], b"\x85\x89NtRs."].concat(),
    ]
    .concat();
    [
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(),
        b"\x80\x02M\xe9\x03.".to_vec(),
        b"\x80\x02}.".to_vec(),
        main,
        [&b"\x80\x02]"[..], &name("0"), b"a."].concat(),
        4u64.to_le_bytes().to_vec(),
        vec![0; 16],
    ]
    .concat()
}

#[test]
fn a_tensor_may_not_be_larger_than_its_storage() {
    let terabyte = 1 << 38;
    assert_says(&legacy(4, 1, 4), "weights only");
    let own = "tensor weight: its shape is [274877906944], its storage has 4 elements";
    assert_says(&legacy(terabyte, 1, 4), own);
    // One element, repeated.
    assert_says(&legacy(terabyte, 0, 4), own);
    let storage = "its storage should hold 274877906944 elements, the file has 16 bytes of it";
    assert_says(&legacy(terabyte, 1, terabyte), storage);
    let wraps = "its shape is [4611686018427387905], its storage has 4 elements";
    assert_says(&legacy((1 << 62) + 1, 4, 4), wraps);
}

#[test]
fn millions_of_opcodes_are_bounded_in_memory() {
    assert_says(
        &pickle(&[&b"N".repeat(4_000_000)]),
        "more than the 2000000 opcodes",
    );
    assert_says(
        &pickle(&[&b")".repeat(4_000_000)]),
        "more than the 2000000 opcodes",
    );
    assert_says(
        &pickle(&[&b"N\x85".repeat(2_000_000)]),
        "more than the 2000000 opcodes",
    );
    assert_says(
        &pickle(&[&b"N\x94".repeat(2_000_000)]),
        "more than the 2000000 opcodes",
    );
    // One long list, made a set of again and again.
    let list = [b"](".to_vec(), b"N".repeat(500_000), b"e\x94".to_vec()].concat();
    let copies = [&global("builtins", "set")[..], b"\x940"].concat();
    let bytes = pickle(&[&list, &copies, &b"h\x01h\0\x85R".repeat(200_000)]);
    assert_says(&bytes, "copies of items");
    // One long text, named again and again.
    let long = [
        &[b'X'][..],
        &1_000_000u32.to_le_bytes(),
        &b"a".repeat(1_000_000),
    ]
    .concat();
    assert_says(&pickle(&[&long.repeat(40)]), "bytes of text");
}

#[test]
fn modules_that_hold_each_other_many_times_over_have_an_end() {
    // 40 modules, each holding the next one twice: 2^40 paths.
    let mut bytes = vec![];
    for level in 0..40u8 {
        bytes.extend(global("torch.nn.modules.container", "ModuleDict"));
        bytes.extend(b")\x81}(");
        for (name, value) in [("_parameters", "}"), ("_buffers", "}")] {
            bytes.extend(text(name));
            bytes.extend(value.as_bytes());
        }
        bytes.extend(text("_modules"));
        bytes.push(b'}');
        if level > 0 {
            for child in ["a", "b"] {
                bytes.extend(text(child));
                bytes.extend([b'h', level - 1, b's']);
            }
        }
        bytes.extend(b"ub\x94");
    }
    let bytes = pickle(&[&bytes]);
    // The outermost is no network; its tensors are asked for by `tensors`.
    let file = crate::torch::TorchFile::read(&pfgmpp_store::Window::from_bytes(bytes));
    let file = file.expect("a sound pickle");
    let module = crate::foreign::Module::new(&file, file.pickle.root()).expect("a module");
    let got = module.tensors().expect_err("a refusal").to_string();
    assert!(
        got.contains("more parts than any network has"),
        "got {got:?}"
    );
}
