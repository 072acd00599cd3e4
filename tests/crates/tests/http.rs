//! The web server of the examples, from end to end: axum and hyper-util on the runtime's sockets and
//! timers, and hyper's client on the other side.

#[path = "../../common/mod.rs"]
mod common;
#[path = "../../../examples/web.rs"]
#[allow(dead_code)] // Its `main`.
mod web;

use common::on_each_flavor;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use runnext::hyper::Executor;
use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::{TcpListener, TcpStream};
use runnext::sync::oneshot;
use runnext::task::{JoinHandle, JoinSet};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The server, on a port of its own.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// Whether all requests were answered in the end.
    served: JoinHandle<bool>,
}

impl Server {
    async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = runnext::spawn(web::serve(listener, web::application(), async {
            stopped.await.unwrap();
        }));
        Server {
            address,
            stop,
            served,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn client(&self) -> http1::SendRequest<Full<Bytes>> {
        let (client, connection) = http1::handshake(TokioIo::new(self.connect().await))
            .await
            .unwrap();
        runnext::spawn(connection);
        client
    }

    /// Ends it in order.
    async fn stop(self) {
        self.stop.send(()).unwrap();
        assert!(self.served.await.unwrap());
    }
}

fn request(method: Method, path: &str, body: impl ToString) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.into()).unwrap()
}

async fn value(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

#[test]
fn the_page_is_there_and_other_paths_are_not() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            let mut client = server.client().await;
            client.ready().await.unwrap();
            let page = client.send_request(request(Method::GET, "/", "")).await;
            let page = page.unwrap();
            assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
            assert!(text(page).await.starts_with("<!doctype html>"));
            // Over the same connection.
            for (method, path, status) in [
                (Method::GET, "/elsewhere", StatusCode::NOT_FOUND),
                (Method::POST, "/", StatusCode::METHOD_NOT_ALLOWED),
            ] {
                client.ready().await.unwrap();
                let answer = client.send_request(request(method, path, "")).await;
                let answer = answer.unwrap();
                assert_eq!(answer.status(), status);
                text(answer).await;
            }
            server.stop().await;
        });
    });
}

#[test]
fn notes_are_kept_from_one_connection_to_the_next() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            let milk = json!({"id": 1, "text": "buy milk"});

            let mut client = server.client().await;
            let new = request(Method::POST, "/api/notes", json!({"text": "buy milk"}));
            client.ready().await.unwrap();
            let answer = client.send_request(new).await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED);
            assert_eq!(value(answer).await, milk);
            for wrong in ["{", r#"{"text": 1}"#] {
                let wrong = request(Method::POST, "/api/notes", wrong);
                client.ready().await.unwrap();
                let answer = client.send_request(wrong).await.unwrap();
                assert!(answer.status().is_client_error());
                text(answer).await;
            }

            let mut client = server.client().await;
            for (method, path, status, expected) in [
                (Method::GET, "/api/notes", 200, json!([milk])),
                (Method::GET, "/api/notes/1", 200, milk.clone()),
                (Method::GET, "/api/notes/2", 404, Value::Null),
                (Method::DELETE, "/api/notes/1", 204, Value::Null),
                (Method::DELETE, "/api/notes/1", 404, Value::Null),
                (Method::GET, "/api/notes", 200, json!([])),
            ] {
                client.ready().await.unwrap();
                let answer = client.send_request(request(method, path, "")).await;
                let answer = answer.unwrap();
                assert_eq!(answer.status().as_u16(), status, "{path}");
                if expected.is_null() {
                    text(answer).await;
                } else {
                    assert_eq!(value(answer).await, expected);
                }
            }
            server.stop().await;
        });
    });
}

#[test]
fn a_stream_comes_in_pieces() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            let mut client = server.client().await;
            let countdown = request(Method::GET, "/countdown/3", "");
            client.ready().await.unwrap();
            let mut body = client.send_request(countdown).await.unwrap().into_body();
            for expected in ["3\n", "2\n", "1\n", "liftoff\n"] {
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), expected);
            }
            assert!(body.frame().await.is_none());
            server.stop().await;
        });
    });
}

#[test]
fn many_connections_add_to_one_list() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            let mut clients = JoinSet::new();
            for n in 0..50 {
                let mut client = server.client().await;
                clients.spawn(async move {
                    for round in 0..10 {
                        let note = json!({"text": format!("{n}, {round}")});
                        let new = request(Method::POST, "/api/notes", &note);
                        client.ready().await.unwrap();
                        let answer = value(client.send_request(new).await.unwrap()).await;
                        assert_eq!(answer["text"], note["text"]);
                    }
                });
            }
            clients.join_all().await;
            let all = request(Method::GET, "/api/notes", "");
            let all = server.client().await.send_request(all).await.unwrap();
            let all = value(all).await;
            let mut ids: Vec<_> = all.as_array().unwrap().iter().map(|n| &n["id"]).collect();
            ids.sort_by_key(|id| id.as_u64());
            let expected: Vec<_> = (1..=500).map(Value::from).collect();
            assert_eq!(ids, expected.iter().collect::<Vec<_>>());
            server.stop().await;
        });
    });
}

#[test]
fn a_connection_of_http_2_has_many_requests_at_once() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            let stream = TokioIo::new(server.connect().await);
            let (client, connection) =
                http2::handshake::<_, _, Full<Bytes>>(Executor::new(), stream)
                    .await
                    .unwrap();
            let connection = runnext::spawn(connection);
            let mut requests = JoinSet::new();
            for n in 0..50 {
                let mut client = client.clone();
                requests.spawn(async move {
                    let countdown = request(Method::GET, &format!("/countdown/{}", n % 3), "");
                    client.ready().await.unwrap();
                    let answer = client.send_request(countdown).await.unwrap();
                    assert!(text(answer).await.ends_with("liftoff\n"));
                });
            }
            requests.join_all().await;
            // The client has not said that it needs the connection no more.
            server.stop().await;
            drop(client);
            connection.await.unwrap().unwrap();
        });
    });
}

#[test]
fn what_is_no_request_is_answered_and_harms_nobody_else() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            // One is gone before it has said all, one talks of something else.
            let mut gone = server.connect().await;
            gone.write_all(b"POST /api/notes HTTP/1.1\r\n")
                .await
                .unwrap();
            let mut other = server.connect().await;
            other.write_all(b"what is this?\r\n\r\n").await.unwrap();
            drop(gone);
            let mut answer = String::new();
            other.read_to_string(&mut answer).await.unwrap();
            assert!(
                answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
                "{answer}"
            );

            let all = request(Method::GET, "/api/notes", "");
            let all = server.client().await.send_request(all).await.unwrap();
            assert_eq!(value(all).await, json!([]));
            server.stop().await;
        });
    });
}

#[test]
fn requests_that_are_under_way_are_answered_before_the_end() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let server = Server::start().await;
            // Nothing is asked over this one.
            let mut idle = server.connect().await;
            let mut asking = server.connect().await;
            asking
                .write_all(
                    b"POST /api/notes HTTP/1.1\r\nhost: localhost\r\n\
                      content-type: application/json\r\ncontent-length: 15\r\n\
                      expect: 100-continue\r\n\r\n",
                )
                .await
                .unwrap();
            // The server waits for the note from here on.
            let mut go_on = [0; 25];
            asking.read_exact(&mut go_on).await.unwrap();
            assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

            server.stop.send(()).unwrap();
            // It ends those that ask nothing, and refuses new ones.
            assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
            TcpStream::connect(server.address).await.unwrap_err();
            assert!(!server.served.is_finished());

            asking.write_all(br#"{"text":"late"}"#).await.unwrap();
            let mut answer = String::new();
            asking.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
            assert!(server.served.await.unwrap());
        });
    });
}
