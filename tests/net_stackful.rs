//! Sockets in code that is not async: in stackful tasks they wait, on threads they block, and where
//! futures are polled they refuse.
#![cfg(all(feature = "net", stackful))]

mod common;

use common::{multi_thread, on_each_flavor};
use runnext::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use runnext::{go, wait};
use std::io::{BufRead, BufReader, Read, Write};
use std::thread;

/// Answers each line by itself in capitals.
fn serve(stream: &TcpStream) {
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap().to_uppercase();
        // Through another reference.
        (&*stream)
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
}

fn ask(stream: &TcpStream, line: &str) -> String {
    (&*stream)
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn blocking_style_code_runs_in_stackful_tasks() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let listener = wait(TcpListener::bind("127.0.0.1:0")).unwrap();
            let address = listener.local_addr().unwrap();
            go(move || {
                loop {
                    let (stream, _) = wait(listener.accept()).unwrap();
                    go(move || serve(&stream));
                }
            });
            let clients: Vec<_> = (0..20)
                .map(|n| {
                    go(move || {
                        let stream = wait(TcpStream::connect(address)).unwrap();
                        for round in 0..20 {
                            let answer = ask(&stream, &format!("line {n} {round}"));
                            assert_eq!(answer, format!("LINE {n} {round}\n"));
                        }
                    })
                })
                .collect();
            for client in clients {
                wait(client).unwrap();
            }
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn a_large_write_waits_for_its_reader() {
    on_each_flavor(|rt| {
        let task = rt.handle().go(|| {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            let writer = go(move || here.write_all(&vec![9; 1 << 20]).unwrap());
            let mut got = Vec::new();
            there.read_to_end(&mut got).unwrap();
            assert_eq!(got.len(), 1 << 20);
            wait(writer).unwrap();
        });
        rt.block_on(task).unwrap();
    });
}

#[test]
fn a_thread_without_tasks_blocks() {
    let rt = multi_thread(1);
    let (listener, udp) = rt.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        (listener, UdpSocket::bind("127.0.0.1:0").await.unwrap())
    });
    let address = listener.local_addr().unwrap();
    rt.handle().go(move || {
        let (stream, _) = wait(listener.accept()).unwrap();
        serve(&stream);
    });
    let client = thread::spawn({
        let handle = rt.handle().clone();
        move || {
            let _entered = handle.enter();
            let stream = wait(TcpStream::connect(address)).unwrap();
            ask(&stream, "from a thread")
        }
    });
    assert_eq!(client.join().unwrap(), "FROM A THREAD\n");
    let to = udp.local_addr().unwrap();
    wait(udp.send_to(b"x", to)).unwrap();
    assert_eq!(wait(udp.recv_from(&mut [0])).unwrap(), (1, to));
}

#[test]
fn where_futures_are_polled_it_is_refused() {
    on_each_flavor(|rt| {
        let test = async {
            let (mut here, mut there) = UnixStream::pair().unwrap();
            for error in [
                here.write(b"x").unwrap_err(),
                there.read(&mut [0]).unwrap_err(),
                (&there).read(&mut [0]).unwrap_err(),
            ] {
                let message = error.to_string();
                assert!(message.contains("AsyncReadExt"), "{message}");
                assert!(message.contains("runnext::go"), "{message}");
            }
        };
        rt.block_on(test);
        rt.block_on(async { runnext::spawn(test_in_task()).await.unwrap() });
    });
}

async fn test_in_task() {
    let (mut here, _there) = UnixStream::pair().unwrap();
    assert!(here.write(b"x").is_err());
}

#[test]
fn an_abort_unwinds_a_task_that_reads() {
    on_each_flavor(|rt| {
        let drops = common::Drops::new();
        let guard = drops.guard();
        let (tell, told) = std::sync::mpsc::channel();
        let task = rt.handle().go(move || {
            let _guard = guard;
            let (_here, mut there) = UnixStream::pair().unwrap();
            tell.send(()).unwrap();
            there.read_exact(&mut [0]).unwrap();
        });
        rt.block_on(async {
            while told.try_recv().is_err() {
                runnext::task::yield_now().await;
            }
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        });
        assert_eq!(drops.alive(), 0);
    });
}
