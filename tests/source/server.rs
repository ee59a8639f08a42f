//! An HTTP server on a loopback port that answers each call as it is told, byte by byte if need be. It plays the faults
//! that a real Prometheus can't be asked for; what a real one does is tested against a real one.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A call as it came.
#[derive(Debug, Clone)]
pub struct Call {
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub form: BTreeMap<String, String>,
}

pub enum Reply {
    /// Status, headers, body.
    Http(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// These bytes, then the connection is closed.
    Raw(Vec<u8>),
    /// A good head, then a byte now and then, for ever.
    Drip,
    /// A good head without a length, then blanks until nobody listens.
    Flood,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Reply {
        Reply::Http(200, vec![("content-type", "application/json".into())], body.into())
    }

    pub fn status(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply::Http(status, Vec::new(), body.into())
    }
}

type Script = dyn Fn(&Call) -> Reply + Send + Sync;

pub struct Server {
    pub url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    /// Bytes of floods that somebody took.
    pub flooded: Arc<Mutex<usize>>,
}

impl Server {
    pub fn start(script: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (calls, flooded) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let (seen, taken) = (calls.clone(), flooded.clone());
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, seen, taken) = (script.clone(), seen.clone(), taken.clone());
                // a client that hangs up is part of the play
                thread::spawn(move || serve(stream, &*script, &seen, &taken).ok());
            }
        });
        Server { url, calls, flooded }
    }

    /// One that always says the same.
    pub fn saying(body: &'static str) -> Server {
        Server::start(move |_| Reply::ok(body))
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, script: &Script, seen: &Mutex<Vec<Call>>, taken: &Mutex<usize>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.trim().split_once(':') {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let pairs = reqwest::Url::parse(&format!("http://form/?{}", String::from_utf8_lossy(&body))).unwrap();
    let form = pairs.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
    let call = Call { line: line.trim().to_owned(), headers, form };
    seen.lock().unwrap().push(call.clone());
    match script(&call) {
        Reply::Http(status, headers, body) => {
            write!(stream, "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n", body.len())?;
            for (name, value) in headers {
                write!(stream, "{name}: {value}\r\n")?;
            }
            stream.write_all(b"\r\n")?;
            stream.write_all(&body)?;
        }
        Reply::Raw(bytes) => stream.write_all(&bytes)?,
        Reply::Drip => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            for _ in 0..200 {
                stream.write_all(b" ")?;
                thread::sleep(Duration::from_millis(50));
            }
        }
        Reply::Flood => {
            static BLOCK: [u8; 65_536] = [b' '; 65_536];
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")?;
            for _ in 0..1600 {
                stream.write_all(&BLOCK)?;
                *taken.lock().unwrap() += BLOCK.len();
            }
        }
    }
    stream.flush()
}
