//! What hyper 1 asks of a runtime.
//!
//! hyper is given the means to spawn tasks and to wait as it is given a connection: [`Executor`] goes
//! where it asks for a `hyper::rt::Executor`, as the client and the server of HTTP/2 do, and `Timer`,
//! with feature `time`, where it asks for a `hyper::rt::Timer`. Connections themselves are anything with
//! tokio's I/O traits, in the wrapper `TokioIo` of the crate `hyper-util`.
//!
//! ```ignore
//! use hyper::body::Incoming;
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//!
//! # #[cfg(feature = "tokio-io")]
//! # runnext::runtime::Runtime::new().unwrap().block_on(async {
//! # let (client, connection) = runnext::io::duplex(1024);
//! let connection = hyper_util::rt::TokioIo::new(connection);
//! let hello = service_fn(async |_: Request<Incoming>| {
//!     std::io::Result::Ok(Response::new(String::from("hello")))
//! });
//! # drop(client);
//! let served = hyper::server::conn::http2::Builder::new(runnext::hyper::Executor::new())
//!     .serve_connection(connection, hello)
//!     .await;
//! # drop(served);
//! # });
//! ```

#[cfg(feature = "time")]
mod timer;

#[cfg(feature = "time")]
pub use timer::Timer;

/// Spawns what hyper wants to run beside a connection, as tasks of the current runtime.
///
/// # Panics
/// hyper's use of it panics if there is no current runtime.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Executor;

impl Executor {
    /// An executor.
    pub const fn new() -> Executor {
        Executor
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(crate::spawn(future));
    }
}
