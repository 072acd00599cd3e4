//! The application, and the loop that serves it, for either runtime: `crate::rt`.

use crate::rt::net::TcpListener;
use crate::rt::runtime::Builder;
use crate::{Executor, Timer, rt};
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use std::{env, io};

/// Serves with as many workers as the first argument says, on a port that is printed, for ever.
pub(crate) fn main() -> io::Result<()> {
    let workers = env::args().nth(1).and_then(|workers| workers.parse().ok());
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers.unwrap_or(2))
        .enable_all()
        .build()?;
    // In a task: tokio's `block_on` is beside its workers.
    let server = runtime.spawn(serve());
    runtime.block_on(server).expect("the server does not panic")
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);

    let application = Router::new()
        .route("/", get(async || "hello"))
        .route("/users/{name}", get(user));
    let service = TowerToHyperService::new(application);
    let mut http = auto::Builder::new(Executor::new());
    http.http1().timer(Timer::new());
    loop {
        let (stream, _peer) = listener.accept().await?;
        let connection = http
            .serve_connection(TokioIo::new(stream), service.clone())
            .into_owned();
        // A client that goes away is its own affair.
        rt::spawn(async move { drop(connection.await) });
    }
}

#[derive(Serialize)]
struct User {
    name: String,
    visits: u64,
}

async fn user(Path(name): Path<String>) -> Json<User> {
    Json(User { name, visits: 1 })
}
