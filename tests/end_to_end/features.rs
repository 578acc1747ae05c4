//! `pfgmpp features`, and `pfgmpp score --network`.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor, safetensors};

use crate::hub::{World, assert_fails, assert_succeeds};
use crate::program::{output, pfgmpp, stderr, stdout};

/// Channels of the network.
const WIDTH: usize = 64;

/// Numbers in [-1, 1) that differ.
fn numbers(num: usize, seed: usize) -> Vec<f32> {
    let number = |k: usize| ((k * k * 31 + k * 17 + seed * 101) % 1009) as f32 / 504.5 - 1.0;
    (0..num).map(number).collect()
}

fn tensor(shape: &[usize], seed: usize, scale: f64) -> Tensor {
    let values = numbers(shape.iter().product(), seed);
    let values = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    (values * scale).unwrap()
}

/// The smallest DINOv2 that there can be, under the names of the Hub's transformers.
pub fn weights(folder: &Path) -> PathBuf {
    let width = WIDTH;
    let mut all = HashMap::new();
    let mut add = |name: &str, shape: &[usize], scale: f64| {
        let drawn = tensor(shape, all.len(), scale);
        all.insert(name.to_string(), drawn);
    };
    add("embeddings.cls_token", &[1, 1, width], 0.5);
    add("embeddings.mask_token", &[1, width], 0.5);
    add("embeddings.position_embeddings", &[1, 257, width], 0.3);
    let patches = "embeddings.patch_embeddings.projection";
    add(&format!("{patches}.weight"), &[width, 3, 14, 14], 0.05);
    add(&format!("{patches}.bias"), &[width], 0.1);
    add("layernorm.weight", &[width], 1.0);
    add("layernorm.bias", &[width], 0.1);
    let layer = "encoder.layer.0";
    for part in [
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
        "attention.output.dense",
    ] {
        add(&format!("{layer}.{part}.weight"), &[width, width], 0.2);
        add(&format!("{layer}.{part}.bias"), &[width], 0.1);
    }
    for part in ["norm1", "norm2"] {
        add(&format!("{layer}.{part}.weight"), &[width], 1.0);
        add(&format!("{layer}.{part}.bias"), &[width], 0.1);
    }
    for (part, from, to) in [("mlp.fc1", width, 8), ("mlp.fc2", 8, width)] {
        add(&format!("{layer}.{part}.weight"), &[to, from], 0.3);
        add(&format!("{layer}.{part}.bias"), &[to], 0.1);
    }
    add(&format!("{layer}.layer_scale1.lambda1"), &[width], 1.0);
    add(&format!("{layer}.layer_scale2.lambda1"), &[width], 1.0);
    let path = folder.join("model.safetensors");
    safetensors::save(&all, &path).unwrap();
    path
}

/// Grey images of 8x8 pixels as a file.
fn images(folder: &Path, name: &str, num: usize, seed: usize) -> PathBuf {
    let path = folder.join(name);
    tensor(&[num, 1, 8, 8], seed, 1.0).write_npy(&path).unwrap();
    path
}

/// The command `name`, with `{F}` in its arguments in place of the folder.
pub fn run(name: &str, folder: &Path, args: &str) -> Output {
    let mut command = pfgmpp();
    command.arg(name);
    for arg in args.split_whitespace() {
        command.arg(arg.replace("{F}", folder.to_str().unwrap()));
    }
    output(command)
}

pub fn json(done: &Output) -> serde_json::Value {
    assert!(done.status.success(), "got {}", stderr(done));
    serde_json::from_str(&stdout(done)).unwrap()
}

/// The scores that look at features, as JSON.
pub const METRICS: &str = "--metrics frechet_distance,kernel_distance,coverage --json";

#[test]
fn features_in_files_score_as_those_that_score_computes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights(folder);
    images(folder, "a.npy", 9, 1);
    images(folder, "b.npy", 11, 7);
    let network = "--network dinov2 --weights {F}/model.safetensors";
    for (name, batch, file) in [("a", 2, "fa.npy"), ("b", 32, "fb.safetensors")] {
        let done = run(
            "features",
            folder,
            &format!("--samples {{F}}/{name}.npy {network} --batch {batch} --out {{F}}/{file}"),
        );
        assert!(done.status.success(), "got {}", stderr(&done));
        let said = stderr(&done);
        for want in [
            "grey images are shown to the network with three equal channels",
            "network: DINOv2 1 blocks: 8-bit images, bicubic",
        ] {
            assert!(said.contains(want), "got {said}, want {want}");
        }
    }
    let read = Tensor::read_npy(folder.join("fa.npy")).unwrap();
    assert_eq!((read.dims(), read.dtype()), (&[9, WIDTH][..], DType::F32));
    let files = "--features {F}/fa.npy --reference-features {F}/fb.safetensors";
    let want = json(&run("score", folder, &format!("{files} {METRICS}")));
    // A folder of weights is named by itself as well.
    let given = "--samples {F}/a.npy --reference {F}/b.npy --network dinov2 --weights {F}";
    let got = json(&run("score", folder, &format!("{given} {METRICS}")));
    assert_eq!(got["scores"], want["scores"]);
    let found = got["features"].as_str().unwrap();
    assert!(found.starts_with("64 features of "), "got {found}");
    // The distances of pixels are taken as well, where nothing else is asked for.
    let all = json(&run("score", folder, &format!("{given} --json")));
    let scores = all["scores"].as_object().unwrap();
    for name in ["energy_distance", "sliced_wasserstein", "frechet_distance"] {
        assert!(scores.contains_key(name), "got {scores:?}, want {name}");
    }
}

#[test]
fn a_network_compares_images_of_different_sizes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights(folder);
    images(folder, "a.npy", 9, 1);
    let wide = tensor(&[11, 3, 12, 10], 7, 1.0);
    wide.write_npy(folder.join("b.npy")).unwrap();
    let network = "--network dinov2 --weights {F}";
    for name in ["a", "b"] {
        let asked = format!("--samples {{F}}/{name}.npy {network} --out {{F}}/f{name}.npy");
        let done = run("features", folder, &asked);
        assert!(done.status.success(), "got {}", stderr(&done));
    }
    let files = "--features {F}/fa.npy --reference-features {F}/fb.npy";
    let want = json(&run("score", folder, &format!("{files} {METRICS}")));
    let given = format!("--samples {{F}}/a.npy --reference {{F}}/b.npy {network}");
    let done = run("score", folder, &format!("{given} {METRICS}"));
    assert_eq!(json(&done)["scores"], want["scores"]);
    let said = stderr(&done);
    assert!(
        said.contains("each is resized to what the network takes"),
        "got {said}"
    );
    // What compares pixels is left out with a line, and refused where it was asked for.
    let done = run("score", folder, &format!("{given} --json"));
    let scores = &json(&done)["scores"];
    assert!(
        scores["frechet_distance"].is_number() && scores["energy_distance"].is_null(),
        "got {scores}"
    );
    let said = stderr(&done);
    assert!(
        said.contains("energy_distance is left out: it compares the images themselves"),
        "got {said}"
    );
    let done = run(
        "score",
        folder,
        &format!("{given} --metrics energy_distance"),
    );
    assert_fails(&done, 2, "--metrics: energy_distance compares the images");
}

#[test]
fn an_archive_is_looked_at_in_the_order_in_which_score_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights(folder);
    let noise = "{noise: {shape: [1, 8, 8], num: 30}}";
    let packed = pfgmpp()
        .args(["data", "pack", noise])
        .arg(folder.join("n.zip"))
        .output()
        .unwrap();
    assert!(packed.status.success(), "got {}", stderr(&packed));
    let network = "--network dinov2 --weights {F}/model.safetensors";
    // Batch by batch from the archive, once as an array and once as a file of tensors.
    for out in ["n.npy", "n.safetensors"] {
        let args = format!("--samples {{F}}/n.zip {network} --batch 7 --out {{F}}/{out}");
        let done = run("features", folder, &args);
        assert!(done.status.success(), "got {}", stderr(&done));
    }
    let array = Tensor::read_npy(folder.join("n.npy")).unwrap();
    let all = safetensors::load(folder.join("n.safetensors"), &Device::Cpu).unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["features"]);
    let apart = (array - &all["features"]).unwrap().abs().unwrap();
    assert_eq!(apart.max_all().unwrap().to_scalar::<f32>().unwrap(), 0.0);
    let files = "--features {F}/n.npy --reference-features {F}/n.safetensors";
    let want = json(&run("score", folder, &format!("{files} {METRICS}")));
    let given = format!("--samples {{F}}/n.zip --reference {{F}}/n.zip {network}");
    let got = json(&run("score", folder, &format!("{given} {METRICS}")));
    assert_eq!(got["scores"], want["scores"]);
}

#[test]
fn statistics_of_features_are_kept_and_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights(folder);
    images(folder, "a.npy", 9, 1);
    images(folder, "b.npy", 11, 7);
    let network = "--network dinov2 --weights {F}/model.safetensors";
    let kept = run(
        "score",
        folder,
        &format!("--samples {{F}}/b.npy {network} --save-reference {{F}}/s.safetensors"),
    );
    assert!(kept.status.success(), "got {}", stderr(&kept));
    let got = json(&run(
        "score",
        folder,
        &format!("--samples {{F}}/a.npy --reference {{F}}/s.safetensors {network} --json"),
    ));
    let want = json(&run(
        "score",
        folder,
        &format!("--samples {{F}}/a.npy --reference {{F}}/b.npy {network} {METRICS}"),
    ));
    let of = |found: &serde_json::Value| found["scores"]["frechet_distance"].as_f64().unwrap();
    assert!(
        (of(&got) / of(&want) - 1.0).abs() < 1e-9,
        "got {got}, want {want}"
    );
}

#[test]
fn what_no_network_can_look_at_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    weights(folder);
    images(folder, "a.npy", 4, 1);
    fs::write(folder.join("table.csv"), "x,y\n1,2\n3,4\n5,6\n").unwrap();
    fs::write(folder.join("there.npy"), "x").unwrap();
    let other = HashMap::from([("conv.weight".to_string(), tensor(&[2, 2], 1, 1.0))]);
    safetensors::save(&other, folder.join("other.safetensors")).unwrap();
    let network = "--network dinov2 --weights {F}/model.safetensors";
    for (command, args, want) in [
        (
            "features",
            "--samples {F}/a.npy --network dinov2 --weights {F}/other.safetensors --out {F}/o.npy",
            "weight cls_token is missing, which DINOv2 has; there are conv.weight",
        ),
        (
            "features",
            "--samples {F}/a.npy --network inception --weights {F}/model.safetensors --out {F}/o.npy",
            "weight fc.weight is missing, which Inception-v3 has",
        ),
        (
            "features",
            "--samples {F}/a.npy --network dinov2 --weights {F}/none.pth --out {F}/o.npy",
            "none.pth",
        ),
        (
            "features",
            "--samples {F}/a.npy --network vgg --weights {F} --out {F}/o.npy",
            "must be inception, dinov2 or digits",
        ),
        (
            "features",
            "--samples {F}/a.npy --network dinov2 --out {F}/o.npy",
            "--weights <REF>",
        ),
        (
            "features",
            "--samples {F}/a.npy --out {F}/o.npy",
            "--network <NETWORK>",
        ),
        (
            "features",
            &format!("--samples {{F}}/a.npy {network} --out {{F}}/there.npy"),
            "is there already",
        ),
        (
            "features",
            &format!("--samples {{F}}/a.npy {network} --out {{F}}/o.npz"),
            "features are written as .npy or .safetensors",
        ),
        (
            "features",
            &format!("--samples {{F}}/table.csv {network} --out {{F}}/o.npy"),
            "a network looks at images of 1 or 3 channels, got samples of shape [2]",
        ),
        (
            "features",
            &format!("--samples two_moons {network} --out {{F}}/o.npy"),
            "got samples of shape [2, 1, 1]",
        ),
        (
            "score",
            &format!("--samples {{F}}/a.npy --reference {{F}}/table.csv {network}"),
            "--reference: a network looks at images",
        ),
        (
            "score",
            &format!(
                "--samples {{F}}/a.npy --reference {{F}}/a.npy --features {{F}}/a.npy {network}"
            ),
            "leave --features and --reference-features out",
        ),
        (
            "score",
            "--samples {F}/a.npy --reference {F}/a.npy --device cuda",
            "only a network computes there",
        ),
        (
            "score",
            "--samples {F}/a.npy --reference {F}/a.npy --network digits --weights {F}/model.safetensors",
            "those of digits are built in: leave it out",
        ),
        (
            "score",
            "--samples {F}/a.npy --reference {F}/a.npy --weights {F}/x.pth",
            "--network <NETWORK>",
        ),
    ] {
        let done = run(command, folder, args);
        assert_fails(&done, 2, want);
        assert!(!folder.join("o.npy").exists(), "{args}: nothing is written");
    }
}

#[test]
fn weights_come_from_the_hub_by_the_name_of_their_repository() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let bytes = fs::read(weights(folder.path())).unwrap();
    let repo = "models/me/dinov2-tiny";
    world
        .server
        .add(repo, "config.json", b"{\"model_type\": \"dinov2\"}");
    world.server.add(repo, "model.safetensors", &bytes);
    world.server.add(repo, "pytorch_model.bin", &[1; 9000]);
    let a = images(folder.path(), "a.npy", 3, 1);
    let features = |weights: &str, name: &str| {
        let out = folder.path().join(name);
        let [a, out] = [&a, &out].map(|path| path.to_str().unwrap());
        assert_succeeds(&world.run(&[
            "features",
            "--samples",
            a,
            "--network",
            "dinov2",
            "--weights",
            weights,
            "--out",
            out,
        ]));
        fs::read(out).unwrap()
    };
    let here = folder.path().join("model.safetensors");
    let want = features(here.to_str().unwrap(), "1.npy");
    let got = features("hf://me/dinov2-tiny", "2.npy");
    assert!(got == want, "want the features of the same weights");
    let got = features("hf://me/dinov2-tiny/model.safetensors", "3.npy");
    assert!(got == want, "want the features of the same weights");
}

#[cfg(unix)]
#[test]
fn ctrl_c_is_heard_within_a_batch_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let weights = weights(folder.path());
    // More than a minute's work in one batch.
    let samples = images(folder.path(), "a.npy", 60_000, 1);
    let out = folder.path().join("o.npy");
    let mut command = pfgmpp();
    command.args([
        "features",
        "--network",
        "dinov2",
        "--batch",
        "60000",
        "--weights",
    ]);
    command.arg(weights).arg("--samples").arg(samples);
    command.arg("--out").arg(&out);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    told.find(|line| line.as_ref().unwrap().starts_with("network: "));
    std::thread::sleep(Duration::from_millis(500));
    let (began, id) = (Instant::now(), child.id().to_string());
    assert!(
        Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let status = child.wait().unwrap();
    let rest: Vec<String> = told.map_while(Result::ok).collect();
    assert_eq!(status.code(), Some(130), "got {rest:?}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "got {:?}",
        began.elapsed()
    );
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "got {left:?}, want weights and images");
}

#[test]
fn statistics_of_features_are_not_compared_with_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    images(folder, "a.npy", 9, 1);
    let given =
        "--samples {F}/a.npy --reference {F}/a.npy --metrics frechet_distance --save-reference";
    for (flags, file) in [("--network digits", "features"), ("", "pixels")] {
        let done = run(
            "score",
            folder,
            &format!("{given} {{F}}/{file}.safetensors {flags}"),
        );
        assert!(done.status.success(), "got {}", stderr(&done));
    }
    let against = "--samples {F}/a.npy --metrics frechet_distance --reference";
    for (file, flags, want) in [
        (
            "features",
            "",
            "holds statistics of features (classifier of digits",
        ),
        (
            "pixels",
            "--network digits",
            "holds statistics of another network (none, the samples themselves)",
        ),
    ] {
        let refused = run(
            "score",
            folder,
            &format!("{against} {{F}}/{file}.safetensors {flags}"),
        );
        assert_fails(&refused, 2, want);
    }
    for (file, flags) in [("features", "--network digits"), ("pixels", "")] {
        let done = run(
            "score",
            folder,
            &format!("{against} {{F}}/{file}.safetensors {flags}"),
        );
        assert!(done.status.success(), "got {}", stderr(&done));
    }
}
