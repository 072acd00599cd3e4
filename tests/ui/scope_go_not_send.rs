use std::rc::Rc;

#[runnext::main(stackful)]
fn main() {
    let count = Rc::new(1);
    runnext::stackful::scope(|s| {
        s.go(|| println!("{count}"));
    });
}
