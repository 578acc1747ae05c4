//! Classes: from `dataset.json` as the published tools write it, and from folders.

use crate::files::*;

/// The label file of ten images whose labels are written by `label`.
fn json(label: impl Fn(u8) -> String) -> String {
    let pair = |i| format!(r#"["00000/img{i:08}.png", {}]"#, label(i));
    let pairs: Vec<String> = (0..10).map(pair).collect();
    format!(r#"{{"labels": [{}]}}"#, pairs.join(", "))
}

fn with_json(json: impl AsRef<[u8]>) -> Files {
    with(numbered(10), "dataset.json", json)
}

#[test]
fn every_way_of_writing_a_class_is_read() {
    let plain = json(|i| (i % 2).to_string());
    let object: Vec<String> = (0..10)
        .map(|i| format!(r#""00000/img{i:08}.png": {}"#, i % 2))
        .collect();
    let object = format!(r#"{{"labels": {{{}}}}}"#, object.join(", "));
    for text in [
        plain.clone(),
        object,
        json(|i| format!("{}.0", i % 2)),
        json(|i| format!("\"{}\"", i % 2)),
        json(|i| format!("[{}, {}]", 1 - i % 2, i % 2)),
        json(|i| format!("[{}.0, {}.0]", 1 - i % 2, i % 2)),
        plain.replace("00000/", "00000\\\\"),
        plain.replace("00000/", "./00000/"),
        format!("\u{feff}{plain}"),
    ] {
        let folder = temporary();
        let files = with_json(&text);
        for source in [
            stored(folder.path(), &files),
            unpacked(folder.path(), &files),
        ] {
            let parts = load(&source);
            let want = Some(vec![0, 1, 0, 1, 1, 0, 1, 0]);
            assert_eq!(labels(&parts.train), want, "{text}");
            assert_eq!(labels(&parts.held_out), Some(vec![0, 1]), "{text}");
            assert_eq!(parts.train.num_classes(), 2, "{text}");
            assert_eq!(parts.train.class_counts(), [4, 4], "{text}");
        }
    }
}

#[test]
fn labels_may_be_null() {
    let folder = temporary();
    let source = stored(folder.path(), &with_json(r#"{"labels": null}"#));
    assert_eq!(labels(&load(&source).train), None);
    assert!(found(&source).ends_with("no classes"), "{}", found(&source));
}

#[test]
fn a_file_without_labels_is_said_and_does_no_harm() {
    let folder = temporary();
    let source = stored(folder.path(), &with_json(r#"{"classes": 2}"#));
    assert_eq!(labels(&load(&source).train), None);
    let got = found(&source);
    assert!(got.contains("dataset.json holds no labels"), "got {got}");
}

#[test]
fn labels_that_are_not_classes_matter_to_who_asks_for_them_alone() {
    let seven: String = (0..7)
        .map(|i| format!(r#"["00000/img{i:08}.png", 0],"#))
        .collect();
    let seven = format!(r#"{{"labels": [{}]}}"#, seven.trim_end_matches(','));
    for (text, want) in [
        (
            seven,
            "no class for 3 images, the first is 00000/img00000007.png",
        ),
        (
            json(|i| i.to_string()).replace("img00000004", "img4"),
            "no class for image 00000/img00000004.png",
        ),
        (
            json(|i| i.to_string()).replace(".png", ".jpg"),
            "no class for 10 images",
        ),
        (r#"{"labels": []}"#.to_string(), "no class for 10 images"),
        (
            r#"{"labels": {"background": 0, "lung": 1}}"#.to_string(),
            "no class for 10 images",
        ),
        (
            json(|_| "-1".into()),
            "img00000000.png in dataset.json must be in 0..65536, got -1",
        ),
        (
            json(|_| "5000000000".into()),
            "must be in 0..65536, got 5000000000",
        ),
        (json(|_| "1.5".into()), "must be a whole number, got 1.5"),
        (json(|_| "\"cat\"".into()), "must be a whole number"),
        (json(|_| "null".into()), "must be a whole number"),
        (
            json(|_| "[0.25, 0.75]".into()),
            "are vectors that do not name one class",
        ),
        (
            json(|i| if i == 3 { "[1]".into() } else { "0".into() }),
            "image 00000/img00000003.png in dataset.json is not of the kind of the others",
        ),
    ] {
        let folder = temporary();
        let parts = load(&stored(folder.path(), &with_json(&text)));
        assert_eq!(parts.train.num_classes(), 0, "{text}");
        let line = parts.found.to_string();
        assert!(
            line.contains("labels are not used: ") && line.contains(want),
            "got {line}, want {want}"
        );
        for part in [&parts.train, &parts.held_out] {
            let error = part.class_labels().expect_err("they cannot be used");
            assert!(error.is_bad_input());
            let error = error.to_string();
            assert!(error.contains(want), "got {error}, want {want}");
            assert_eq!(part.labels(&[0]).unwrap_err().to_string(), error);
        }
    }
}

#[test]
fn files_that_are_not_label_files_are_refused() {
    let list = json(|i| i.to_string()).replace(r#"{"labels": "#, "");
    let comma = json(|i| i.to_string()).replace("]}", ",]}");
    for (text, want) in [
        ("{", "EOF while parsing"),
        ("", "is empty"),
        (
            list.trim_end_matches('}'),
            "an object with the key `labels`",
        ),
        (&comma, "trailing comma"),
        (r#"{"labels": 5}"#, "a list of pairs of a name and a class"),
        (r#"{"labels": [["a.png"]]}"#, "a pair of a name and a class"),
        (
            r#"{"labels": [["a.png", 1, 2]]}"#,
            "a pair of a name and a class",
        ),
        (
            "version https://git-lfs.github.com/spec/v1\n",
            "git lfs pull",
        ),
    ] {
        let folder = temporary();
        let got = refusal(&stored(folder.path(), &with_json(text)));
        assert!(got.contains("set.zip: dataset.json: "), "got {got}");
        assert!(got.contains(want), "got {got}, want {want}");
        assert!(got.contains("[[name, class], ...]"), "got {got}");
        for rust in [
            "struct",
            "enum",
            "tuple",
            "Document",
            "invalid type",
            "sequence",
        ] {
            assert!(!got.contains(rust), "got {got}");
        }
    }
}

#[test]
fn a_name_with_two_classes_is_said() {
    let folder = temporary();
    let text = json(|_| "0".into()).replace("]}", r#", ["00000/img00000000.png", 1]]}"#);
    let source = stored(folder.path(), &with_json(text));
    assert_eq!(
        labels(&load(&source).train),
        Some(vec![1, 0, 0, 0, 0, 0, 0, 0])
    );
    let got = found(&source);
    assert!(got.contains("1 name stands more than once"), "got {got}");
}

#[test]
fn a_label_file_one_level_down_is_read() {
    let folder = temporary();
    let text = json(|i| i.to_string());
    for names_from_the_top in [false, true] {
        let text = match names_from_the_top {
            true => text.replace("00000/", "pets/00000/"),
            false => text.clone(),
        };
        let files = named(10, |i| format!("pets/00000/img{i:08}.png"));
        let files = with(files, "pets/dataset.json", text);
        for source in [
            stored(folder.path(), &files),
            unpacked(folder.path(), &files),
        ] {
            let parts = load(&source);
            assert_eq!(labels(&parts.train), Some(vec![0, 1, 2, 3, 5, 6, 7, 8]));
        }
    }
}

#[test]
fn several_sets_in_one_have_a_label_file_each() {
    let files = named(12, |i| {
        format!("{}/{i:02}.png", ["a", "b"][usize::from(i / 6)])
    });
    let pairs = |from: u8| -> String {
        let pairs: Vec<String> = (from..from + 6)
            .map(|i| format!(r#"["{i:02}.png", {i}]"#))
            .collect();
        format!(r#"{{"labels": [{}]}}"#, pairs.join(", "))
    };
    let files = with(files, "a/dataset.json", pairs(0));
    let files = with(files, "b/dataset.json", pairs(6));
    let folder = temporary();
    let parts = load(&stored(folder.path(), &files));
    assert_eq!(
        labels(&parts.train),
        Some(vec![0, 1, 2, 3, 5, 6, 7, 8, 10, 11])
    );
    // One for all has authority over those of its folders.
    let text = json(|_| "7".into());
    let files = with(with_json(text), "00000/dataset.json", pairs(0));
    let source = stored(folder.path(), &files);
    assert_eq!(labels(&load(&source).train), Some(vec![7; 8]));
    let got = found(&source);
    assert!(
        got.contains("00000/dataset.json is not read, dataset.json is"),
        "got {got}"
    );
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let animals = ["dog", "cat"];
    let files = named(12, |i| {
        format!("{}/{i:02}.png", animals[usize::from(i % 2)])
    });
    let folder = temporary();
    for source in [
        stored(folder.path(), &files),
        unpacked(folder.path(), &files),
    ] {
        let parts = load(&source);
        for part in [&parts.train, &parts.held_out] {
            // The number of an image is its first pixel: even ones are dogs.
            let want = numbers(part).iter().map(|i| 1 - i % 2).collect();
            assert_eq!(labels(part), Some(want));
            let classes = part.class_labels().unwrap().unwrap();
            assert_eq!(classes.names(), ["cat", "dog"]);
        }
        let got = found(&source);
        assert!(
            got.contains("2 classes; a class for each folder: cat, dog"),
            "got {got}"
        );
    }
}

#[test]
fn folders_that_are_not_classes_give_none() {
    let folder = temporary();
    let third = |i: u8| ["train", "test", "val"][usize::from(i % 3)];
    // A thousand a folder in the published layouts; a common folder; parts of a set; a file beside folders.
    let edm = named(12, |i| {
        format!(
            "{:05}/img{:08}.png",
            i / 6,
            u32::from(i / 6) * 1000 + u32::from(i)
        )
    });
    let ffhq = named(12, |i| {
        format!(
            "{:05}/{:05}.png",
            u32::from(i / 6) * 1000,
            u32::from(i / 6) * 1000 + u32::from(i)
        )
    });
    let climbing = with(
        named(12, |i| format!("a/{i:02}.png")),
        "../../x.png",
        grey(99),
    );
    let common = named(12, |i| format!("a/b/{i:02}.png"));
    let parts = named(12, |i| format!("{}/{i:02}.png", third(i)));
    let beside = with(
        named(12, |i| format!("{}/{i:02}.png", i % 2)),
        "x.png",
        grey(99),
    );
    for (files, remark) in [
        (edm, ""),
        (ffhq, ""),
        (common, ""),
        (climbing, "gives no classes"),
        (parts, "the folders test, train, val are read as one set"),
        (beside, "gives no classes"),
    ] {
        let source = stored(folder.path(), &files);
        assert_eq!(load(&source).train.num_classes(), 0, "{}", found(&source));
        assert!(found(&source).contains(remark), "{}", found(&source));
    }
    // Classes within parts.
    let files = named(12, |i| {
        format!("{}/{}/{i:02}.png", third(i), ["x", "y"][usize::from(i / 6)])
    });
    let source = stored(folder.path(), &files);
    assert_eq!(load(&source).train.num_classes(), 2, "{}", found(&source));
}
