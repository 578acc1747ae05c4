//! Which of the weights in a file are taken, and what is passed over.

use pfgmpp_store::Window;
use serde_json::{Value, json};

use super::hostile::{global, text};
use super::mapping::{module, python};
use crate::foreign::{self, Contents};
use crate::torch::TorchFile;

/// What stands beside a tensor's description; never read here.
const TENSOR: &[u8] = b"ctorch._utils\n_rebuild_tensor_v2\n)R";

fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries = entries
        .iter()
        .flat_map(|(key, value)| [text(key), value.clone()].concat());
    [&b"}("[..], &entries.collect::<Vec<_>>(), b"u"].concat()
}

fn weights(names: &[&str]) -> Vec<u8> {
    let entries: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, TENSOR.to_vec())).collect();
    dict(&entries)
}

/// The names of what is found, and the notes; or the line that a user sees.
fn found(root: &[u8], key: Option<&str>) -> Result<(Vec<String>, Vec<String>), String> {
    let bytes = [&[0x80, 4][..], root, b"."].concat();
    let file = TorchFile::read(&Window::from_bytes(bytes)).map_err(|e| e.to_string())?;
    let mut notes = Vec::new();
    let contents = foreign::find(&file, key, &mut notes).map_err(|e| e.to_string())?;
    let names = match contents {
        Contents::Module(module) => vec![format!("module {}", module.class())],
        Contents::Tensors(tensors) => tensors.into_keys().collect(),
    };
    Ok((names, notes))
}

fn net(name: &str) -> Vec<u8> {
    module(name, &json!({}), None)
}

#[test]
fn averaged_weights_are_taken_and_others_with_a_note() {
    let both = dict(&[
        ("net", net("A")),
        ("ema", net("B")),
        ("step", python(&json!(7))),
    ]);
    assert_eq!(found(&both, None), Ok((vec!["module B".into()], vec![])));
    // Under the average's decay, as iDDPM and its kin name files and entries.
    let of_length = dict(&[("net", net("A")), ("ema_0.9999", net("B"))]);
    let want = Ok((vec!["module B".into()], vec![]));
    assert_eq!(found(&of_length, None), want);
    let one = dict(&[("net", net("A")), ("optimizer_state", weights(&["x"]))]);
    let (names, notes) = found(&one, None).expect("a network");
    assert_eq!(names, ["module A"]);
    let want = "the weights are those of `net`, as training left them: the file holds no averaged ones (`ema`)";
    assert!(notes[0].starts_with(want), "got {notes:?}");
    // Averages without names, as some programs keep them, cannot be used: that is said.
    let unnamed = [b"](".to_vec(), TENSOR.to_vec(), b"e".to_vec()].concat();
    let lost = dict(&[
        ("net", net("A")),
        ("ema", dict(&[("shadow_params", unnamed)])),
    ]);
    let (_, notes) = found(&lost, None).expect("a network");
    assert!(
        notes[0].ends_with("`ema` holds none that have names"),
        "got {notes:?}"
    );
}

#[test]
fn weights_are_found_under_other_names_and_deeper() {
    let w = weights(&["a.weight", "b.weight"]);
    let names = |root: Vec<u8>| found(&root, None).map(|(names, _)| names);
    let want = || Ok(vec!["a.weight".to_string(), "b.weight".to_string()]);
    for name in ["model", "unet", "generator", "weights", "my_own_network"] {
        let root = dict(&[(name, w.clone()), ("epoch", python(&json!(3)))]);
        assert_eq!(names(root), want(), "{name}");
    }
    let deep = dict(&[("state", dict(&[("model", w.clone())]))]);
    assert_eq!(names(deep), want());
    let list = [b"](".to_vec(), w.clone(), b"e".to_vec()].concat();
    assert_eq!(names(dict(&[("ema", list)])), want());
    assert_eq!(names(w), want());
}

#[test]
fn of_several_the_user_chooses() {
    let root = dict(&[
        ("fast", weights(&["a.x", "b.x"])),
        ("slow", weights(&["a.y", "ema.a.z", "ema.b.z"])),
    ]);
    let got = found(&root, None).expect_err("a refusal");
    let want = "several networks could be meant: fast, slow; choose one";
    assert_eq!(got, want);
    let names = |key| found(&root, Some(key)).map(|(names, _)| names);
    assert_eq!(names("fast"), Ok(vec!["a.x".into(), "b.x".into()]));
    assert_eq!(names("slow.ema"), Ok(vec!["a.z".into(), "b.z".into()]));
    let got = names("other").expect_err("a refusal");
    assert_eq!(
        got,
        "there are no weights under other; there are: fast, slow"
    );
    let got = names("slow.x").expect_err("a refusal");
    assert!(got.contains("a, ema, slow"), "got {got}");
}

#[test]
fn objects_beside_weights_are_passed_over_and_named() {
    let state = |value: &Value| python(value);
    let namespace = [
        global("argparse", "Namespace"),
        b")\x81".to_vec(),
        state(&json!({"lr": 0.1, "name": "run"})),
        b"b".to_vec(),
    ]
    .concat();
    // Made with named arguments, a dictionary of a class of its own, a date.
    let named = [
        global("omegaconf.base", "Node"),
        b")".to_vec(),
        state(&json!({"flags": 1})),
        vec![0x92],
    ]
    .concat();
    let own = [
        global("pytorch_lightning.utilities.parsing", "AttributeDict"),
        b")\x81(".to_vec(),
        text("lr"),
        b"K\x01u".to_vec(),
    ]
    .concat();
    // As NumPy 2 writes the seed of a generator.
    let seed = [
        global("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"),
        b"K\x01\x85R".to_vec(),
    ]
    .concat();
    let date = [global("datetime", "datetime"), b"C\x04abcd\x85R".to_vec()].concat();
    let root = dict(&[
        ("args", namespace),
        ("config", named),
        ("hparams", own),
        ("when", date),
        ("model", weights(&["a.weight"])),
    ]);
    let (names, notes) = found(&root, None).expect("weights");
    assert_eq!(names, ["a.weight"]);
    let want = "objects beside the weights are passed over and not run: argparse.Namespace, datetime.datetime, omegaconf.base.Node, pytorch_lightning.utilities.parsing.AttributeDict";
    assert_eq!(notes[0], want);
    let root = dict(&[("rng", seed), ("model", weights(&["a.weight"]))]);
    let (names, notes) = found(&root, None).expect("weights");
    assert_eq!(names, ["a.weight"]);
    let want = "numpy.random.bit_generator.__pyx_unpickle_SeedSequence";
    assert!(notes[0].contains(want), "got {notes:?}");
    // What does harm is refused as a whole, beside weights too.
    let root = dict(&[
        ("model", weights(&["a.weight"])),
        (
            "x",
            [global("os", "system"), text("true"), b"\x85R".to_vec()].concat(),
        ),
    ]);
    let got = found(&root, None).expect_err("a refusal");
    assert!(got.contains("asks for os.system"), "got {got}");
}
