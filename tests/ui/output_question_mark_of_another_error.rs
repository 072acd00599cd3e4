#[runnext::main]
async fn main() -> Result<(), std::fmt::Error> {
    let number: u8 = "42".parse()?;
    println!("{number}");
    Ok(())
}
