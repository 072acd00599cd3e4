//! What can be given as an address.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// What can be turned into socket addresses, if need be by asking the resolver of the system, which
/// blocks a thread of the pool for as long.
///
/// It is implemented for addresses, for pairs of a host and a port, and for text as in
/// `"example.org:80"`; and cannot be implemented elsewhere. What has a name may have several
/// addresses: functions that connect or bind try one after the other.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let mut addresses = runnext::net::lookup_host(("localhost", 80)).await?;
/// assert_eq!(addresses.next().unwrap().port(), 80);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait ToSocketAddrs: sealed::Sealed {}

impl<T: sealed::Sealed + ?Sized> ToSocketAddrs for T {}

/// Socket addresses, or what to ask for.
#[derive(Debug)]
pub enum Addresses {
    /// What there is to try.
    Known(Known),
    /// A host and a port, for the resolver.
    Named(String, u16),
    /// It cannot be.
    Bad(io::Error),
}

/// Known addresses.
#[derive(Debug)]
pub enum Known {
    /// At most one.
    One(Option<SocketAddr>),
    /// Several.
    Many(std::vec::IntoIter<SocketAddr>),
}

impl Iterator for Known {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match self {
            Known::One(address) => address.take(),
            Known::Many(addresses) => addresses.next(),
        }
    }
}

pub(super) mod sealed {
    /// What only this crate implements.
    pub trait Sealed {
        /// The addresses, as far as they can be told at once.
        #[doc(hidden)]
        fn addresses(&self) -> super::Addresses;
    }
}

use sealed::Sealed;

/// The addresses of `host`. It is looked at before the first wait, and not kept.
pub(super) fn resolve<A: Sealed>(
    host: &A,
) -> impl Future<Output = io::Result<Known>> + Send + use<A> {
    let addresses = host.addresses();
    async {
        match addresses {
            Addresses::Known(known) => Ok(known),
            Addresses::Bad(error) => Err(error),
            Addresses::Named(host, port) => {
                let lookup = move || std::net::ToSocketAddrs::to_socket_addrs(&(&*host, port));
                match crate::task::spawn_blocking(lookup).await {
                    Ok(found) => found.map(Known::Many),
                    Err(error) => Err(io::Error::other(error)),
                }
            }
        }
    }
}

/// Calls `f` with one address after the other until that succeeds.
pub(super) async fn each<A, T, F>(host: A, mut f: impl FnMut(SocketAddr) -> F) -> io::Result<T>
where
    A: Sealed,
    F: Future<Output = io::Result<T>>,
{
    let addresses = resolve(&host);
    let mut last = None;
    for address in addresses.await? {
        match f(address).await {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(none))
}

/// As `each`, of an `f` that does not wait.
pub(super) async fn each_now<A: Sealed, T>(
    host: A,
    mut f: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    each(host, |address| std::future::ready(f(address))).await
}

pub(super) fn none() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "there is no address to try: the list is empty, or the name stands for none",
    )
}

fn one(address: impl Into<SocketAddr>) -> Addresses {
    Addresses::Known(Known::One(Some(address.into())))
}

impl<T: Sealed + ?Sized> Sealed for &T {
    fn addresses(&self) -> Addresses {
        (**self).addresses()
    }
}

impl Sealed for SocketAddr {
    fn addresses(&self) -> Addresses {
        one(*self)
    }
}

impl Sealed for SocketAddrV4 {
    fn addresses(&self) -> Addresses {
        one(*self)
    }
}

impl Sealed for SocketAddrV6 {
    fn addresses(&self) -> Addresses {
        one(*self)
    }
}

impl Sealed for (IpAddr, u16) {
    fn addresses(&self) -> Addresses {
        one(*self)
    }
}

impl Sealed for (Ipv4Addr, u16) {
    fn addresses(&self) -> Addresses {
        one(*self)
    }
}

impl Sealed for (Ipv6Addr, u16) {
    fn addresses(&self) -> Addresses {
        one(*self)
    }
}

impl Sealed for [SocketAddr] {
    fn addresses(&self) -> Addresses {
        let kept: Vec<SocketAddr> = self.into();
        Addresses::Known(Known::Many(kept.into_iter()))
    }
}

impl Sealed for (&str, u16) {
    fn addresses(&self) -> Addresses {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(ip) => one((ip, port)),
            Err(_) => Addresses::Named(host.to_owned(), port),
        }
    }
}

impl Sealed for (String, u16) {
    fn addresses(&self) -> Addresses {
        (&*self.0, self.1).addresses()
    }
}

impl Sealed for str {
    fn addresses(&self) -> Addresses {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return one(address);
        }
        let bad = || {
            Addresses::Bad(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{self}` is not an address: it should be a host, a colon and a port"),
            ))
        };
        let Some((host, port)) = self.rsplit_once(':') else {
            return bad();
        };
        match port.parse() {
            Ok(port) => (host, port).addresses(),
            Err(_) => bad(),
        }
    }
}

impl Sealed for String {
    fn addresses(&self) -> Addresses {
        (**self).addresses()
    }
}
