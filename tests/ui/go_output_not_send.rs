use std::rc::Rc;

#[runnext::main]
async fn main() {
    let task = runnext::go(|| Rc::new(1));
    drop(task);
}
