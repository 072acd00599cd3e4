//! There are no descriptors left: whoever needs one is told each time, and everything goes on when
//! there are some again.
#![cfg(all(feature = "net", target_os = "linux"))]

mod common;
#[path = "common/exhausted.rs"]
mod exhausted;

use common::on_each_flavor;
use exhausted::{assert_exhausted, limit, take_all};
use runnext::net::{TcpListener, TcpStream};

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
