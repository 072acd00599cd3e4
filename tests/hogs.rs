//! Tasks that keep their thread to themselves: what others wait for, sockets and timers, is seen to by
//! another thread, if one is awake when the hog begins, or watches. Each of these hogs goes on until the
//! others are done, so if they are not served the test hangs.
#![cfg(all(feature = "net", feature = "time", feature = "tokio-io"))]

mod common;

use common::{current_thread, multi_thread};
use runnext::io::{AsyncReadExt, AsyncWriteExt};
use runnext::net::{TcpListener, TcpStream, UdpSocket};
use runnext::runtime::Runtime;
use runnext::task::{JoinHandle, JoinSet, yield_now};
use runnext::time::sleep;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// What the hog waits for, without letting go of its thread.
#[derive(Clone, Default)]
struct Pending(Arc<(AtomicUsize, AtomicBool)>);

impl Pending {
    /// Something is to be done.
    fn begin(&self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }

    /// It is done.
    fn end(&self) {
        self.0.0.fetch_sub(1, Ordering::Release);
    }

    /// Keeps this thread busy until all is done.
    fn hog(&self) {
        self.0.1.store(true, Ordering::Release);
        while self.0.0.load(Ordering::Acquire) != 0 {
            std::hint::spin_loop();
        }
    }

    /// Waits outside of the runtime until the hog has begun.
    fn hogged(&self) {
        while !self.0.1.load(Ordering::Acquire) {
            thread::yield_now();
        }
    }
}

/// Runs the hog as a future, and as a stackful task. `prepare` runs on the thread that it keeps busy,
/// right before it does; `beside` on one outside of the runtime, while it does.
fn beside_hogs<F>(prepare: impl Fn(Pending) -> F, beside: impl Fn())
where
    F: Future<Output = ()> + Send + 'static,
{
    let run = |start: &dyn Fn(&Runtime, F, Pending) -> JoinHandle<()>| {
        let (rt, pending) = (multi_thread(2), Pending::default());
        pending.begin();
        let hog = start(&rt, prepare(pending.clone()), pending.clone());
        pending.hogged();
        beside();
        pending.end();
        // This thread is no help: it waits for the hog in another runtime.
        current_thread().block_on(hog).unwrap();
    };
    run(&|rt, prepared, pending| {
        rt.spawn(async move {
            prepared.await;
            pending.hog();
        })
    });
    #[cfg(stackful)]
    run(&|rt, prepared, pending| {
        rt.handle().go(move || {
            runnext::wait(prepared);
            pending.hog();
        })
    });
}

#[test]
fn timers_that_were_set_on_the_thread_of_a_hog_fire() {
    let prepare = |pending: Pending| async move {
        for n in 1..=50 {
            pending.begin();
            let pending = pending.clone();
            runnext::spawn(async move {
                sleep(Duration::from_millis(n)).await;
                sleep(Duration::from_millis(n)).await;
                pending.end();
            });
        }
        // So that the first sleeps are set here.
        yield_now().await;
    };
    beside_hogs(prepare, || {});
}

#[test]
fn tasks_that_wait_behind_a_hog_run_elsewhere() {
    let prepare = |pending: Pending| async move {
        // More than the ring holds; the last one of them would run next.
        for _ in 0..300 {
            pending.begin();
            let pending = pending.clone();
            runnext::spawn(async move { pending.end() });
        }
    };
    beside_hogs(prepare, || {});
}

#[test]
fn sockets_are_served_beside_a_hog() {
    let prepare = |pending: Pending| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        runnext::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                runnext::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        stream.write_u8(byte).await.unwrap();
                    }
                });
            }
        });
        pending.begin();
        runnext::spawn(async move {
            let mut clients = JoinSet::new();
            for _ in 0..20 {
                clients.spawn(async move {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    for n in 0..20 {
                        stream.write_u8(n).await.unwrap();
                        assert_eq!(stream.read_u8().await.unwrap(), n);
                        if n % 8 == 0 {
                            sleep(Duration::from_millis(1)).await;
                        }
                    }
                });
            }
            while let Some(client) = clients.join_next().await {
                client.unwrap();
            }
            pending.end();
        });
    };
    beside_hogs(prepare, || {});
}

/// The other thread has nothing else to do than to watch the socket.
#[test]
fn a_thread_that_watches_hears_of_a_socket_beside_a_hog() {
    let (tell, told) = std::sync::mpsc::channel();
    let prepare = |pending: Pending| {
        let tell = tell.clone();
        async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            tell.send(socket.local_addr().unwrap()).unwrap();
            pending.begin();
            runnext::spawn(async move {
                // One after the other, each once the one before was answered.
                for n in 0..20 {
                    let mut buf = [0];
                    let (_, from) = socket.recv_from(&mut buf).await.unwrap();
                    assert_eq!(buf, [n]);
                    socket.send_to(&buf, from).await.unwrap();
                }
                pending.end();
            });
            // Two tasks are work for another thread, which goes on to watch.
            runnext::spawn(async {});
            yield_now().await;
        }
    };
    beside_hogs(prepare, || {
        let server = told.recv().unwrap();
        let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for n in 0..20 {
            // Time to fall asleep.
            thread::sleep(Duration::from_millis(2));
            client.send_to(&[n], server).unwrap();
            assert_eq!(client.recv_from(&mut [0]).unwrap(), (1, server));
        }
    });
}
