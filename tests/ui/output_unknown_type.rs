#[runnext::main]
async fn main() -> Unheard {
    println!("before");
}
