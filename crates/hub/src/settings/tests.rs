//! Variables in, settings out.

use super::*;

fn of(variables: &[(&str, &str)]) -> Settings {
    Settings::from_variables(&|name| {
        let found = variables.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| value.into())
    })
}

#[test]
fn variables_say_where_the_hub_and_its_cache_are() {
    let settings = of(&[("HF_HOME", "/h"), ("HF_ENDPOINT", "http://a:1/")]);
    assert_eq!(settings.endpoint, "http://a:1");
    assert_eq!(settings.cache, PathBuf::from("/h/hub"));
    assert!(!settings.offline);
    let settings = of(&[("HF_HUB_CACHE", "/c"), ("HF_HUB_OFFLINE", "true")]);
    assert_eq!(settings.cache, PathBuf::from("/c"));
    assert!(settings.offline);
    let settings = of(&[("XDG_CACHE_HOME", "/x"), ("HF_HOME", "")]);
    assert_eq!(settings.cache, PathBuf::from("/x/huggingface/hub"));
}

#[test]
fn empty_variables_count_as_none() {
    let settings = of(&[
        ("HF_ENDPOINT", ""),
        ("HF_HUB_OFFLINE", ""),
        ("HF_TOKEN", ""),
    ]);
    assert_eq!(settings.endpoint, "https://huggingface.co");
    assert!(!settings.offline);
}

#[test]
fn a_token_is_read_from_its_file_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hf_stored\n").unwrap();
    let path = file.to_str().unwrap();
    let stored = of(&[("HF_TOKEN_PATH", path)]);
    assert_eq!(stored.token.as_deref(), Some("hf_stored"));
    let given = of(&[("HF_TOKEN_PATH", path), ("HF_TOKEN", "hf_given")]);
    assert_eq!(given.token.as_deref(), Some("hf_given"));
    let shown = format!("{given:?}");
    assert!(!shown.contains("hf_given"), "got {shown}");
    let none = [("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
    assert_eq!(of(&none).token, None);
}

#[test]
fn a_token_counts_whatever_stands_around_it_and_under_its_old_name_too() {
    for (variables, want) in [
        (&[("HF_TOKEN", " hf_a\r\n")][..], Some("hf_a")),
        (
            &[("HF_TOKEN", "\n"), ("HUGGING_FACE_HUB_TOKEN", "b")],
            Some("b"),
        ),
        (
            &[("HF_TOKEN", "a"), ("HUGGING_FACE_HUB_TOKEN", "b")],
            Some("a"),
        ),
        (
            &[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0")],
            Some("a"),
        ),
        (
            &[
                ("HF_TOKEN", "a"),
                ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "false"),
            ],
            Some("a"),
        ),
        (
            &[("HF_TOKEN", "a"), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "Yes")],
            None,
        ),
    ] {
        let mut variables = variables.to_vec();
        variables.push(("HF_HOME", "/nowhere"));
        let got = of(&variables).token;
        assert_eq!(
            got.as_deref(),
            want,
            "{variables:?}: got {got:?}, want {want:?}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "\u{feff}hf_b\r\n").unwrap();
    let got = of(&[("HF_HOME", folder.path().to_str().unwrap())]).token;
    assert_eq!(got.as_deref(), Some("hf_b"), "got {got:?}");
}

#[test]
fn paths_are_read_as_a_shell_would() {
    let variables = [("HOME", "/me"), ("BIG", "/disk"), ("HF_TOKEN", "a")];
    for (name, value, want) in [
        ("HF_HOME", "~/hf", "/me/hf/hub"),
        ("HF_HOME", "~", "/me/hub"),
        ("HF_HOME", "$BIG/hf", "/disk/hf/hub"),
        ("HF_HOME", "/a/${BIG}x~/$NONE/hf", "/a//diskx~/$NONE/hf/hub"),
        ("HF_HOME", "/a b/$", "/a b/$/hub"),
        ("HF_HUB_CACHE", "$HOME/c", "/me/c"),
        ("XDG_CACHE_HOME", "~/x", "/me/x/huggingface/hub"),
        ("HF_HUB_CACHE", "~other/c", "~other/c"),
    ] {
        let got = of(&[&variables[..], &[(name, value)]].concat()).cache;
        assert_eq!(
            got,
            PathBuf::from(want),
            "{name}={value}: got {got:?}, want {want}"
        );
    }
}

#[test]
fn offline_and_patience_are_words_and_seconds() {
    for (variables, want) in [
        (&[("HF_HUB_OFFLINE", "on")][..], true),
        (&[("HF_HUB_OFFLINE", " Yes ")], true),
        (&[("HF_HUB_OFFLINE", "0")], false),
        (&[("TRANSFORMERS_OFFLINE", "1")], true),
        (
            &[("HF_HUB_OFFLINE", "no"), ("TRANSFORMERS_OFFLINE", "1")],
            false,
        ),
    ] {
        let got = of(variables).offline;
        assert_eq!(got, want, "{variables:?}: got {got}, want {want}");
    }
    let timeout = |value| of(&[("HF_HUB_DOWNLOAD_TIMEOUT", value), ("HF_TOKEN", "a")]);
    assert_eq!(timeout("2.5").timeout, Duration::from_millis(2500));
    for value in ["0", "-1", "soon", "NaN", "1e400"] {
        let got = timeout(value).check().unwrap_err().to_string();
        let want = "HF_HUB_DOWNLOAD_TIMEOUT: must be a number of seconds above 0";
        assert_eq!(got, want, "{value}: got {got}, want {want}");
    }
}

#[test]
fn what_no_request_can_be_made_with_is_refused_and_no_secret_shown() {
    for token in ["hf_se\ncret", "hf_secret\u{1}", "hf secret", "'hf_secret'"] {
        let got = of(&[("HF_TOKEN", token)]).check().unwrap_err().to_string();
        assert!(got.starts_with("HF_TOKEN: "), "got {got}");
        assert!(!got.contains("cret"), "got {got}");
    }
    for endpoint in [
        "nonsense",
        "ftp://me:secret@x",
        "http://",
        "http://me:secret@",
        "http://me:sec/secret@a b",
        "http://a:99999",
        "http://a b",
        "http://[::1]:x",
    ] {
        let got = of(&[("HF_ENDPOINT", endpoint)]).check().unwrap_err();
        let got = got.to_string();
        let want = "HF_ENDPOINT: must be http:// or https://";
        assert!(got.starts_with(want), "got {got}");
        assert!(!got.contains("secret"), "got {got}");
    }
    let sound = of(&[("HF_ENDPOINT", "http://me:secret@a:1/x"), ("HF_TOKEN", "a")]);
    sound.check().unwrap();
    assert_eq!(sound.shown_endpoint(), "http://a:1/x");
}
