#[runnext::main(flavour = "multi_thread", worker_threads = 0, crate)]
fn main() {}
