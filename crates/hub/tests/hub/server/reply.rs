//! Answers, and how they go wrong.

use std::io::Write;
use std::net::TcpStream;

use super::Fault;

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        let body = b"{\"error\": \"as the test asked\"}".to_vec();
        Self {
            status,
            headers: Vec::new(),
            body,
        }
    }

    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.retain(|(own, _)| *own != name);
        self.headers.push((name, value));
        self
    }

    pub fn json(value: &serde_json::Value) -> Self {
        Self {
            status: 200,
            headers: vec![("Content-Type", "application/json".into())],
            body: value.to_string().into_bytes(),
        }
    }

    pub fn send(mut self, stream: &mut TcpStream, head: bool, fault: Option<&Fault>) -> Option<()> {
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
        if let (false, Some(Fault::Trickle(wait))) = (head, fault) {
            for byte in &self.body {
                std::thread::sleep(std::time::Duration::from_millis(*wait));
                stream.write_all(&[*byte]).ok()?;
            }
        } else if !head {
            stream.write_all(&self.body).ok()?;
        }
        stream.flush().ok()
    }
}

/// Sends a list until nobody listens any more.
pub fn endless(stream: &mut TcpStream) -> Option<()> {
    stream
        .write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n[")
        .ok()?;
    let entries = r#"{"type": "file", "path": "a", "size": 1, "oid": "0"},"#.repeat(1000);
    while stream.write_all(entries.as_bytes()).is_ok() {}
    None
}
