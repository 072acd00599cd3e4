//! Works that mostly yield: what a trip through the scheduler costs a task that is ready again at once.

use std::time::Duration;

use super::{in_task, join_in_order, timed};
use crate::rivals::Rival;

/// 200 tasks yield `times` times each.
pub(crate) fn many_tasks<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    const TASKS: usize = 200;
    in_task::<R>(runtime, async move {
        let mut handles = Vec::with_capacity(TASKS);
        timed(async {
            handles.extend((0..TASKS).map(|_| R::spawn(yield_often::<R>(times))));
            join_in_order::<R>(handles).await;
        })
        .await
    })
}

/// One task yields `times` times while there is nothing else to run.
pub(crate) fn lone_task<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    in_task::<R>(runtime, timed(yield_often::<R>(times)))
}

async fn yield_often<R: Rival>(times: usize) {
    for _ in 0..times {
        R::yield_now().await;
    }
}
