//! The Python versions of CIFAR, against what Python and NumPy read of the same files (`make.py`).

use std::fs;

use pfgmpp_data::{CifarFiles, CifarLabels, DataSource, Dataset};
use sha2::{Digest, Sha256};

use super::{CifarPart, at, expected, here, load, refusal, values};

fn check(part: &Dataset, want: &CifarPart, what: &str) {
    let levels = values(part).into_iter();
    let levels: Vec<u8> = levels.map(|v| (127.5 * (v + 1.0)).round() as u8).collect();
    let digest = Sha256::digest(levels);
    let got: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(got, want.sha256, "levels of {what}");
    let classes = part.class_labels().unwrap().unwrap();
    assert_eq!(classes.values(), want.classes, "classes of {what}");
}

fn labels(name: &str, labels: Option<CifarLabels>) -> DataSource {
    let path = here().join("files").join(name);
    DataSource::Cifar(CifarFiles { path, labels })
}

#[test]
fn the_archive_of_cifar_10_is_read_as_it_is_downloaded() {
    let want = expected().cifar;
    let parts = load(&at("cifar-10-python.tar.gz"));
    check(&parts.train, &want["cifar_10_train"], "the training part");
    check(&parts.held_out, &want["cifar_10_test"], "the test part");
    assert_eq!(parts.train.image_shape(), [3, 32, 32]);
    let classes = parts.train.class_labels().unwrap().unwrap();
    assert_eq!(
        (classes.num_classes(), classes.names()[9].as_str()),
        (10, "truck")
    );
}

#[test]
fn cifar_100_is_read_with_the_classes_that_are_asked_for_from_its_archive_and_its_folder() {
    let want = expected().cifar;
    for name in ["cifar-100-python.tar.gz", "cifar-100-python"] {
        for (asked, kind, num) in [
            (None, "fine", 100),
            (Some(CifarLabels::Fine), "fine", 100),
            (Some(CifarLabels::Coarse), "coarse", 20),
        ] {
            let parts = load(&labels(name, asked));
            let what = format!("{name}, {kind}");
            check(
                &parts.train,
                &want[&format!("cifar_100_train_{kind}")],
                &what,
            );
            check(
                &parts.held_out,
                &want[&format!("cifar_100_test_{kind}")],
                &what,
            );
            let classes = parts.train.class_labels().unwrap().unwrap();
            assert_eq!(classes.num_classes(), num, "{what}");
            assert_eq!(classes.names()[3], format!("{kind} 3"), "{what}");
        }
        assert_eq!(at(name), labels(name, None), "what {name} is told to be");
    }
    let got = refusal(&labels("cifar-10-python.tar.gz", Some(CifarLabels::Coarse)));
    assert!(
        got.contains("is CIFAR-10, which has classes of one kind: leave labels out"),
        "got {got}"
    );
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("train"),
        b"\x80\x02cos\nsystem\nU\x04true\x85R.",
    )
    .unwrap();
    let path = folder.path().to_path_buf();
    let got = refusal(&DataSource::Cifar(CifarFiles { path, labels: None }));
    assert!(
        got.contains("train: byte 2: the pickle asks for os.system, which is not needed here; nothing was run"),
        "got {got}"
    );
}

#[test]
fn archives_that_are_something_else_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.tar.gz");
    let whole = fs::read(here().join("files/cifar-10-python.tar.gz")).unwrap();
    for (bytes, want) in [
        (
            &whole[..whole.len() / 2],
            "x.tar.gz: is cut off or damaged: fetch it again",
        ),
        (&b"hello"[..], "x.tar.gz: is cut off or damaged"),
        (
            &[b'x'; 600][..],
            "x.tar.gz: is neither a folder nor a tar archive of CIFAR",
        ),
        (
            &[0; 1024][..],
            "x.tar.gz: holds neither data_batch_1.bin or data_batch_1",
        ),
    ] {
        fs::write(&path, bytes).unwrap();
        let (path, labels) = (path.clone(), None);
        let got = refusal(&DataSource::Cifar(CifarFiles { path, labels }));
        assert!(got.contains(want), "got {got}, want {want}");
    }
}
