#[runnext::main]
async fn main() {
    println!("before");
    Ok(())
}
