use std::rc::Rc;

#[runnext::main(stackful)]
fn shared() -> Rc<u32> {
    Rc::new(runnext::wait(async { 1 }))
}

fn main() {
    drop(shared());
}
