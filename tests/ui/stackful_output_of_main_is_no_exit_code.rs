#[runnext::main(stackful)]
fn main() -> u64 {
    42
}
