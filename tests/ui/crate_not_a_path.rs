#[runnext::main(crate = "my runtime")]
async fn main() {}

#[runnext::test(crate = 1)]
async fn addition() {}
