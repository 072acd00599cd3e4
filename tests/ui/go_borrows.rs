#[runnext::main]
async fn main() {
    let name = String::from("gopher");
    let task = runnext::go(|| println!("{name}"));
    task.await.unwrap();
}
