//! What lies at which address.

use std::collections::BTreeMap;

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::reply::Reply;
use super::{Request, State};

/// The commit that every repository is at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Files from this size on are stored elsewhere, as those of git LFS are.
const LARGE: usize = 4096;

/// The answer to a request, unless there is nothing at its address.
pub(super) fn route(state: &State, request: &Request, no_range: bool) -> Option<Reply> {
    let path = decoded(request.path.split('?').next()?);
    let path = path.as_str();
    if let Some((from, to)) = state
        .moved
        .as_ref()
        .filter(|(from, _)| path.contains(&**from))
    {
        let to = request.path.replace(from, to);
        return Some(Reply::status(307).with("Location", to));
    }
    if let Some(rest) = path.strip_prefix("/api/") {
        let (repo, revision) = rest
            .split_once("/revision/")
            .unwrap_or_else(|| rest.split_once("/tree/").unwrap_or((rest, "main")));
        let files = state.repos.get(repo)?;
        known(revision)?;
        if rest.contains("/tree/") {
            return Some(Reply::json(&tree(files)));
        }
        let id = repo.split_once('/')?.1;
        return Some(Reply::json(&serde_json::json!({"id": id, "sha": COMMIT})));
    }
    if let Some(sha) = path.strip_prefix("/store/") {
        let mut all = state.repos.values().flat_map(BTreeMap::values);
        let bytes = all.find(|bytes| sha256(bytes) == sha)?;
        let (status, body) = match request.range {
            Some((from, to)) if !no_range => (206, bytes.get(from..=to)?.to_vec()),
            _ => (200, bytes.clone()),
        };
        let headers = vec![("ETag", "\"elsewhere\"".to_string())];
        return Some(Reply {
            status,
            headers,
            body,
        });
    }
    let (repo, rest) = path.trim_start_matches('/').split_once("/resolve/")?;
    let repo = match repo.starts_with("datasets/") {
        true => repo.to_string(),
        false => format!("models/{repo}"),
    };
    let (revision, name) = rest.split_once('/')?;
    known(revision)?;
    Some(resolve(state.repos.get(&repo)?.get(name)?, &state.store))
}

/// A path without its percent signs, but for those of slashes.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).map(|code| u8::from_str_radix(code, 16)) {
            Some(Ok(byte)) if byte != b'/' => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            _ => bytes.extend_from_slice(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn resolve(bytes: &[u8], store: &str) -> Reply {
    let commit = ("X-Repo-Commit", COMMIT.to_string());
    if bytes.len() < LARGE {
        let headers = vec![commit, ("ETag", format!("\"{}\"", git(bytes)))];
        return Reply {
            status: 200,
            headers,
            body: bytes.to_vec(),
        };
    }
    let sha = sha256(bytes);
    Reply {
        status: 302,
        headers: vec![
            commit,
            ("Location", format!("{store}/store/{sha}")),
            ("X-Linked-Size", bytes.len().to_string()),
            ("X-Linked-ETag", format!("\"{sha}\"")),
            ("ETag", "\"other\"".into()),
        ],
        body: Vec::new(),
    }
}

fn known(revision: &str) -> Option<()> {
    ["main", COMMIT, "refs%2Fconvert%2Fparquet"]
        .contains(&revision)
        .then_some(())
}

fn tree(files: &BTreeMap<String, Vec<u8>>) -> serde_json::Value {
    let file = |(name, bytes): (&String, &Vec<u8>)| {
        let mut entry = serde_json::json!({
            "type": "file", "path": name, "size": bytes.len(), "oid": git(bytes),
        });
        if bytes.len() >= LARGE {
            entry["lfs"] =
                serde_json::json!({"oid": sha256(bytes), "size": bytes.len(), "pointerSize": 134});
        }
        entry
    };
    let folder = serde_json::json!({"type": "directory", "path": "folder", "oid": git(b"")});
    files.iter().map(file).chain([folder]).collect()
}

/// SHA-256, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What git knows a file by, in hexadecimal.
pub fn git(bytes: &[u8]) -> String {
    let hash = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hex(&hash.chain_update(bytes).finalize())
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
