async fn greet(name: &str) {
    let task = runnext::spawn(async move {
        println!("{name}");
    });
    task.await.unwrap();
}

#[runnext::main]
async fn main() {
    greet("gopher").await;
}
