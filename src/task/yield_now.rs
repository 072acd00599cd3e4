use std::future::poll_fn;
use std::task::Poll;

/// Lets other tasks run before this one goes on.
///
/// The task is made runnable again at once, at the *tail* of the run queue, and gives up its turn:
/// everything that was runnable before it is polled first. Nothing else has to wake it.
///
/// Code that only wants to be polite inside a long computation is better served by
/// [`coop::consume_budget`], which gives up the turn once in 128 calls instead of every time.
///
/// # What it does not promise
///
/// Only the future that contains the call gives up its turn. A combinator above it may go on
/// polling its other branches in the same poll: when another branch of a `select!` is ready, the
/// scheduler never hears of the yield. Nor is the order of the other tasks a promise: a program
/// has to be right in whatever order its tasks are polled.
///
/// # Cancel safety
///
/// Dropping the future after it gave up the turn and before it completed leaves one wake-up
/// behind, which polls the task once without need. Nothing is lost.
///
/// # Examples
///
/// ```
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// use runnext::task::yield_now;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// let done = Arc::new(AtomicBool::new(false));
/// let flag = Arc::clone(&done);
/// runnext::spawn(async move { flag.store(true, Ordering::Relaxed) });
///
/// // On one thread the other task cannot run unless this one lets it.
/// while !done.load(Ordering::Relaxed) {
///     yield_now().await;
/// }
/// # }
/// ```
///
/// [`coop::consume_budget`]: crate::task::coop::consume_budget
pub async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        // Woken while it runs, the task goes to the tail when this poll ends, never to the
        // runnext slot.
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
