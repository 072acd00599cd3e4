//! A web server: an axum application, served by hyper-util on runnext.
//!
//! It has a page, an API of JSON over shared state, and an answer that is sent piece by piece. Ctrl-C
//! ends it in order: no connection is accepted any more, and requests that are under way get their
//! answers first.
//!
//! ```text
//! $ cargo run --release --example web
//! listening on http://127.0.0.1:40613
//! ```
//!
//! Any free port is taken, unless an address is given: `-- 0.0.0.0:8080`. Open it in a browser, or from
//! another shell, with the port that was printed:
//!
//! ```text
//! $ curl -d '{"text": "buy milk"}' -H 'content-type: application/json' localhost:40613/api/notes
//! {"id":1,"text":"buy milk"}
//! $ curl localhost:40613/api/notes
//! [{"id":1,"text":"buy milk"}]
//! $ curl -N localhost:40613/countdown/3
//! 3
//! 2
//! 1
//! liftoff
//! ```

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};
use futures::stream;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use runnext::hyper::{Executor, Timer};
use runnext::net::TcpListener;
use runnext::time::{Duration, sleep, timeout};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::env;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

#[runnext::main]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("listening on http://{}", listener.local_addr()?);

    let ctrl_c = async {
        if let Err(error) = runnext::signal::ctrl_c().await {
            eprintln!("cannot wait for ctrl-C: {error}");
            std::future::pending::<()>().await;
        }
    };
    if serve(listener, application(), ctrl_c).await {
        println!("all requests are answered");
    } else {
        println!("some requests took too long");
    }
    Ok(())
}

// ---- Serving -----------------------------------------------------------------------------

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);
/// How long requests that are under way have to end after `until`.
const GRACE: Duration = Duration::from_secs(10);

/// Serves `application` on every connection to `listener`, over HTTP/1 or HTTP/2, with a task for each,
/// until `until` is done and the requests of that moment are answered. False if they took too long.
pub(crate) async fn serve(
    listener: TcpListener,
    application: Router,
    until: impl Future<Output = ()>,
) -> bool {
    let mut http = auto::Builder::new(Executor::new());
    http.http1().timer(Timer::new()).header_read_timeout(HEAD);
    http.http2().timer(Timer::new());
    let service = TowerToHyperService::new(application);
    let connections = GracefulShutdown::new();

    let mut until = pin!(until);
    loop {
        let accepted = runnext::select! {
            accepted = listener.accept() => accepted,
            () = &mut until => break,
        };
        let stream = match accepted {
            Ok((stream, _peer)) => stream,
            // Descriptors may be used up, and some may be closed in a while.
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let connection = http
            .serve_connection(TokioIo::new(stream), service.clone())
            .into_owned();
        let connection = connections.watch(connection);
        runnext::spawn(async move {
            if let Err(error) = connection.await {
                eprintln!("a connection ended: {error}");
            }
        });
    }

    // Whoever connects from here on is refused, rather than left waiting.
    drop(listener);
    timeout(GRACE, connections.shutdown()).await.is_ok()
}

// ---- The application ---------------------------------------------------------------------

/// The page, the API and the stream, with notes of their own.
pub(crate) fn application() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/notes", get(notes).post(add))
        .route("/api/notes/{id}", get(note).delete(remove))
        .route("/countdown/{from}", get(countdown))
        .with_state(Notes::default())
}

async fn page() -> Html<&'static str> {
    Html(include_str!("web/page.html"))
}

/// What all requests share.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    notes: Vec<Note>,
    last_id: u64,
}

#[derive(Clone, Serialize)]
struct Note {
    id: u64,
    text: String,
}

/// A note as it is sent to be kept.
#[derive(Deserialize)]
struct NewNote {
    text: String,
}

impl Notes {
    /// Held for a moment only, and not while anything is awaited: a lock of std will do.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("nobody panics with the notes")
    }
}

async fn notes(State(notes): State<Notes>) -> Json<Vec<Note>> {
    Json(notes.lock().notes.clone())
}

async fn add(
    State(notes): State<Notes>,
    Json(NewNote { text }): Json<NewNote>,
) -> (StatusCode, Json<Note>) {
    let mut kept = notes.lock();
    kept.last_id += 1;
    let note = Note {
        id: kept.last_id,
        text,
    };
    kept.notes.push(note.clone());
    (StatusCode::CREATED, Json(note))
}

async fn note(State(notes): State<Notes>, Path(id): Path<u64>) -> Result<Json<Note>, StatusCode> {
    let kept = notes.lock();
    let note = kept.notes.iter().find(|note| note.id == id);
    note.cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn remove(State(notes): State<Notes>, Path(id): Path<u64>) -> StatusCode {
    let mut kept = notes.lock();
    let before = kept.notes.len();
    kept.notes.retain(|note| note.id != id);
    if kept.notes.len() < before {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

/// A line at a time, each sent as it is made; the last one without a wait.
async fn countdown(Path(from): Path<u8>) -> impl IntoResponse {
    let lines = stream::unfold(Some(from), |left| async move {
        match left? {
            0 => Some(("liftoff\n".to_owned(), None)),
            left => {
                let line = format!("{left}\n");
                sleep(Duration::from_millis(100)).await;
                Some((line, Some(left - 1)))
            }
        }
    });
    Body::from_stream(futures::StreamExt::map(lines, Ok::<_, Infallible>))
}
