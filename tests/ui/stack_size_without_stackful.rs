#[runnext::main(stack_size = 1 << 20)]
async fn main() {}
