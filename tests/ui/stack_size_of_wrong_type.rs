const SIZE: u32 = 1 << 20;

#[runnext::main(stackful, stack_size = SIZE)]
fn main() {}
