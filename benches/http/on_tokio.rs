//! The application of `http.sh` on tokio.

mod app;

use hyper_util::rt::{TokioExecutor as Executor, TokioTimer as Timer};
use tokio as rt;

fn main() -> std::io::Result<()> {
    app::main()
}
