//! Asking the resolver.

use super::addr::{self, ToSocketAddrs};
use std::io;
use std::net::SocketAddr;

/// The addresses that `host` stands for, from the resolver of the system unless `host` is an address
/// itself.
///
/// # Cancel safety
/// Cancel safe, though the resolver goes on with its search.
///
/// # Errors
/// If there is no such name, or `host` is not of the form that it should have.
///
/// # Panics
/// If the resolver has to be asked and there is no current runtime.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// for address in runnext::net::lookup_host("localhost:3000").await? {
///     assert!(address.ip().is_loopback());
/// }
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub async fn lookup_host<T>(host: T) -> io::Result<impl Iterator<Item = SocketAddr>>
where
    T: ToSocketAddrs,
{
    addr::resolve(&host).await
}
