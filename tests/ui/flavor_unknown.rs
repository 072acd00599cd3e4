#[runnext::main(flavor = "threaded")]
async fn main() {}

#[runnext::test(flavor = "local")]
async fn addition() {}
