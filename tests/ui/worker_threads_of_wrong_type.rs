#[runnext::main(worker_threads = 4u32)]
async fn main() {}
