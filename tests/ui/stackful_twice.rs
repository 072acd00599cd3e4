#[runnext::main(stackful, stackful)]
fn main() {}
