#[runnext::main]
async fn main() {
    let task = runnext::stackful::Builder::new().migratable().go(|| ());
    task.unwrap().await.unwrap();
}
