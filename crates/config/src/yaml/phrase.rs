//! Phrases of serde's messages, and what they are called in plain words.

/// Characters of a value that are shown.
const SHOWN: usize = 60;

/// What serde expects, in plain words; `None` for a type of this program.
pub(super) fn plain(expected: &str) -> Option<String> {
    let words = match expected {
        "f32" | "f64" => "a number",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number",
        "a boolean" | "bool" => "true or false",
        "a string" | "str" | "string" | "a character" | "path string" => "a text",
        "a sequence" => "a list",
        "a map" => "a section with keys",
        "unit" | "null" => "empty",
        _ => return plain_list(expected),
    };
    Some(words.to_string())
}

fn plain_list(expected: &str) -> Option<String> {
    let counted = ["an array of length ", "a tuple of size ", "tuple of "];
    let length = counted
        .iter()
        .find_map(|start| expected.strip_prefix(start));
    if let Some(length) = length {
        let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
        return Some(format!("a list of {digits} values"));
    }
    let of_this_program = [
        "struct",
        "enum",
        "variant",
        "tuple",
        "newtype",
        "unit",
        "map with",
        "string or",
        "identifier",
        "field",
        "option",
        "any value",
    ];
    let own = of_this_program.iter().any(|word| expected.contains(word));
    (!own && !expected.contains("::")).then(|| expected.to_string())
}

/// What serde got, in plain words.
pub(super) fn got_words(got: &str) -> String {
    let words = match got {
        "unit value" | "null" | "unit" | "Option value" => "nothing",
        "sequence" => "a list",
        "map" => "a section with keys",
        _ => "",
    };
    if !words.is_empty() {
        return words.to_string();
    }
    for kind in [
        "string ",
        "integer ",
        "floating point ",
        "boolean ",
        "character ",
    ] {
        if let Some(value) = got.strip_prefix(kind) {
            let ticked = value
                .strip_prefix('`')
                .and_then(|rest| rest.rsplit_once('`'));
            return cut(ticked.map_or(value, |(value, _)| value));
        }
    }
    if got.bytes().all(|b| b.is_ascii_digit()) {
        return format!("{got} values");
    }
    match got {
        "enum" => "a value with a tag".to_string(),
        _ => "something else".to_string(),
    }
}

/// A value that may be long, cut in the middle.
pub(super) fn cut(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let count = text.chars().count();
    if count <= SHOWN {
        return text;
    }
    let half = SHOWN / 2 - 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    format!("{head}...{tail}")
}

/// A message, cut in the middle where a value in it is long, on one line.
pub(super) fn cut_long(message: &str) -> String {
    let words = message
        .split_whitespace()
        .map(|word| match word.chars().count() > 2 * SHOWN {
            true => cut(word),
            false => word.to_string(),
        });
    words.collect::<Vec<_>>().join(" ")
}

/// `a, b or c`
pub(super) fn one_of(choices: &[String]) -> String {
    match choices {
        [] => "left out".to_string(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The name in backticks after `start`.
pub(super) fn in_ticks<'m>(message: &'m str, start: &str) -> Option<&'m str> {
    let rest = message.strip_prefix(start)?.strip_prefix('`')?;
    // A key may hold a backtick itself.
    let end = rest
        .find("`, expected")
        .or_else(|| rest.find("`, there"))
        .or_else(|| rest.rfind('`'))?;
    rest.get(..end)
}

/// The names in backticks of what is expected.
pub(super) fn choices(message: &str) -> Vec<String> {
    let Some((_, expected)) = message.rsplit_once(", expected ") else {
        return Vec::new();
    };
    expected
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_string)
        .collect()
}
