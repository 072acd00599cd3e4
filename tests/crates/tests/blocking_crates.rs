//! Crates that know nothing of runnext, and read and write in blocking style, in stackful tasks.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

#[path = "../../common/mod.rs"]
mod common;

use common::on_each_flavor;
use runnext::net::{TcpListener, TcpStream};
use runnext::task::JoinHandle;
use runnext::{go, wait};
use std::io::{self, BufReader, Read, Write};
use std::net::SocketAddr;

/// How many clients there are at once.
const CLIENTS: usize = 20;

/// Serves `connections` connections in tasks of their own. Returns the address, and what `serve` returned,
/// in the order in which the connections were accepted.
fn listen<T: Send + 'static>(
    connections: usize,
    serve: impl Fn(TcpStream) -> T + Clone + Send + 'static,
) -> (SocketAddr, JoinHandle<Vec<T>>) {
    let listener = wait(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let served = go(move || {
        let serving: Vec<_> = (0..connections)
            .map(|_| {
                let (stream, _) = wait(listener.accept()).unwrap();
                let serve = serve.clone();
                go(move || serve(stream))
            })
            .collect();
        serving.into_iter().map(|s| wait(s).unwrap()).collect()
    });
    (address, served)
}

fn connect(address: SocketAddr) -> TcpStream {
    wait(TcpStream::connect(address)).unwrap()
}

/// Runs `test` in a stackful task of each kind of runtime.
fn in_a_task(test: impl Fn() + Clone + Send + 'static) {
    on_each_flavor(|rt| rt.block_on(rt.handle().go(test.clone())).unwrap());
}

/// Runs `client` in many tasks at once.
fn many(client: impl Fn(usize) + Clone + Send + 'static) {
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let client = client.clone();
            go(move || client(n))
        })
        .collect();
    for client in clients {
        wait(client).unwrap();
    }
}

/// Bytes that are different for each `n`.
fn bytes(n: usize, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251 + n) as u8).collect()
}

mod with_rustls {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    };
    use std::sync::Arc;

    /// Two sides that trust each other, for `localhost`.
    fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = certified.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from(key))
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }

    fn server(
        config: Arc<ServerConfig>,
        stream: TcpStream,
    ) -> StreamOwned<ServerConnection, TcpStream> {
        StreamOwned::new(ServerConnection::new(config).unwrap(), stream)
    }

    fn client(
        config: Arc<ClientConfig>,
        stream: TcpStream,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(config, name).unwrap(), stream)
    }

    #[test]
    fn both_sides_of_tls_wait_in_their_tasks() {
        in_a_task(|| {
            let (for_server, for_client) = configs();
            let (address, served) = listen(CLIENTS, move |stream| {
                let mut tls = server(for_server.clone(), stream);
                // More than a socket holds at once, so both sides wait for each other.
                let mut received = Vec::new();
                let mut length = [0; 4];
                tls.read_exact(&mut length).unwrap();
                let length = u32::from_be_bytes(length);
                (&mut tls)
                    .take(length.into())
                    .read_to_end(&mut received)
                    .unwrap();
                tls.write_all(&received).unwrap();
                tls.conn.send_close_notify();
                tls.flush().unwrap();
            });
            many(move |n| {
                let mut tls = client(for_client.clone(), connect(address));
                let sent = bytes(n, 1 << 20);
                let length = u32::try_from(sent.len()).unwrap();
                tls.write_all(&length.to_be_bytes()).unwrap();
                tls.write_all(&sent).unwrap();
                tls.flush().unwrap();
                let mut received = Vec::new();
                tls.read_to_end(&mut received).unwrap();
                assert!(received == sent);
            });
            wait(served).unwrap();
        });
    }

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_an_error_on_both_sides() {
        in_a_task(|| {
            let ((for_server, _), (_, for_client)) = (configs(), configs());
            let (address, served) = listen(1, move |stream| {
                server(for_server.clone(), stream)
                    .read(&mut [0])
                    .unwrap_err()
            });
            let error = client(for_client, connect(address))
                .write(b"x")
                .unwrap_err();
            assert!(
                error.to_string().contains("invalid peer certificate"),
                "{error}"
            );
            let error = wait(served).unwrap().pop().unwrap();
            assert!(error.to_string().contains("fatal alert"), "{error}");
        });
    }

    #[test]
    fn a_peer_that_leaves_during_the_handshake_is_an_error() {
        in_a_task(|| {
            let (for_server, _) = configs();
            let (address, served) = listen(1, move |stream| {
                server(for_server.clone(), stream)
                    .read(&mut [0])
                    .unwrap_err()
            });
            // The header of a record that never comes.
            connect(address).write_all(&[22, 3, 1, 2, 0]).unwrap();
            let error = wait(served).unwrap().pop().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}

mod with_tungstenite {
    use super::*;
    use tungstenite::{Message, WebSocket};

    fn open(address: SocketAddr) -> WebSocket<TcpStream> {
        let (socket, response) =
            tungstenite::client("ws://localhost/echo", connect(address)).unwrap();
        assert_eq!(response.status().as_u16(), 101);
        socket
    }

    /// Sends each message back, until the client closes. Returns how many there were.
    fn echo(stream: TcpStream) -> usize {
        let mut socket = tungstenite::accept(stream).unwrap();
        let mut messages = 0;
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                    socket.send(message).unwrap();
                    messages += 1;
                }
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return messages,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn both_sides_of_a_web_socket_wait_in_their_tasks() {
        in_a_task(|| {
            let (address, served) = listen(CLIENTS, echo);
            many(move |n| {
                let mut socket = open(address);
                for round in 0..10 {
                    let text = Message::text(format!("{n}, {round}"));
                    socket.send(text.clone()).unwrap();
                    assert_eq!(socket.read().unwrap(), text);
                }
                let large = Message::binary(bytes(n, 300_000));
                socket.send(large.clone()).unwrap();
                assert!(socket.read().unwrap() == large);

                socket.close(None).unwrap();
                let end = loop {
                    match socket.read() {
                        Ok(message) => assert!(message.is_close()),
                        Err(error) => break error,
                    }
                };
                assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
            });
            assert_eq!(wait(served).unwrap(), [11; CLIENTS]);
        });
    }

    #[test]
    fn what_is_no_handshake_is_an_error() {
        in_a_task(|| {
            let (address, served) = listen(1, |stream| tungstenite::accept(stream).is_err());
            connect(address)
                .write_all(b"GET / HTTP/1.1\r\n\r\n")
                .unwrap();
            assert_eq!(wait(served).unwrap(), [true]);
        });
    }
}

mod with_httparse {
    use super::*;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Bytes;
    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;

    /// A server of HTTP/1: answers each request with its method, its path and its body, until the client
    /// sends no more. Returns how many requests there were.
    fn serve(mut stream: TcpStream) -> io::Result<usize> {
        let mut received = Vec::new();
        for requests in 0.. {
            let Some((head, length, start)) = read_head(&mut stream, &mut received)? else {
                return Ok(requests);
            };
            while received.len() < head + length {
                if read_more(&mut stream, &mut received)? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let rest = received.split_off(head + length);
            let body = &received[head..];
            write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{start}",
                start.len() + length,
            )?;
            stream.write_all(body)?;
            received = rest;
        }
        unreachable!()
    }

    /// Reads until there is a head. Returns its length, that of the body, and the answer's first line.
    fn read_head(
        stream: &mut TcpStream,
        received: &mut Vec<u8>,
    ) -> io::Result<Option<(usize, usize, String)>> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            let parsed = request.parse(received);
            let parsed = parsed.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            if let httparse::Status::Complete(head) = parsed {
                let (method, path) = (request.method.unwrap(), request.path.unwrap());
                let start = format!("{method} {path}\n");
                let length = request
                    .headers
                    .iter()
                    .find(|header| header.name.eq_ignore_ascii_case("content-length"))
                    .map_or(0, |header| {
                        str::from_utf8(header.value).unwrap().parse().unwrap()
                    });
                return Ok(Some((head, length, start)));
            }
            if read_more(stream, received)? == 0 {
                return if received.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    fn read_more(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes)?;
        received.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    /// Tasks of both kinds, on the two sides of a connection.
    #[test]
    fn a_server_in_blocking_style_answers_clients_that_are_async() {
        in_a_task(|| {
            let (address, served) = listen(CLIENTS, serve);
            let clients: Vec<_> = (0..CLIENTS)
                .map(|n| {
                    runnext::spawn(async move {
                        let stream = TcpStream::connect(address).await.unwrap();
                        let (mut client, connection) =
                            http1::handshake(TokioIo::new(stream)).await.unwrap();
                        let connection = runnext::spawn(connection);
                        for round in 0..10 {
                            let body = bytes(n + round, 10_000 * round);
                            let request = hyper::Request::post(format!("/{n}/{round}"))
                                .body(Full::<Bytes>::from(body.clone()))
                                .unwrap();
                            client.ready().await.unwrap();
                            let answer = client.send_request(request).await.unwrap();
                            let answer = answer.into_body().collect().await.unwrap().to_bytes();
                            let mut expected = format!("POST /{n}/{round}\n").into_bytes();
                            expected.extend(body);
                            assert!(answer == expected);
                        }
                        drop(client);
                        connection.await.unwrap().unwrap();
                    })
                })
                .collect();
            for client in clients {
                wait(client).unwrap();
            }
            let served: io::Result<Vec<_>> = wait(served).unwrap().into_iter().collect();
            assert_eq!(served.unwrap(), [10; CLIENTS]);
        });
    }

    #[test]
    fn requests_that_come_at_once_or_byte_by_byte_are_told_apart() {
        in_a_task(|| {
            let (address, served) = listen(1, serve);
            let mut client = connect(address);
            let requests = b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
            client.write_all(requests).unwrap();
            for byte in b"POST /3 HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody" {
                client.write_all(&[*byte]).unwrap();
            }
            let mut answers = BufReader::new(client);
            for (expected, body) in [("GET /1", ""), ("GET /2", ""), ("POST /3", "body")] {
                let length = expected.len() + 1 + body.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                let mut lines = head + expected + "\n";
                lines.push_str(body);
                let mut answer = vec![0; lines.len()];
                answers.read_exact(&mut answer).unwrap();
                assert_eq!(String::from_utf8(answer).unwrap(), lines);
            }
            // The client leaves; the server has had three.
            assert!(answers.buffer().is_empty());
            drop(answers);
            assert_eq!(wait(served).unwrap().pop().unwrap().unwrap(), 3);
        });
    }

    #[test]
    fn a_client_that_leaves_in_the_middle_of_a_request_is_an_error() {
        in_a_task(|| {
            for (sent, kind) in [
                (&b"GET / HTTP"[..], io::ErrorKind::UnexpectedEof),
                (
                    b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbod",
                    io::ErrorKind::UnexpectedEof,
                ),
                (b"\0\r\n\r\n", io::ErrorKind::InvalidData),
            ] {
                let (address, served) = listen(1, serve);
                connect(address).write_all(sent).unwrap();
                let error = wait(served).unwrap().pop().unwrap().unwrap_err();
                assert_eq!(error.kind(), kind);
            }
        });
    }
}
