//! The application of `http.sh` on runnext.

mod app;

use runnext as rt;
use runnext::hyper::{Executor, Timer};

fn main() -> std::io::Result<()> {
    app::main()
}
