//! A server that speaks the routes of the Hub, with faults on request.
//!
//! - `GET /api/{models,datasets}/{repo}/revision/{revision}` and `.../tree/{commit}?recursive=true`
//! - `HEAD` and `GET /[datasets/]{repo}/resolve/{revision}/{file}`: small files at once, large ones behind a
//!   redirection to `/store/{sha256}`, which knows ranges

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// The commit that every repository is at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// Files from this size on are stored elsewhere, as those of git LFS are.
const LARGE: usize = 4096;

/// What the server does wrong, with requests whose path contains a text.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers with this status.
    Status(u16),
    /// Closes the connection after so many bytes of a file.
    Cut(usize),
    /// Sends so many bytes less than it promised, and says so.
    Short(usize),
    /// Sends a file with one bit changed.
    Flip,
    /// Does not know ranges.
    NoRange,
    /// Sends to another address.
    Redirect(&'static str),
    /// Answers with these bytes.
    Raw(&'static [u8]),
    /// Says that the file has so many bytes.
    Promise(u64),
    /// Asks to come back after so many seconds.
    Wait(u64),
    /// Never answers.
    Silence,
}

#[derive(Default)]
struct State {
    /// By `models/owner/name`, the files by name.
    repos: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Text in the path, what to do, and how often.
    faults: Vec<(String, Fault, usize)>,
    token: Option<String>,
    requests: Vec<String>,
}

/// A server on a port of its own; it ends with the value.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped) = (state.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let state = shared.clone();
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Self {
            address,
            state,
            stop,
            thread: Some(thread),
        }
    }

    /// The address, for `HF_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// Adds a file to a repository such as `models/owner/name`.
    pub fn add(&self, repo: &str, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let files = state.repos.entry(repo.to_string()).or_default();
        files.insert(name.to_string(), bytes.to_vec());
    }

    /// Does something wrong the next `times` that a path contains `text`.
    pub fn fault(&self, text: &str, fault: Fault, times: usize) {
        self.state().faults.push((text.to_string(), fault, times));
    }

    /// From now on everything is answered as it should be.
    pub fn no_faults(&self) {
        self.state().faults.clear();
    }

    /// From now on everything needs this token.
    pub fn require_token(&self, token: &str) {
        self.state().token = Some(token.to_string());
    }

    /// Every request since the last call, such as `GET /api/models/o/n/revision/main`.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state().requests)
    }

    /// Stops listening: connections are refused from now on.
    pub fn stop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // One more connection, for the thread to see the flag.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One request.
struct Request {
    method: String,
    path: String,
    token: Option<String>,
    range: Option<(usize, usize)>,
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next()?.to_string(),
        path: words.next()?.to_string(),
        token: None,
        range: None,
    };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => request.token = value.strip_prefix("Bearer ").map(str::to_string),
            "range" => {
                let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
                request.range = Some((from.parse().ok()?, to.parse().ok()?));
            }
            _ => {}
        }
    }
    Some(request)
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let request = read(&stream)?;
    let mut state = state.lock().expect("no panic");
    let line = format!("{} {}", request.method, request.path);
    state.requests.push(line.clone());
    let hit = |(text, _, times): &&mut (String, Fault, usize)| *times > 0 && line.contains(&**text);
    let fault = state.faults.iter_mut().find(hit).map(|(_, fault, times)| {
        *times -= 1;
        fault.clone()
    });
    let allowed = state.token.is_none() || state.token == request.token;
    let reply = match fault {
        Some(Fault::Status(status)) => Reply::status(status),
        Some(Fault::Redirect(to)) => Reply::status(302).with("Location", to.into()),
        Some(Fault::Wait(wait)) => Reply::status(429).with("Retry-After", wait.to_string()),
        Some(Fault::Raw(bytes)) => {
            drop(state);
            return stream.write_all(bytes).ok();
        }
        Some(Fault::Silence) => {
            drop(state);
            std::thread::sleep(std::time::Duration::from_secs(20));
            return None;
        }
        _ if !allowed => Reply::status(401),
        _ => route(&state, &request, matches!(fault, Some(Fault::NoRange)))
            .unwrap_or_else(|| Reply::status(404)),
    };
    drop(state);
    let reply = match fault {
        Some(Fault::Promise(size)) => reply.with("X-Linked-Size", size.to_string()).with(
            "X-Linked-ETag",
            format!("\"{}\"", sha256(&size.to_le_bytes())),
        ),
        _ => reply,
    };
    reply.send(&mut stream, request.method == "HEAD", fault.as_ref())
}

struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Reply {
    fn status(status: u16) -> Self {
        let body = b"{\"error\": \"as the test asked\"}".to_vec();
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.retain(|(own, _)| *own != name);
        self.headers.push((name, value));
        self
    }

    fn json(value: &serde_json::Value) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type", "application/json".into())],
            body: value.to_string().into_bytes(),
        }
    }

    fn send(mut self, stream: &mut TcpStream, head: bool, fault: Option<&Fault>) -> Option<()> {
        let mut promised = self.body.len();
        if !head {
            match fault {
                Some(Fault::Short(less)) => {
                    promised -= less;
                    self.body.truncate(promised);
                }
                Some(Fault::Cut(after)) => self.body.truncate(*after),
                Some(Fault::Flip) => self.body[0] ^= 1,
                _ => {}
            }
        }
        let mut head_text = format!("HTTP/1.1 {} X\r\n", self.status);
        for (name, value) in &self.headers {
            head_text += &format!("{name}: {value}\r\n");
        }
        head_text += &format!("Content-Length: {promised}\r\nConnection: close\r\n\r\n");
        stream.write_all(head_text.as_bytes()).ok()?;
        if !head {
            stream.write_all(&self.body).ok()?;
        }
        stream.flush().ok()
    }
}

fn route(state: &State, request: &Request, no_range: bool) -> Option<Reply> {
    let path = request.path.split('?').next()?;
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
    Some(resolve(state.repos.get(&repo)?.get(name)?))
}

fn resolve(bytes: &[u8]) -> Reply {
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
            ("Location", format!("/store/{sha}")),
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
