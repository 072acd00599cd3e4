//! Two threads in `block_on` of one runtime that has a single processor.

use runnext::sync::oneshot;
use std::sync::mpsc;
use std::thread;

#[test]
fn what_one_leaves_in_runnext_is_found_by_the_other() {
    let rt = runnext::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (first_holds_p, second_may_begin) = mpsc::channel();
    let (second_polls, first_may_spawn) = mpsc::channel();
    let (first_left, second_may_wait) = mpsc::channel();
    let (tell, told) = oneshot::channel();
    let second = thread::spawn({
        let handle = rt.handle().clone();
        move || {
            second_may_begin.recv().unwrap();
            handle.block_on(async move {
                // In the middle of this poll, without the processor, until the first has left.
                second_polls.send(()).unwrap();
                second_may_wait.recv().unwrap();
                told.await.unwrap()
            })
        }
    });
    rt.block_on(async {
        first_holds_p.send(()).unwrap();
        first_may_spawn.recv().unwrap();
        // It goes to runnext, and the root future ends before it ran.
        drop(runnext::spawn(async move { tell.send(7).unwrap() }));
    });
    first_left.send(()).unwrap();
    assert_eq!(second.join().unwrap(), 7);
}
