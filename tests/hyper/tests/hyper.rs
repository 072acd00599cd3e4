//! hyper, with the runtime in the role that it has for it.

#[path = "../../common/mod.rs"]
mod common;

use common::on_each_flavor;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use runnext::hyper::Executor;
use runnext::task::JoinSet;

/// Answers with what it is sent, the other way round.
async fn reversed(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let mut bytes = request.into_body().collect().await?.to_bytes().to_vec();
    bytes.reverse();
    Ok(Response::new(Full::new(bytes.into())))
}

#[test]
fn many_requests_share_a_connection_of_http_2() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (near, far) = runnext::io::duplex(1_000);
            let server = runnext::spawn(
                hyper::server::conn::http2::Builder::new(Executor::new())
                    .serve_connection(TokioIo::new(far), service_fn(reversed)),
            );
            let (client, connection) =
                hyper::client::conn::http2::handshake(Executor::new(), TokioIo::new(near))
                    .await
                    .unwrap();
            let connection = runnext::spawn(connection);
            let mut requests = JoinSet::new();
            for n in 0..100 {
                let mut client = client.clone();
                requests.spawn(async move {
                    let body = Full::new(Bytes::from(format!("{n} is the number")));
                    let answer = client.send_request(Request::new(body)).await.unwrap();
                    let answer = answer.into_body().collect().await.unwrap().to_bytes();
                    let expected: String = format!("{n} is the number").chars().rev().collect();
                    assert_eq!(answer, expected);
                });
            }
            requests.join_all().await;
            drop(client);
            connection.await.unwrap().unwrap();
            server.await.unwrap().unwrap();
        });
    });
}

#[test]
fn without_a_runtime_it_says_so() {
    use hyper::rt::Executor as _;
    let message = common::panic_of(|| Executor::new().execute(async {}));
    assert!(
        message.contains("there is no runtime on this thread"),
        "{message}"
    );
}

mod by_a_clock_that_is_stopped {
    use super::*;
    use hyper::rt::Timer as _;
    use runnext::hyper::Timer;
    use runnext::runtime::{Builder, Runtime};
    use runnext::time::Instant;
    use std::time::Duration;

    fn stopped() -> Runtime {
        let mut builder = Builder::new_current_thread();
        builder.start_paused(true).build().unwrap()
    }

    #[test]
    fn a_client_that_sends_no_request_is_not_waited_for_any_longer() {
        stopped().block_on(async {
            let (_client, far) = runnext::io::duplex(1_000);
            let start = Instant::now();
            let served = hyper::server::conn::http1::Builder::new()
                .timer(Timer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(far), service_fn(reversed))
                .await;
            assert!(served.unwrap_err().is_timeout());
            assert!(start.elapsed() >= Duration::from_secs(10));
            assert!(start.elapsed() < Duration::from_secs(11));
        });
    }

    #[test]
    fn a_sleep_that_is_reset_ends_when_it_is_told_to() {
        stopped().block_on(async {
            let timer = Timer::new();
            let start = timer.now();
            let mut sleep = timer.sleep(Duration::from_secs(1));
            timer.reset(&mut sleep, start + Duration::from_secs(5));
            sleep.await;
            let took = timer.now() - start;
            assert!(took >= Duration::from_secs(5), "{took:?}");
            timer.sleep_until(start + Duration::from_secs(7)).await;
            let took = timer.now() - start;
            assert!(took >= Duration::from_secs(7), "{took:?}");
            assert!(took < Duration::from_secs(8), "{took:?}");
        });
    }
}
