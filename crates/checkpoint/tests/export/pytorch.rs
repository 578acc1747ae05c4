//! PyTorch makes the same of what is written: EDM's layout by names and shapes, diffusers by its own package.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{Device, Tensor};
use pfgmpp_checkpoint::{Export, Layout, Model, write_tensors};

use crate::cases::{Case, cases};

/// The interpreter: `PFGMPP_PYTHON`, else `python3`.
fn python() -> Command {
    Command::new(std::env::var_os("PFGMPP_PYTHON").unwrap_or("python3".into()))
}

/// Whether the interpreter has these modules.
fn has(modules: &str) -> bool {
    let import = python().args(["-c", &format!("import {modules}")]).output();
    import.is_ok_and(|done| done.status.success())
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/pytorch.py")
}

/// Writes a case's network, and inputs with what this program makes of them beside it.
fn write(case: &Case, folder: &Path) {
    let checkpoint = case.checkpoint();
    let export = Export::new(&checkpoint, case.layout, Path::new("it"));
    let export = export.unwrap_or_else(|e| panic!("{}: {e}", case.name));
    export.write(&folder.join("network")).expect("a network");
    let model = Model::new(checkpoint, Path::new("it"), &Device::Cpu).expect("a network");
    let sigma = Tensor::new(&case.sigma(), &Device::Cpu).expect("levels");
    let mut probe = std::collections::HashMap::from([
        ("x".to_owned(), case.x()),
        ("sigma".to_owned(), sigma),
        ("denoised".to_owned(), case.denoise(&model)),
    ]);
    probe.extend(case.labels().map(|labels| ("labels".to_owned(), labels)));
    write_tensors(&folder.join("probe.safetensors"), &probe, None).expect("a file");
}

/// Relative errors of PyTorch's outputs, by case.
fn errors(layout: Layout) -> BTreeMap<String, f64> {
    let folder = tempfile::tempdir().expect("a folder");
    for case in cases().iter().filter(|case| case.layout == layout) {
        let own = folder.path().join(case.name);
        std::fs::create_dir(&own).expect("a folder");
        write(case, &own);
    }
    let kind = match layout {
        Layout::Diffusers => "diffusers",
        Layout::EdmStateDict => "edm",
    };
    let done = python().arg(script()).arg(kind).arg(folder.path()).output();
    let done = done.expect("an interpreter");
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "got {told}");
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let line = text.lines().last().expect("a line of JSON");
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn assert_same(layout: Layout) {
    let errors = errors(layout);
    let cases = cases();
    let wanted = cases.iter().filter(|case| case.layout == layout);
    assert_eq!(errors.len(), wanted.count(), "got {errors:?}");
    for (name, error) in errors {
        println!("{name:20} {error:.1e}");
        assert!(error < 1e-5, "{name}: got {error:e}, want below 1e-5");
    }
}

#[test]
fn pytorch_loads_every_state_dictionary_strictly_and_gives_the_same_output() {
    if !has("torch, safetensors") {
        println!(
            "left out: PyTorch and safetensors are not installed (PFGMPP_PYTHON names an interpreter)"
        );
        return;
    }
    assert_same(Layout::EdmStateDict);
}

#[test]
fn diffusers_loads_every_folder_and_gives_the_same_output() {
    if !has("torch, safetensors, diffusers") {
        println!(
            "left out: PyTorch and diffusers are not installed (PFGMPP_PYTHON names an interpreter)"
        );
        return;
    }
    assert_same(Layout::Diffusers);
}
