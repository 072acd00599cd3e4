#[runnext::main(stackful = true)]
fn main() {}
