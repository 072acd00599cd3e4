#[runnext::main]
async fn main() -> Result<(), std::fmt::Error> {
    println!("before");
    Ok(());
}
