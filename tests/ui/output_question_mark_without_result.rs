#[runnext::main]
async fn main() {
    let number: u8 = "42".parse()?;
    println!("{number}");
}
