use std::rc::Rc;

#[runnext::main]
async fn main() {
    let count = Rc::new(1);
    runnext::go(move || println!("{count}"));
}
