//! Works for the threads that run blocking closures. The closures do nothing: what is timed is the way there and back.

use std::hint::black_box;
use std::time::Duration;

use super::{ENDS, in_task, join_in_order, timed};
use crate::rivals::Rival;

/// A task hands over `closures` at once, then joins them in order. The warm-up has grown the pool to its size.
pub(crate) fn at_once<R: Rival>(runtime: &R::Runtime, closures: usize) -> Duration {
    in_task::<R>(runtime, async move {
        let mut handles = Vec::with_capacity(closures);
        timed(async {
            handles.extend((0..closures).map(|_| R::spawn_blocking(|| ())));
            join_in_order::<R>(handles).await;
        })
        .await
    })
}

/// A task hands over a closure and awaits it, `times` over.
pub(crate) fn one_at_a_time<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    in_task::<R>(
        runtime,
        timed(async move {
            for time in 0..times {
                black_box(R::spawn_blocking(move || time).await.expect(ENDS));
            }
        }),
    )
}
