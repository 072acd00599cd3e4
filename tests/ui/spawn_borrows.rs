#[runnext::main]
async fn main() {
    let name = String::from("gopher");
    let task = runnext::spawn(async {
        println!("{name}");
    });
    task.await.unwrap();
}
