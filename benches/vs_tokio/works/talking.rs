//! Works in which tasks wake each other, through channels and a lock.
//!
//! The channels and the lock are tokio's for both runtimes. One thing differs on its own: tokio's workers give each
//! poll a budget of channel operations, after which the channel makes the task yield.

use std::array;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{ENDS, in_task, join_in_order, timed};
use crate::rivals::Rival;

/// `pairs` tasks at once; each spawns a partner, sends it a ping and waits for the pong, over a oneshot each way. Four
/// such crowds, one after the other.
pub(crate) fn oneshot_pairs<R: Rival>(runtime: &R::Runtime, pairs: usize) -> Duration {
    async fn pair<R: Rival>(number: usize) {
        let (ping, pinged) = oneshot::channel();
        let (pong, ponged) = oneshot::channel();
        drop(R::spawn(async move {
            let number: usize = pinged.await.expect(ENDS);
            pong.send(number).expect(ENDS);
        }));
        ping.send(number).expect(ENDS);
        assert_eq!(ponged.await, Ok(number));
    }

    in_task::<R>(runtime, async move {
        let crowds: [_; 4] = array::from_fn(|_| Vec::with_capacity(pairs));
        timed(async {
            for mut handles in crowds {
                handles.extend((0..pairs).map(|number| R::spawn(pair::<R>(number))));
                join_in_order::<R>(handles).await;
            }
        })
        .await
    })
}

/// Two tasks pass a number to and fro `rounds` times, over a channel of one place each way.
pub(crate) fn mpsc_ping_pong<R: Rival>(runtime: &R::Runtime, rounds: usize) -> Duration {
    in_task::<R>(
        runtime,
        timed(async move {
            let (ping, mut pings) = mpsc::channel(1);
            let (pong, mut pongs) = mpsc::channel(1);
            let partner = R::spawn(async move {
                while let Some(number) = pings.recv().await {
                    pong.send(number).await.expect(ENDS);
                }
            });
            for number in 0..rounds {
                ping.send(number).await.expect(ENDS);
                assert_eq!(pongs.recv().await, Some(number));
            }
            drop(ping);
            partner.await.expect(ENDS);
        }),
    )
}

/// 64 tasks send `messages` each into one channel of 16 places; one task takes them all.
pub(crate) fn many_senders<R: Rival>(runtime: &R::Runtime, messages: usize) -> Duration {
    const SENDERS: usize = 64;
    in_task::<R>(
        runtime,
        timed(async move {
            let (sender, mut receiver) = mpsc::channel(16);
            for _ in 0..SENDERS {
                let sender = sender.clone();
                drop(R::spawn(async move {
                    for message in 0..messages {
                        sender.send(message).await.expect(ENDS);
                    }
                }));
            }
            drop(sender);
            let mut received = 0;
            while let Some(message) = receiver.recv().await {
                black_box(message);
                received += 1;
            }
            assert_eq!(received, SENDERS * messages);
        }),
    )
}

/// 100 tasks lock one async mutex `times` times each, to add one to what it guards.
pub(crate) fn one_mutex<R: Rival>(runtime: &R::Runtime, times: usize) -> Duration {
    const TASKS: usize = 100;
    in_task::<R>(runtime, async move {
        let mut handles = Vec::with_capacity(TASKS);
        timed(async {
            let total = Arc::new(Mutex::new(0));
            handles.extend((0..TASKS).map(|_| {
                let total = Arc::clone(&total);
                R::spawn(async move {
                    for _ in 0..times {
                        *total.lock().await += 1;
                    }
                })
            }));
            join_in_order::<R>(handles).await;
            assert_eq!(*total.lock().await, TASKS * times);
        })
        .await
    })
}
