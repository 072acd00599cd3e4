//! A connection that cannot be accepted, as there are no descriptors left, keeps nobody busy who does
//! not ask for it, and who does ask again and again keeps nobody else from running.
#![cfg(all(feature = "net", feature = "time", target_os = "linux"))]

mod common;
#[path = "common/exhausted.rs"]
mod exhausted;
#[path = "common/threads.rs"]
mod threads;

use exhausted::{EMFILE, assert_exhausted, limit, take_all};
use futures::channel::oneshot;
use runnext::net::{TcpListener, TcpStream};
use runnext::runtime::{Builder, Runtime};
use runnext::task::yield_now;
use runnext::time::{sleep, timeout};
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use threads::{Threads, threads};

/// How long nothing may happen.
const WINDOW: Duration = Duration::from_millis(300);

const FAR: Duration = Duration::from_secs(3600);

/// Calls `test` with a fresh runtime of each kind, whose threads have that name.
fn on_each_flavor(test: impl Fn(Runtime, &str)) {
    for (name, workers) in [("accepts", 0), ("accepts-by-one", 1), ("accepts-by-two", 2)] {
        let mut builder = match workers {
            0 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        builder.worker_threads(workers.max(1));
        builder.thread_name(name).thread_keep_alive(Duration::ZERO);
        test(builder.build().unwrap(), name);
    }
}

/// A listener, and somebody who wants to be accepted.
async fn besieged() -> (TcpListener, std::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, client)
}

fn assert_accepted(accepted: io::Result<(TcpStream, SocketAddr)>, client: &std::net::TcpStream) {
    assert_eq!(accepted.unwrap().1, client.local_addr().unwrap());
}

/// What the threads have done, by two descriptors that are lent for as long as it takes to see that.
fn look(name: &str, taken: &mut Vec<File>) -> Threads {
    taken.truncate(taken.len() - 2);
    let seen = threads(name);
    taken.extend(take_all());
    seen
}

fn polls(rt: &Runtime) -> u64 {
    let metrics = rt.metrics();
    let workers = 0..metrics.num_workers();
    workers
        .map(|worker| metrics.worker_poll_count(worker))
        .sum()
}

/// A task that waits for something else sleeps, though the listener is ready.
fn sleeps(rt: &Runtime, name: &str) {
    let (lend, lent) = mpsc::channel();
    let (free, freed) = mpsc::channel();
    let (go_on, goes_on) = oneshot::channel();
    let root = async {
        let (listener, client) = besieged().await;
        let taken = take_all();
        let accepts = runnext::spawn(async move {
            for _ in 0..10 {
                assert_exhausted(listener.accept().await);
            }
            lend.send(taken).unwrap();
            // With a timer besides, which does not matter.
            timeout(FAR, goes_on).await.unwrap().unwrap();
            assert_exhausted(listener.accept().await);
            free.send(()).unwrap();
            loop {
                match listener.accept().await {
                    Err(error) => assert_eq!(error.raw_os_error(), Some(EMFILE)),
                    accepted => return assert_accepted(accepted, &client),
                }
            }
        });
        accepts.await.unwrap();
    };
    thread::scope(|scope| {
        // Those that it starts have its name from the beginning.
        let waits = thread::Builder::new().name(name.to_owned());
        let waits = waits.spawn_scoped(scope, || rt.block_on(root)).unwrap();
        let mut taken = lent.recv().unwrap();
        // Until all of them sleep. Those that there are too many of end on their own account.
        let before = loop {
            let before = look(name, &mut taken);
            let polls = polls(rt);
            thread::sleep(WINDOW);
            let asleep = before.values().all(|thread| thread.0);
            if asleep && look(name, &mut taken) == before {
                break (before, polls);
            }
        };
        thread::sleep(WINDOW);
        let after = (look(name, &mut taken), polls(rt));
        assert_eq!(after, before, "a thread woke up without a reason");
        go_on.send(()).unwrap();
        freed.recv().unwrap();
        drop(taken);
        waits.join().unwrap();
    });
}

/// Asks again and again; `polled`: in the style of `poll` functions.
async fn insists(
    listener: &TcpListener,
    client: &std::net::TcpStream,
    errors: &AtomicUsize,
    polled: bool,
) {
    loop {
        let accepted = match polled {
            false => listener.accept().await,
            true => poll_fn(|cx| listener.poll_accept(cx)).await,
        };
        match accepted {
            Err(error) => assert_eq!(error.raw_os_error(), Some(EMFILE)),
            accepted => return assert_accepted(accepted, client),
        }
        errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lives beside somebody who insists; in the end there are descriptors again.
async fn lives(errors: Arc<AtomicUsize>, taken: Vec<File>) {
    let asked = || errors.load(Ordering::Relaxed);
    while asked() < 1_000 {
        yield_now().await;
    }
    for _ in 0..10 {
        let before = asked();
        sleep(Duration::from_millis(1)).await;
        runnext::spawn(async {}).await.unwrap();
        while asked() == before {
            yield_now().await;
        }
    }
    drop(taken);
}

/// Others run beside a task, or a root, that does not pause between its errors.
fn takes_turns(rt: &Runtime, spawned: bool, polled: bool) {
    let errors = Arc::new(AtomicUsize::new(0));
    rt.block_on(async {
        let (listener, client) = besieged().await;
        let taken = take_all();
        let lives = lives(errors.clone(), taken);
        if spawned {
            let insists = runnext::spawn(async move {
                insists(&listener, &client, &errors, polled).await;
            });
            lives.await;
            insists.await.unwrap();
        } else {
            let lives = runnext::spawn(lives);
            insists(&listener, &client, &errors, polled).await;
            lives.await.unwrap();
        }
    });
}

/// One test, since the limit is that of the process.
#[test]
fn a_connection_that_cannot_be_accepted_keeps_nobody_busy() {
    limit(128);
    on_each_flavor(|rt, name| {
        sleeps(&rt, name);
        for polled in [false, true] {
            takes_turns(&rt, true, polled);
            takes_turns(&rt, false, polled);
        }
    });
}
