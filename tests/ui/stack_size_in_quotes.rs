#[runnext::main(stackful, stack_size = "64K")]
fn main() {}
