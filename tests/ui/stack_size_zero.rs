#[runnext::main(stackful, stack_size = 0)]
fn main() {}
