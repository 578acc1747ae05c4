//! A server that speaks the routes of the Hub, with faults on request.
//!
//! - `GET /api/{models,datasets}/{repo}/revision/{revision}` and `.../tree/{commit}?recursive=true`
//! - `HEAD` and `GET /[datasets/]{repo}/resolve/{revision}/{file}`: small files at once, large ones behind a
//!   redirection to `/store/{sha256}`, which knows ranges

mod reply;
pub mod routes;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use reply::{Reply, endless};
use routes::route;
pub use routes::{COMMIT, sha256};

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
    /// Answers with a list that has no end.
    Endless,
    /// Says of every page of a listing that there is another one.
    Pages,
    /// Sends the body byte by byte, with so many milliseconds before each.
    Trickle(u64),
    /// Answers with this status, and this reason in `X-Error-Code`.
    Reason(u16, &'static str),
}

#[derive(Default)]
struct State {
    /// By `models/owner/name`, the files by name.
    repos: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Text in the path, what to do, and how often.
    faults: Vec<(String, Fault, usize)>,
    token: Option<String>,
    /// Where large files lie, if not here.
    store: String,
    /// A part of paths that has another name now, and that name.
    moved: Option<(String, String)>,
    requests: Vec<String>,
    asked: Vec<(String, Option<String>)>,
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

    /// From now on large files lie at another address.
    pub fn store_at(&self, address: &str) {
        self.state().store = address.to_string();
    }

    /// From now on what is asked of `from` is sent on to `to`.
    pub fn moved(&self, from: &str, to: &str) {
        self.state().moved = Some((from.to_string(), to.to_string()));
    }

    /// The server and the token of every request since the last call.
    pub fn take_asked(&self) -> Vec<(String, Option<String>)> {
        std::mem::take(&mut self.state().asked)
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
    host: String,
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
        host: String::new(),
        token: None,
        range: None,
    };
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "host" => request.host = value.to_string(),
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
    let mut request = read(&stream)?;
    // As a proxy it leads back to itself.
    if request.method == "CONNECT" {
        stream.write_all(b"HTTP/1.1 200 X\r\n\r\n").ok()?;
        request = read(&stream)?;
    }
    let mut state = state.lock().expect("no panic");
    let line = format!("{} {}", request.method, request.path);
    state.requests.push(line.clone());
    let asked = (request.host.clone(), request.token.clone());
    state.asked.push(asked);
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
        Some(Fault::Endless) => {
            drop(state);
            return endless(&mut stream);
        }
        Some(Fault::Reason(status, reason)) => {
            Reply::status(status).with("X-Error-Code", reason.into())
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
        Some(Fault::Pages) => {
            let next = format!("<{}&more=1>; rel=\"next\"", request.path);
            reply.with("Link", next)
        }
        _ => reply,
    };
    reply.send(&mut stream, request.method == "HEAD", fault.as_ref())
}
