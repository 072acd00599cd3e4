#[runnext::main(crate = "::nowhere::runnext")]
async fn main() {}
