#[runnext::main]
async fn main(arguments: Vec<String>) -> Result<(), std::num::ParseIntError> {
    let number: u8 = arguments[1].parse()?;
    println!("{number}");
    Ok(())
}
