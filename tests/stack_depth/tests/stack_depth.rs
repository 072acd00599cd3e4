//! How much stack common work takes, so that the usual stack has room for twice as much.
//!
//! ```text
//! cargo test --test stack_depth -- --nocapture
//! cargo test --release --test stack_depth -- --nocapture
//! ```
//!
//! prints a table. Each work is done by a stackful task of its own, on a stack that is much larger
//! than the usual one; when it is done and the task waits, the kernel says which pages of that stack
//! were touched. So the figures are whole pages, from the top of the stack to the lowest of them.
//! Code that is not optimised takes several times the stack of optimised code.
#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use runnext::stackful::{self, remaining_stack};
use runnext::sync::oneshot;
use runnext::wait;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use std::collections::HashMap;
use std::env;
use std::fs::File;
use std::hint::black_box;
use std::net::ToSocketAddrs;
use std::os::unix::fs::FileExt;
use std::panic::catch_unwind;
use std::process::Command;
use std::sync::Arc;

/// The stack of a measured task: more than any of the works needs.
const SIZE: usize = 4 << 20;
/// The usual size of a stack, which is what all this is about.
const USUAL: usize = 128 << 10;
/// Bytes of a page of memory, or a divisor of that.
const PAGE: usize = 4096;

/// Works that any task may do without a thought: they have to fit into half of the usual stack.
const COMMON: &[(&str, fn())] = &[
    ("nothing", nothing),
    ("format a nested value", format),
    ("sort strings, fill a map", collections),
    ("read a file", file),
    ("look up localhost", lookup),
    ("blocking", blocking),
    ("panic, with a full backtrace", panics),
    ("serde_json, 16 levels", || json(16)),
    ("TLS handshake, both sides", handshake),
];

/// Works that need a larger one.
const DEEP: &[(&str, fn())] = &[
    ("TLS with its configuration", || {
        let (client, server) = both_sides();
        shake_hands(client, server);
    }),
    ("serde_json, 127 levels, its limit", || json(127)),
];

#[test]
fn of_common_work_is_at_most_half_of_the_usual_stack() {
    // How the panic is printed is decided once in a process, by its environment.
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "in_a_child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{complained}");
    assert!(
        complained.contains("stack backtrace:") && complained.contains("stack_depth::panics"),
        "no full backtrace: {complained}"
    );
    for (name, _) in COMMON.iter().chain(DEEP) {
        let row = said.lines().find(|line| line.contains(name));
        println!(
            "{}",
            row.unwrap_or_else(|| panic!("{name} is missing in: {said}"))
        );
    }
}

#[test]
#[ignore = "is run by the other one"]
fn in_a_child() {
    for (name, work) in COMMON {
        let depth = depth(*work);
        println!("{:>8}  {name}", depth);
        assert!(
            depth <= USUAL / 2,
            "{name} needs {depth} bytes of stack, more than half of the usual one"
        );
    }
    for (name, work) in DEEP {
        println!("{:>8}  {name}", depth(*work));
    }
}

/// How many bytes of its stack a task touches that does `work`.
fn depth(work: fn()) -> usize {
    // Stacks are used again, and what was touched once stays so for a while: each has its runtime.
    let mut builder = runnext::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).build().unwrap();
    let (done, is_done) = oneshot::channel();
    let (seen, is_seen) = oneshot::channel::<()>();
    let task = stackful::Builder::new().stack_size(SIZE).go_on(
        move || {
            let limit = limit();
            work();
            done.send(limit).unwrap();
            wait(is_seen).unwrap();
        },
        runtime.handle(),
    );
    let limit = runtime.block_on(is_done).expect("the work does not panic");
    let free = untouched(limit, SIZE);
    seen.send(()).unwrap();
    runtime.block_on(task.unwrap()).unwrap();
    SIZE - free
}

/// The lowest address of the stack of this task.
fn limit() -> usize {
    // What both functions have in their frames is a part of a page.
    let here = 0u8;
    let limit = (&raw const here).addr() - remaining_stack().unwrap();
    limit.next_multiple_of(PAGE) - PAGE
}

/// How many of the `len` bytes from `from` on were never touched, before the first that was.
fn untouched(from: usize, len: usize) -> usize {
    // One word for each page; its highest two bits say that there is one, in memory or swapped out.
    let pages = File::open("/proc/self/pagemap").unwrap();
    let mut word = [0; 8];
    let is_there = |page: usize, word: &mut [u8; 8]| {
        pages.read_exact_at(word, (page * 8) as u64).unwrap();
        u64::from_ne_bytes(*word) >> 62 != 0
    };
    let first = (from / PAGE..(from + len) / PAGE).find(|page| is_there(*page, &mut word));
    first.expect("the task has run on it") * PAGE - from
}

// ---- The works ------------------------------------------------------------------------------

fn nothing() {}

fn format() {
    #[derive(Debug)]
    #[expect(dead_code)] // It is printed.
    struct Node {
        name: &'static str,
        weight: f64,
        below: Vec<Node>,
    }
    let mut node = Node {
        name: "leaf",
        weight: 1.0 / 3.0,
        below: Vec::new(),
    };
    for _ in 0..8 {
        node = Node {
            name: "branch",
            weight: 2e300,
            below: vec![node],
        };
    }
    println!("{:?}", black_box(format!("{node:#?}{:.3}", 0.1)).len());
}

fn collections() {
    let mut words: Vec<String> = (0..10_000u64).map(|n| (n * n % 9973).to_string()).collect();
    words.sort();
    let mut counts = HashMap::new();
    for word in words {
        *counts.entry(word).or_insert(0) += 1;
    }
    black_box(counts);
}

fn file() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert!(text.unwrap().contains("[package]"));
}

fn lookup() {
    // Without a resolver it fails, which takes as much.
    let _ = black_box(("localhost", 80).to_socket_addrs().map(Iterator::count));
}

fn blocking() {
    assert_eq!(stackful::blocking(|| 1), 1);
}

fn panics() {
    let caught = catch_unwind(|| panic!("on purpose"));
    assert!(caught.is_err());
}

/// Writes and reads a value of so many arrays and objects in one another.
fn json(levels: usize) {
    let mut value = serde_json::json!({ "name": "leaf", "weight": 0.5, "tags": [] });
    for level in 2..levels {
        value = match level % 2 {
            0 => serde_json::json!([value]),
            _ => serde_json::json!({ "below": value }),
        };
    }
    let text = serde_json::to_string_pretty(&value).unwrap();
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read, value);
}

fn handshake() {
    // Elsewhere, since it is not what is measured.
    let (client, server) = stackful::blocking(both_sides);
    shake_hands(client, server);
}

/// A client, and a server with a certificate that it trusts.
fn both_sides() -> (ClientConnection, ServerConnection) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(client), name).unwrap();
    let server = ServerConnection::new(Arc::new(server)).unwrap();
    (client, server)
}

fn shake_hands(mut client: ClientConnection, mut server: ServerConnection) {
    while client.is_handshaking() || server.is_handshaking() {
        let mut there = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut there).unwrap();
        }
        read_all(&there, |bytes| server.read_tls(bytes).unwrap());
        server.process_new_packets().unwrap();
        let mut back = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut back).unwrap();
        }
        read_all(&back, |bytes| client.read_tls(bytes).unwrap());
        client.process_new_packets().unwrap();
    }
    assert_eq!(
        client.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
}

fn read_all(mut bytes: &[u8], mut read: impl FnMut(&mut &[u8]) -> usize) {
    while !bytes.is_empty() {
        read(&mut bytes);
    }
}
