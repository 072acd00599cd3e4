#[runnext::test(worker_threads = 4)]
async fn addition() {}

fn main() {}
