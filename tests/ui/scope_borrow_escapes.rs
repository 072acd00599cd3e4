#[runnext::main(stackful)]
fn main() {
    runnext::stackful::scope(|s| {
        let inside = String::from("gone before the task is");
        s.go(|| println!("{inside}"));
    });
}
