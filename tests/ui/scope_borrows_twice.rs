#[runnext::main(stackful)]
fn main() {
    let mut numbers = vec![1, 2, 3];
    runnext::stackful::scope(|s| {
        s.go(|| numbers.push(4));
        s.go(|| numbers.push(5));
    });
}
