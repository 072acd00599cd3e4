#[runnext::main(stackful)]
fn main() {
    let handle = runnext::stackful::scope(|s| s.go(|| 7));
    println!("{:?}", handle.join());
}
