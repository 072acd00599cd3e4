#[runnext::main(stackful)]
async fn main() {}
