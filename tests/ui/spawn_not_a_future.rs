#[runnext::main]
async fn main() {
    runnext::task::spawn(|| println!("a closure"));
}
