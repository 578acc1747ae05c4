//! What is written is read by the usual reader of its kind, in Python as docs/python.md says.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::program::{SMALL, output, pfgmpp, repository, stderr, stdout};

/// The interpreter: `PFGMPP_PYTHON`, else `python3`.
pub fn python() -> Command {
    Command::new(std::env::var_os("PFGMPP_PYTHON").unwrap_or("python3".into()))
}

/// What the interpreter makes of a program in `folder`; nothing, and a line that says so, where there is none or a
/// module is missing.
fn run(folder: &Path, program: &str, what: &str) -> Option<Output> {
    let done = python().current_dir(folder).args(["-c", program]).output();
    let Ok(done) = done else {
        println!("left out: {what}: there is no Python (PFGMPP_PYTHON names an interpreter)");
        return None;
    };
    let text = stderr(&done);
    if let Some(missing) = text
        .lines()
        .find(|line| line.starts_with("ModuleNotFoundError"))
    {
        println!("left out: {what}: {missing}");
        return None;
    }
    assert!(done.status.success(), "{what}: got {text}");
    Some(done)
}

/// The sweep and the samples that docs/python.md speaks of, in `folder`.
fn write_everything(folder: &Path) {
    for name in ["configs", "experiments"] {
        fs::create_dir(folder.join(name)).unwrap();
        for file in fs::read_dir(repository().join(name)).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), folder.join(name).join(file.file_name())).unwrap();
        }
    }
    let in_folder = |arguments: &[&str]| {
        let mut command = pfgmpp();
        command.current_dir(folder).args(arguments);
        let done = output(command);
        assert!(
            done.status.success(),
            "{arguments:?}: got {}",
            stderr(&done)
        );
    };
    let sets = SMALL.iter().chain(&["axes.d=[128,inf]"]);
    let sets: Vec<&str> = sets.flat_map(|set| ["--set", set]).collect();
    in_folder(&[&["sweep", "experiments/d_sweep.yaml"], &sets[..]].concat());
    let run = "runs/d_sweep/d=128,seed=0";
    for out in [
        "samples.npz",
        "samples.npy",
        "samples.safetensors",
        "pictures",
    ] {
        in_folder(&["sample", "--checkpoint", run, "--num", "16", "--out", out]);
    }
    let encode = [
        "encode",
        "--checkpoint",
        run,
        "--data",
        "digits",
        "--num",
        "4",
        "--steps",
        "2",
    ];
    for out in ["latents.npy", "latents.safetensors"] {
        in_folder(&[&encode[..], &["--out", out]].concat());
    }
}

/// What must hold behind the block below each heading of docs/python.md.
const HOLDS: [(&str, &str); 7] = [
    (
        "A checkpoint",
        "assert config['d'] == 128 and weights['model.map_layer0.weight'].dtype == 'float32', weights.keys()",
    ),
    (
        "Samples",
        "assert images.shape == (16, 8, 8, 1) and images.dtype == 'uint8', images.shape\n\
         assert values.shape == (16, 1, 8, 8) and values.dtype == 'float32', values.shape\n\
         assert (both['samples'] == values).all() and list(both['seeds']) == list(range(16)), both['seeds']\n\
         apart = abs(images[..., 0] - 127.5 * (1 + values[:, 0].clip(-1, 1)))\n\
         assert apart.max() <= 0.501, apart.max()",
    ),
    (
        "Pictures",
        "assert grid.ndim in (2, 3) and grid.std() > 0, grid.shape",
    ),
    (
        "The table of a sweep",
        "assert sorted(score) == [('128', '0'), ('inf', '0')], score\n\
         told = {r['name']: r for r in sweep['rows']}\n\
         assert len(told) == 2 and set(told) == {'d=128,seed=0', 'd=inf,seed=0'}, told",
    ),
    (
        "The configuration of a run",
        "assert config['training']['nimg'] == 512 and config['optimizer']['lr'] == 0.002, config\n\
         assert isinstance(config['optimizer']['eps'], float), config['optimizer']",
    ),
    (
        "The log of a run",
        "assert loss[-1][0] == 512 and all(0 < value < 100 for _, value in loss), loss",
    ),
    (
        "TensorBoard",
        "assert 'scores/energy_distance' in names and loss[-1][0] == 512, (names, loss)\n\
         import json\n\
         log = [json.loads(line) for line in open('runs/d_sweep/d=128,seed=0/log.jsonl')]\n\
         assert [(l['nimg'], round(l['loss'], 5)) for l in log] == [(s, round(v, 5)) for s, v in loss], loss",
    ),
];

#[test]
fn python_reads_what_is_written_as_the_docs_say() {
    let folder = tempfile::tempdir().unwrap();
    write_everything(folder.path());
    let page = fs::read_to_string(repository().join("docs/python.md")).unwrap();
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    assert_eq!(sections.len(), HOLDS.len(), "sections of docs/python.md");
    for (section, (heading, holds)) in sections.iter().zip(HOLDS) {
        assert!(
            section.starts_with(heading),
            "got {section}, want {heading}"
        );
        let block = section.split("```python\n").nth(1).expect("a block");
        let block = block.split("```").next().expect("its end");
        assert!(block.lines().count() <= 6, "{heading}: got {block}");
        run(folder.path(), &format!("{block}\n{holds}"), heading);
    }
    // And every file by the reader of its kind, whatever it is.
    let script = fs::read_to_string(repository().join("tests/end_to_end/read_back.py")).unwrap();
    if let Some(done) = run(folder.path(), &script, "every file") {
        let kinds: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
        println!("files read: {kinds}");
        for (kind, least) in [
            (".csv", 2),
            (".json", 5),
            (".jsonl", 2),
            (".npy", 2),
            (".npz", 1),
            (".png", 20),
            (".safetensors", 6),
            (".svg", 2),
            (".yaml", 2),
            ("events", 2),
        ] {
            let count = kinds[kind].as_u64().unwrap_or(0);
            assert!(
                count >= least,
                "{kind}: got {count} of {kinds}, want {least}"
            );
        }
    }
}
