//! The timeouts that streams have in code that is not async: they are those of std's streams.
#![cfg(all(feature = "net", feature = "time", stackful))]

mod common;

use common::{Drops, multi_thread, on_each_flavor};
use runnext::net::{TcpListener, TcpStream, UnixStream};
use runnext::runtime::Builder;
use runnext::time::sleep;
use runnext::{go, stackful, wait};
use std::io::{ErrorKind, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(20);
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3600);

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = wait(TcpListener::bind("127.0.0.1:0")).unwrap();
    let here = wait(TcpStream::connect(listener.local_addr().unwrap())).unwrap();
    (here, wait(listener.accept()).unwrap().0)
}

/// Asserts that `f` takes at least `SHORT` and fails as it does in std.
#[track_caller]
fn assert_times_out<T: std::fmt::Debug>(f: impl FnOnce() -> std::io::Result<T>) {
    let start = Instant::now();
    let error = f().unwrap_err();
    assert!(start.elapsed() >= SHORT, "after {:?}", start.elapsed());
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert_eq!(error.raw_os_error(), Some(libc::EAGAIN));
}

/// Goes through all that a pair of streams does with timeouts.
macro_rules! exercise {
    ($here:expr, $there:expr) => {
        let (mut here, mut there) = ($here, $there);
        here.set_read_timeout(Some(SHORT)).unwrap();
        assert_times_out(|| here.read(&mut [0]));
        assert_times_out(|| (&here).read_vectored(&mut [std::io::IoSliceMut::new(&mut [0])]));
        // What comes in time is read, also later, and the timeout does not hinder it.
        there.write_all(b"abc").unwrap();
        let mut buf = [0; 2];
        here.read_exact(&mut buf).unwrap();
        here.set_read_timeout(Some(LONG)).unwrap();
        here.read_exact(&mut buf[..1]).unwrap();
        assert_eq!(&buf, b"cb");
        // Writing has one of its own.
        there.set_write_timeout(Some(SHORT)).unwrap();
        let chunk = vec![0; 1 << 20];
        let mut sent = 0;
        assert_times_out(|| {
            loop {
                sent += there.write(&chunk)?;
            }
            #[allow(unreachable_code)]
            Ok(())
        });
        here.set_read_timeout(None).unwrap();
        std::io::copy(&mut (&here).take(sent as u64), &mut std::io::sink()).unwrap();
        there.write_all(b"x").unwrap();
        here.read_exact(&mut [0]).unwrap();
        // As before, since no byte came.
        here.set_read_timeout(Some(SHORT)).unwrap();
        assert_times_out(|| here.read(&mut [0]));
    };
}

#[test]
fn a_stackful_task_waits_no_longer_than_the_timeout() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let (here, there) = tcp_pair();
            exercise!(here, there);
            let (here, there) = UnixStream::pair().unwrap();
            exercise!(here, there);
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn a_thread_waits_no_longer_than_the_timeout() {
    let rt = multi_thread(1);
    let (tcp, unix) = {
        let _entered = rt.enter();
        (tcp_pair(), UnixStream::pair().unwrap())
    };
    exercise!(tcp.0, tcp.1);
    // And where the thread sees to timers of others.
    let _entered = rt.enter();
    exercise!(unix.0, unix.1);
}

#[test]
fn a_task_that_must_not_leave_its_stack_waits_no_longer_than_the_timeout() {
    let rt = multi_thread(1);
    let handle = rt.handle().clone();
    // SAFETY: inside of the guard the task does not move, and outside it does not wait.
    let builder = unsafe { stackful::Builder::new().migratable() };
    let task = builder.go_on(
        move || {
            let _entered = handle.enter();
            let (here, there) = UnixStream::pair().unwrap();
            exercise!(here, there);
        },
        rt.handle(),
    );
    rt.block_on(task.unwrap()).unwrap();
}

#[test]
fn a_timeout_is_kept_and_none_is_zero() {
    let rt = multi_thread(1);
    let _entered = rt.enter();
    let (tcp, _other) = tcp_pair();
    let (unix, _other) = UnixStream::pair().unwrap();
    macro_rules! check {
        ($stream:expr) => {
            let stream = $stream;
            assert_eq!(stream.read_timeout().unwrap(), None);
            assert_eq!(stream.write_timeout().unwrap(), None);
            stream.set_read_timeout(Some(SHORT)).unwrap();
            stream.set_write_timeout(Some(LONG)).unwrap();
            for zero in [
                stream.set_read_timeout(Some(Duration::ZERO)),
                stream.set_write_timeout(Some(Duration::ZERO)),
            ] {
                assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);
            }
            assert_eq!(stream.read_timeout().unwrap(), Some(SHORT));
            assert_eq!(stream.write_timeout().unwrap(), Some(LONG));
            stream.set_read_timeout(None).unwrap();
            assert_eq!(stream.read_timeout().unwrap(), None);
            assert_eq!(stream.write_timeout().unwrap(), Some(LONG));
            // However short, it is one; and however long.
            stream.set_write_timeout(Some(Duration::MAX)).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_nanos(1)))
                .unwrap();
            (&stream).write_all(b"x").unwrap();
            let error = (&stream).read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
        };
    }
    check!(tcp);
    check!(unix);
}

#[test]
fn timeouts_come_from_streams_of_std_and_go_back_to_them() {
    let rt = multi_thread(1);
    let _entered = rt.enter();
    macro_rules! check {
        ($type:ident, $pair:expr) => {
            let (stream, _other) = $pair;
            stream.set_read_timeout(Some(SHORT)).unwrap();
            stream.set_write_timeout(Some(LONG)).unwrap();
            stream.set_nonblocking(true).unwrap();
            let stream = $type::from_std(stream).unwrap();
            assert_times_out(|| (&stream).read(&mut [0]));
            assert_eq!(stream.write_timeout().unwrap(), Some(LONG));
            stream.set_write_timeout(None).unwrap();
            stream.set_read_timeout(Some(2 * SHORT)).unwrap();
            let stream = stream.into_std().unwrap();
            assert_eq!(stream.read_timeout().unwrap(), Some(2 * SHORT));
            assert_eq!(stream.write_timeout().unwrap(), None);
            // The shortest does not become none on the way.
            let stream = $type::from_std(stream).unwrap();
            stream
                .set_write_timeout(Some(Duration::from_nanos(1)))
                .unwrap();
            let stream = stream.into_std().unwrap();
            assert!(stream.write_timeout().unwrap().is_some());
        };
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    check!(TcpStream, (tcp, listener.accept().unwrap()));
    check!(UnixStream, std::os::unix::net::UnixStream::pair().unwrap());
}

#[test]
fn async_functions_wait_for_as_long_as_it_takes() {
    on_each_flavor(|rt| {
        rt.block_on(async {
            let (here, there) = UnixStream::pair().unwrap();
            here.set_read_timeout(Some(Duration::from_millis(1)))
                .unwrap();
            let reader = runnext::spawn(async move {
                here.readable().await.unwrap();
                let mut here = here;
                let mut byte = [0];
                let read = futures::AsyncReadExt::read(&mut here, &mut byte).await;
                (read.unwrap(), byte)
            });
            sleep(2 * SHORT).await;
            assert!(!reader.is_finished());
            there.try_write(b"x").unwrap();
            assert_eq!(reader.await.unwrap(), (1, *b"x"));
        });
    });
}

/// As long as nobody accepts them, and all places are taken, connections are not made.
#[test]
fn a_connection_is_waited_for_no_longer_than_the_timeout() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let socket = runnext::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let listener = socket.listen(0).unwrap();
            let address = listener.local_addr().unwrap();
            let mut made = Vec::new();
            let error = loop {
                let start = Instant::now();
                match TcpStream::connect_timeout(&address, SHORT) {
                    Ok(stream) => made.push(stream),
                    Err(error) => {
                        assert!(start.elapsed() >= SHORT);
                        break error;
                    }
                }
            };
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            assert!(!made.is_empty());
            let zero = TcpStream::connect_timeout(&address, Duration::ZERO);
            assert_eq!(zero.unwrap_err().kind(), ErrorKind::InvalidInput);
            drop(listener);
            let refused = TcpStream::connect_timeout(&address, LONG);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn where_futures_are_polled_connecting_with_a_timeout_is_refused() {
    on_each_flavor(|rt| {
        let error = rt.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            TcpStream::connect_timeout(&listener.local_addr().unwrap(), LONG).unwrap_err()
        });
        assert!(error.to_string().contains("runnext::go"), "{error}");
    });
}

#[test]
fn a_thread_connects_with_a_timeout() {
    let rt = multi_thread(1);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = thread::spawn({
        let handle = rt.handle().clone();
        move || {
            let _entered = handle.enter();
            let mut stream = TcpStream::connect_timeout(&address, LONG).unwrap();
            stream.write_all(b"x").unwrap();
        }
    });
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut [0]).unwrap();
    client.join().unwrap();
}

#[test]
fn an_abort_and_the_end_of_the_runtime_unwind_a_task_that_reads_with_a_timeout() {
    for aborts in [true, false] {
        on_each_flavor(|rt| {
            let drops = Drops::new();
            let guard = drops.guard();
            let (tell, told) = mpsc::channel();
            let task = rt.handle().go(move || {
                let _guard = guard;
                let (_here, mut there) = UnixStream::pair().unwrap();
                there.set_read_timeout(Some(LONG)).unwrap();
                tell.send(()).unwrap();
                there.read_exact(&mut [0]).unwrap_err();
                // The end of the runtime may be told by an error first.
                wait(std::future::pending::<()>());
            });
            rt.block_on(async {
                while told.try_recv().is_err() {
                    runnext::task::yield_now().await;
                }
                sleep(Duration::from_millis(1)).await;
                if aborts {
                    task.abort();
                    assert!(task.await.unwrap_err().is_cancelled());
                }
            });
            drop(rt);
            assert_eq!(drops.alive(), 0);
        });
    }
}

/// What tells the time is the clock of the runtime.
#[cfg(feature = "test-util")]
#[test]
fn a_stopped_clock_leaps_to_the_end_of_a_timeout() {
    let mut builder = Builder::new_current_thread();
    let rt = builder.start_paused(true).build().unwrap();
    let task = rt.handle().go(|| {
        let (here, _there) = UnixStream::pair().unwrap();
        here.set_read_timeout(Some(LONG)).unwrap();
        let start = runnext::time::Instant::now();
        let error = (&here).read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        assert_eq!(start.elapsed(), LONG);
    });
    rt.block_on(task).unwrap();
}

/// Whoever is woken by both at once has read.
#[test]
fn many_reads_with_a_timeout_lose_nothing() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let (here, there) = UnixStream::pair().unwrap();
            let writer = go(move || {
                for n in 0..200_u8 {
                    stackful::sleep(Duration::from_micros(u64::from(n) * 7));
                    (&there).write_all(&[n]).unwrap();
                }
            });
            here.set_read_timeout(Some(Duration::from_micros(300)))
                .unwrap();
            let mut expected = 0;
            while expected < 200 {
                let mut byte = [0];
                match (&here).read(&mut byte) {
                    Ok(1) => {
                        assert_eq!(byte, [expected]);
                        expected += 1;
                    }
                    Ok(_) => panic!("the writer ended early"),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
                }
            }
            wait(writer).unwrap();
        });
        rt.block_on(task).unwrap();
    });
}
