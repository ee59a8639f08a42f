//! SIGTERM ends the program with exit code 0, also while the API server accepts connections and never answers.
#![cfg(feature = "daemon")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may fail")]

use forescale::clock::Deadline;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The promise is 5 s; a busy machine is given more, but less than any call's own timeout would take.
const ENDS_WITHIN: Duration = Duration::from_secs(9);

/// An API server that answers /version and nothing else, if it answers at all. Gives its port, and the path of each request.
fn hanging(answers_version: bool) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let seen = seen.clone();
            std::thread::spawn(move || serve(stream.unwrap(), answers_version, &seen));
        }
    });
    (port, requests)
}

fn serve(stream: TcpStream, answers_version: bool, seen: &mpsc::Sender<String>) {
    const VERSION: &str = r#"{"major":"1","minor":"33","gitVersion":"v1.33.0","gitCommit":"","gitTreeState":"",
        "buildDate":"","goVersion":"","compiler":"","platform":""}"#;
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut line = String::from("x");
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let version = path == "/version";
        let _ = seen.send(path);
        if version && answers_version {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                VERSION.len()
            );
            (&stream).write_all((head + VERSION).as_bytes()).unwrap();
        }
    }
}

fn start(port: u16, dir: &std::path::Path) -> Child {
    let kubeconfig = dir.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
         users: [{{name: u, user: {{token: t}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
    );
    std::fs::write(&kubeconfig, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_forescale"))
        .args(["run", "--mode", "act", "--set", "server.listen=127.0.0.1:0", "--set", "sources.main.kind=prometheus"])
        .args(["--set", &format!("sources.main.url=http://127.0.0.1:{port}")])
        .env("KUBECONFIG", kubeconfig)
        .env_remove("HTTP_PROXY")
        .env_remove("http_proxy")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn ends(mut program: Child) {
    let deadline = Deadline::after(ENDS_WITHIN);
    assert!(Command::new("kill").args(["-TERM", &program.id().to_string()]).status().unwrap().success());
    loop {
        if let Some(status) = program.try_wait().unwrap() {
            assert_eq!(status.code(), Some(0));
            return;
        }
        if deadline.passed() {
            program.kill().unwrap();
            panic!("still there after {ENDS_WITHIN:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until(requests: &mpsc::Receiver<String>, wanted: &str) {
    while !requests.recv_timeout(Duration::from_secs(120)).unwrap().contains(wanted) {}
}

#[test]
fn before_the_api_server_has_answered() {
    let dir = tempfile::tempdir().unwrap();
    let (port, requests) = hanging(false);
    let program = start(port, dir.path());
    until(&requests, "/version");
    ends(program);
}

#[test]
fn while_lease_and_watches_hang() {
    let dir = tempfile::tempdir().unwrap();
    let (port, requests) = hanging(true);
    let program = start(port, dir.path());
    until(&requests, "/leases/");
    ends(program);
}
