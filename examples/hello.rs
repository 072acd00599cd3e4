//! The smallest program: one G, spawned and awaited.
//!
//! ```text
//! $ cargo run --release --example hello
//! hello from a G
//! ```

#[runnext::main]
async fn main() {
    let g = runnext::spawn(async { "hello from a G" });
    println!("{}", g.await.expect("the G does not panic"));
}
