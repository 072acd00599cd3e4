#[runnext::main]
fn main() {}
