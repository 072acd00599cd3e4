#[runnext::main(worker_threads = 100000000000000000000)]
async fn main() {}
