//! `hf://`, from a server on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use candle_core::Device;
use pfgmpp_checkpoint::{Tensors, read_tensors, write_tensors};

use crate::program::{output, pfgmpp, repository, stderr, stdout};
use crate::server::{COMMIT, Fault, Server, sha256};

const SCHEDULER: &str = r#"{"_class_name": "DDPMScheduler", "beta_start": 0.0001, "beta_end": 0.02,
    "beta_schedule": "linear", "num_train_timesteps": 1000}"#;
const WEIGHTS: &str = "unet/diffusion_pytorch_model.safetensors";

/// A server, and a home of the Hub's programs.
pub struct World {
    pub server: Server,
    home: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self {
            server: Server::start(),
            home: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn program(&self) -> Command {
        let mut command = pfgmpp();
        for name in [
            "HF_HUB_CACHE",
            "HUGGINGFACE_HUB_CACHE",
            "HF_TOKEN",
            "HF_TOKEN_PATH",
            "HF_HUB_OFFLINE",
            "HUGGING_FACE_HUB_TOKEN",
            "HF_HUB_DISABLE_IMPLICIT_TOKEN",
            "TRANSFORMERS_OFFLINE",
            "HF_HUB_DOWNLOAD_TIMEOUT",
            "http_proxy",
            "HTTP_PROXY",
            "all_proxy",
            "ALL_PROXY",
        ] {
            command.env_remove(name);
        }
        command.env("HF_ENDPOINT", self.server.endpoint());
        command.env("HF_HOME", self.home.path().join("hf"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.program();
        command.args(arguments);
        output(command)
    }

    fn inspect(&self, reference: &str) -> Output {
        self.run(&["inspect", reference])
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Adds a folder of diffusers, and returns its weights.
    fn add_diffusers(&self) -> Vec<u8> {
        let path = repository().join("crates/nn/tests/data/unet2d.safetensors");
        let (tensors, metadata) = read_tensors(&path, &Device::Cpu).expect("a golden file");
        let config = metadata["config"].replacen('{', r#"{"_class_name": "UNet2DModel", "#, 1);
        let extra = ["grad.", "in.", "out"];
        let own = |(name, _): &(String, _)| !extra.iter().any(|e| name.starts_with(e));
        let weights: Tensors = tensors.into_iter().filter(own).collect();
        let file = self.path("weights.safetensors");
        write_tensors(&file, &weights, None).expect("a file");
        let bytes = fs::read(file).expect("a file");
        let repo = "models/google/tiny";
        self.server.add(repo, "README.md", b"# tiny");
        let pipeline = r#"{"_class_name": "DDPMPipeline", "_diffusers_version": "0.1.0",
            "scheduler": ["diffusers", "DDPMScheduler"], "unet": ["diffusers", "UNet2DModel"]}"#;
        self.server
            .add(repo, "model_index.json", pipeline.as_bytes());
        self.server.add(repo, "unet/config.json", config.as_bytes());
        self.server.add(
            repo,
            "scheduler/scheduler_config.json",
            SCHEDULER.as_bytes(),
        );
        self.server.add(repo, WEIGHTS, &bytes);
        self.server
            .add(repo, "unet/diffusion_pytorch_model.bin", &[1; 9000]);
        bytes
    }

    /// Adds a checkpoint of this program.
    fn add_own(&self) {
        let source = repository().join("crates/checkpoint/tests/data/training-state.pt");
        let folder = self.path("own");
        let mut command = self.program();
        command.arg("convert").arg(source).arg(&folder);
        assert_succeeds(&output(command));
        for name in ["config.json", "model.safetensors", "README.md"] {
            let bytes = fs::read(folder.join(name)).expect("a file");
            self.server.add("models/me/own", name, &bytes);
        }
    }
}

pub fn assert_succeeds(done: &Output) {
    assert!(done.status.success(), "got {}", stderr(done));
}

/// Asserts one last line with every part of `want`, and the exit code.
pub fn assert_fails(done: &Output, code: i32, want: &str) {
    let text = stderr(done);
    assert_eq!(done.status.code(), Some(code), "got {text}");
    let last = text.trim_end().lines().last().unwrap_or_default();
    assert!(last.starts_with("error: "), "got {text}");
    assert!(last.contains(want), "got {text}, want {want}");
}

#[test]
fn first_use_downloads_with_progress_and_the_second_reads_the_cache_with_the_server_down() {
    let mut world = World::new();
    world.add_diffusers();
    world.add_own();
    let picture = |world: &World, reference: &str, name: &str| {
        let out = world.path(name);
        let out = out.to_str().expect("a name");
        let done = world.run(&[
            "sample",
            "--num",
            "2",
            "--steps",
            "3",
            "--checkpoint",
            reference,
            "--out",
            out,
        ]);
        assert_succeeds(&done);
        (fs::read(out).expect("a picture"), stderr(&done))
    };
    let (first, told) = picture(&world, "hf://google/tiny", "a.png");
    assert!(told.contains(&format!("fetched {WEIGHTS}")), "got {told}");
    let requests = world.server.take_requests();
    for unneeded in ["README.md", ".bin"] {
        assert!(
            !requests.iter().any(|r| r.contains(unneeded)),
            "got {requests:?}"
        );
    }
    let (own, _) = picture(&world, "hf://me/own@main", "b.png");
    world.server.stop();
    let (second, told) = picture(&world, "hf://google/tiny", "c.png");
    assert!(told.contains("cannot be reached"), "got {told}");
    assert!(!told.contains("fetched hf"), "got {told}");
    assert!(second == first, "other samples from the cache");
    assert!(picture(&world, "hf://me/own", "d.png").0 == own);
    let mut offline = world.program();
    offline.env("HF_HUB_OFFLINE", "1");
    offline.args(["inspect", "hf://me/own"]);
    let done = output(offline);
    assert_succeeds(&done);
    assert_eq!(stderr(&done), "");
}

#[test]
fn a_proxy_is_asked_where_the_environment_names_one() {
    let world = World::new();
    world.add_diffusers();
    let through = |no_proxy: &str| {
        let mut program = world.program();
        program.env("http_proxy", world.server.endpoint());
        program.env("no_proxy", no_proxy);
        program.env("HF_ENDPOINT", "http://hub.invalid");
        program.args(["inspect", "hf://google/tiny"]);
        output(program)
    };
    assert_fails(&through("invalid"), 1, "hub.invalid cannot be reached");
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
    assert_succeeds(&through(""));
    let asked = world.server.take_asked();
    assert!(
        asked.iter().all(|(host, _)| host == "hub.invalid"),
        "got {asked:?}"
    );
}

#[test]
fn inspect_and_convert_know_what_was_fetched() {
    let world = World::new();
    world.add_diffusers();
    let done = world.inspect("hf://google/tiny/unet");
    assert_succeeds(&done);
    for want in [
        &format!("fetched       hf://google/tiny@{COMMIT}/unet\n"),
        "source        diffusers folder\n",
        "architecture  unet2d\n",
        "prediction    denoised, ddpm\n",
        "D             inf\n",
        "data          unknown, 3x8x8\n",
    ] {
        assert!(
            stdout(&done).contains(want),
            "got {}, want {want}",
            stdout(&done)
        );
    }
    let out = world.path("converted");
    let out = out.to_str().expect("a name");
    assert_succeeds(&world.run(&["convert", "hf://google/tiny", out]));
    let card = fs::read_to_string(Path::new(out).join("README.md")).expect("a card");
    let want = format!("converted from `hf://google/tiny@{COMMIT}`");
    assert!(card.contains(&want), "got {card}");
    assert_succeeds(&world.run(&["inspect", out]));
}

#[test]
fn every_fault_is_one_line_with_its_exit_code_and_the_next_try_succeeds() {
    let world = World::new();
    let weights = world.add_diffusers();
    let store = format!("GET /store/{}", sha256(&weights));
    for (text, fault, times, code, want) in [
        ("/revision/", Fault::Status(401), 1, 2, "set HF_TOKEN"),
        (
            "/revision/",
            Fault::Status(404),
            1,
            2,
            "google/tiny: no such revision (404)",
        ),
        (
            "/revision/",
            Fault::Status(429),
            4,
            1,
            "too many requests (429)",
        ),
        (
            "/revision/",
            Fault::Status(500),
            4,
            1,
            "the Hub failed (status 500), 4 times",
        ),
        (&store, Fault::Cut(1000), 4, 1, "the connection broke off"),
        (&store, Fault::Flip, 8, 1, "is not the promised"),
    ] {
        world.server.fault(text, fault.clone(), times);
        assert_fails(&world.inspect("hf://google/tiny"), code, want);
        world.server.no_faults();
        let entry = format!("hf/hub/models--google--tiny/snapshots/{COMMIT}/{WEIGHTS}");
        assert!(!world.path(&entry).exists(), "{fault:?} left an entry");
    }
    assert_succeeds(&world.inspect("hf://google/tiny"));
}

#[test]
fn names_that_are_not_there_or_lead_elsewhere_are_bad_input() {
    let world = World::new();
    world.add_diffusers();
    world.server.add("models/bad/names", "../../evil", b"evil");
    world.server.add("models/bad/empty", "network.pkl", b"x");
    world.server.add(
        "models/bad/transformer",
        "config.json",
        b"{\"architectures\": [\"Bert\"]}",
    );
    world
        .server
        .add("models/bad/transformer", "model.safetensors", &[0; 9000]);
    for (reference, want) in [
        ("hf://google/none", "google/none: no such repository"),
        ("hf://google/tiny@v7", "google/tiny@v7: no such revision"),
        ("hf://google/tiny/none.pkl", "no checkpoint at \"none.pkl\""),
        ("hf://bad/names", "lists a file named \"../../evil\""),
        (
            "hf://bad/empty",
            "name one of its files behind a slash (network.pkl)",
        ),
        (
            "hf://bad/transformer",
            "is not a config.json of this program",
        ),
        ("hf://google", "it must be hf://owner/name"),
        (
            "hf://google/../../x",
            "the file must lie within the repository",
        ),
    ] {
        assert_fails(&world.inspect(reference), 2, want);
    }
    let requests = world.server.take_requests();
    let needless = requests
        .iter()
        .any(|r| r.contains("transformer/resolve") && r.contains("model.safetensors"));
    assert!(
        !needless,
        "weights that cannot be read were fetched: {requests:?}"
    );
}

#[test]
fn a_damaged_file_of_the_cache_is_fetched_anew() {
    let world = World::new();
    let weights = world.add_diffusers();
    let sample = |name: &str| {
        let out = world.path(name);
        let out = out.to_str().expect("a name");
        let reference = "hf://google/tiny";
        let done = world.run(&[
            "sample",
            "--num",
            "1",
            "--steps",
            "2",
            "--checkpoint",
            reference,
            "--out",
            out,
        ]);
        assert_succeeds(&done);
        (fs::read(out).expect("a picture"), stderr(&done))
    };
    let (first, _) = sample("a.png");
    let entry = format!("hf/hub/models--google--tiny/snapshots/{COMMIT}/{WEIGHTS}");
    let blob = fs::canonicalize(world.path(&entry)).expect("a file");
    let mut bytes = weights.clone();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 400].fill(0x55);
    fs::write(&blob, bytes).expect("a file");
    let (second, told) = sample("b.png");
    assert!(told.contains("damaged, its SHA-256"), "got {told}");
    assert!(second == first, "other samples from a damaged file");
    assert_eq!(fs::read(&blob).expect("a file"), weights);
}

/// The configuration of a run that samples `reference`.
fn zero_shot(world: &World, reference: &str) -> PathBuf {
    let text = fs::read_to_string(repository().join("configs/exact.yaml")).expect("a file");
    let text = text
        .replace("d: 128  ", "# ")
        .replace("data: eight_gaussians", "data: digits")
        .replace(
            "model: exact",
            &format!("model: {{checkpoint: {{reference: '{reference}'}}}}"),
        )
        .replace("sampler:\n", "sampler:\n  d: 128\n")
        .replace("num_samples: 1024", "num_samples: 32")
        .replace("num_steps: 18", "num_steps: 3");
    let path = world.path("run.yaml");
    fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_run_records_the_commit_and_goes_on_with_it() {
    let mut world = World::new();
    world.add_own();
    let config = zero_shot(&world, "hf://me/own");
    let (config, out) = (config.to_str().expect("a name"), world.path("run"));
    let train = |world: &World| {
        let done = world.run(&["train", config, "--out", out.to_str().expect("a name")]);
        assert_succeeds(&done);
        done
    };
    train(&world);
    let recorded = fs::read_to_string(out.join("config.yaml")).expect("a file");
    assert!(
        recorded.contains(&format!("hf://me/own@{COMMIT}")),
        "got {recorded}"
    );
    world.server.take_requests();
    fs::remove_file(out.join("metrics.json")).expect("a file");
    let scored = |done: &Output| stdout(done).lines().next().map(str::to_string);
    let again = train(&world);
    assert_eq!(world.server.take_requests(), Vec::<String>::new());
    world.server.stop();
    let down = train(&world);
    assert_eq!(scored(&down), scored(&again));
}
