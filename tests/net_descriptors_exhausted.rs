//! There are no descriptors left: whoever needs one is told each time, and everything goes on when
//! there are some again.
#![cfg(all(feature = "net", target_os = "linux"))]

mod common;

use common::on_each_flavor;
use runnext::net::{TcpListener, TcpStream};
use std::fs::File;
use std::io;

/// The number of the error for too many open files.
const EMFILE: i32 = 24;

/// Limits the descriptors of this process.
fn limit(count: u64) {
    let new = libc::rlimit {
        rlim_cur: count,
        rlim_max: count,
    };
    // SAFETY: the limit is read during the call.
    let set = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const new) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// Takes all descriptors that are left.
fn take_all() -> Vec<File> {
    let mut taken = Vec::new();
    loop {
        match File::open("/dev/null") {
            Ok(file) => taken.push(file),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(EMFILE));
                return taken;
            }
        }
    }
}

#[track_caller]
fn assert_exhausted<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().raw_os_error(), Some(EMFILE));
}

/// One test, since the limit is that of the process.
#[test]
fn who_needs_a_descriptor_is_told_and_everything_goes_on_later() {
    limit(128);
    on_each_flavor(|rt| {
        // Before there is a netpoller.
        let taken = take_all();
        rt.block_on(async {
            assert_exhausted(TcpListener::bind("127.0.0.1:0").await);
        });
        drop(taken);
        rt.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            for _ in 0..3 {
                let mut taken = take_all();
                assert_exhausted(TcpStream::connect(address).await);
                // One for the client, none for the other side.
                taken.pop();
                let client = TcpStream::connect(address).await.unwrap();
                for _ in 0..10 {
                    assert_exhausted(listener.accept().await);
                }
                // The connection is still there to be taken.
                taken.pop();
                let (_server, peer) = listener.accept().await.unwrap();
                assert_eq!(peer, client.local_addr().unwrap());
            }
        });
    });
}
