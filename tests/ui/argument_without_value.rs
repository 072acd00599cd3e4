#[runnext::main(worker_threads)]
async fn main() {}

#[runnext::test(flavor =, crate = "runnext")]
async fn addition() {}
