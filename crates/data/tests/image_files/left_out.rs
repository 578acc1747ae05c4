//! What lies where a set does and is not part of it: never left out without a word.

use std::fs;

use crate::files::*;

#[test]
fn hidden_images_are_not_part_of_a_set_and_are_said() {
    let hidden = [
        ".ipynb_checkpoints/a-checkpoint.png",
        ".thumbnails/normal/a.png",
        "a/.git/b.png",
        "@eaDir/img.png/SYNOPHOTO_THUMB_S.png",
        "__MACOSX/a/b.png",
        ".hidden.png",
    ];
    for name in hidden {
        let folder = temporary();
        let files = with(numbered(10), name, grey(250));
        let files = with(files, "._resource.png", "not an image");
        let files = with(files, ".DS_Store", "");
        let files = with(files, "a/Thumbs.db", "");
        for source in [
            stored(folder.path(), &files),
            unpacked(folder.path(), &files),
        ] {
            let parts = load(&source);
            assert_eq!(all_numbers(&parts), (0..10).collect::<Vec<_>>(), "{name}");
            let got = parts.found.to_string();
            let want =
                format!("; left out: 1 image in hidden folders or with hidden names ({name})");
            assert!(got.ends_with(&want), "got {got}, want {want}");
        }
    }
}

#[test]
fn a_set_in_a_hidden_folder_is_a_set() {
    let outer = temporary();
    let folder = outer.path().join(".cache");
    fs::create_dir(&folder).unwrap();
    let parts = load(&unpacked(&folder, &numbered(10)));
    assert_eq!(all_numbers(&parts).len(), 10);
}

#[test]
fn files_of_other_kinds_are_counted_and_named() {
    let folder = temporary();
    let files = with(numbered(10), "a.SVG", "");
    let files = with(files, "b.svg", "");
    let files = with(files, "notes", "");
    let files = with(files, "c.png~", "");
    let files = with(files, "d.npz", "");
    for source in [
        stored(folder.path(), &files),
        unpacked(folder.path(), &files),
    ] {
        let got = found(&source);
        let want = "left out: 2 .svg files (a.SVG, ...), 1 .npz file (d.npz), 1 .png~ file (c.png~), \
                    1 file without an ending (notes)";
        assert!(got.ends_with(want), "got {got}, want {want}");
    }
    let many = (0..9).fold(numbered(10), |files, i| with(files, &format!("x.e{i}"), ""));
    let got = found(&stored(folder.path(), &many));
    assert!(
        got.ends_with("4 files of other kinds (x.e5, ...)"),
        "got {got}"
    );
}

#[test]
fn too_few_images_are_refused_with_what_there_is_instead() {
    for num in [0, 1, 5, 9] {
        let folder = temporary();
        let files = with(numbered(num), "photo.heic", "");
        for source in [
            stored(folder.path(), &files),
            unpacked(folder.path(), &files),
        ] {
            let got = refusal(&source);
            let want = format!(
                "holds {num} images, at least 10 are needed: every fifth is held out, and scores need two of \
                 them; left out: 1 .heic file (photo.heic)"
            );
            assert!(got.ends_with(&want), "got {got}, want {want}");
        }
    }
    let folder = temporary();
    let parts = load(&stored(folder.path(), &numbered(10)));
    assert_eq!(parts.held_out.num_images(), 2, "what scores need");
}

#[test]
fn upper_case_endings_are_read() {
    let folder = temporary();
    let files = named(10, |i| {
        format!("{i}.{}", ["PNG", "Png"][usize::from(i % 2)])
    });
    assert_eq!(all_numbers(&load(&stored(folder.path(), &files))).len(), 10);
    assert_eq!(
        all_numbers(&load(&unpacked(folder.path(), &files))).len(),
        10
    );
}

#[cfg(unix)]
mod links {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    /// Five cats and five dogs in folders of their own, and an empty folder `set`.
    fn store(outer: &Path) {
        for (name, bytes) in named(10, |i| {
            format!("{}/{i}.png", ["cat", "dog"][usize::from(i / 5)])
        }) {
            let file = outer.join("store").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        fs::create_dir(outer.join("set")).unwrap();
    }

    #[test]
    fn links_to_folders_are_followed() {
        let outer = temporary();
        store(outer.path());
        let set = outer.path().join("set");
        symlink("../store/cat", set.join("felis")).unwrap();
        symlink(outer.path().join("store/dog"), set.join("canis")).unwrap();
        let parts = load(&at_folder(set));
        assert_eq!(all_numbers(&parts), (0..10).collect::<Vec<_>>());
        let classes = parts.train.class_labels().unwrap().unwrap();
        assert_eq!(classes.names(), ["canis", "felis"]);
        symlink("store", outer.path().join("link")).unwrap();
        assert_eq!(
            all_numbers(&load(&at_folder(outer.path().join("link")))).len(),
            10
        );
    }

    #[test]
    fn circles_end_and_nothing_is_read_twice() {
        let outer = temporary();
        store(outer.path());
        let set = outer.path().join("store");
        symlink("..", set.join("above")).unwrap();
        symlink("../dog", set.join("cat/other")).unwrap();
        symlink(".", set.join("dog/self")).unwrap();
        fs::create_dir(outer.path().join("far")).unwrap();
        symlink("../store/cat", outer.path().join("far/back")).unwrap();
        symlink("../far", set.join("far")).unwrap();
        let parts = load(&at_folder(set));
        assert_eq!(all_numbers(&parts), (0..10).collect::<Vec<_>>());
        let got = parts.found.to_string();
        let want =
            "left out: 4 links to a folder that is read anyway or lies around the set (above, ...)";
        assert!(got.contains(want), "got {got}");
    }

    #[test]
    fn links_to_files_count_and_broken_ones_are_refused() {
        let outer = temporary();
        store(outer.path());
        let set = outer.path().join("set");
        for i in 0..10 {
            let animal = ["cat", "dog"][usize::from(i / 5u8)];
            symlink(
                format!("../store/{animal}/{i}.png"),
                set.join(format!("{i}.png")),
            )
            .unwrap();
        }
        assert_eq!(all_numbers(&load(&at_folder(set.clone()))).len(), 10);
        symlink("/nowhere/gone.png", set.join("gone.png")).unwrap();
        let got = refusal(&at_folder(set));
        assert!(
            got.ends_with("set: gone.png: is a link to /nowhere/gone.png, which is not there"),
            "got {got}"
        );
    }

    #[test]
    fn names_that_are_not_text_lead_to_their_files() {
        let outer = temporary();
        for i in 0..10 {
            let name = [b"caf\xe9".as_slice(), i.to_string().as_bytes(), b".png"].concat();
            fs::write(outer.path().join(OsStr::from_bytes(&name)), grey(i)).unwrap();
        }
        assert_eq!(
            all_numbers(&load(&at_folder(outer.path().into()))).len(),
            10
        );
    }
}
