use std::rc::Rc;

#[runnext::main]
async fn main() {
    runnext::spawn(async {
        let count = Rc::new(1);
        runnext::task::yield_now().await;
        println!("{count}");
    });
}
