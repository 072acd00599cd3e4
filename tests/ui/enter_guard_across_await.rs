use runnext::runtime::Handle;

#[runnext::main]
async fn main() {
    let handle = Handle::current();
    runnext::spawn(async move {
        let guard = handle.enter();
        runnext::task::yield_now().await;
        drop(guard);
    });
}
