//! The netpoller of a build without the feature `net`: there is never anything to wait for.

use super::Batches;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::task::Waker;
use std::time::Duration;

/// A netpoller without sockets.
#[derive(Debug)]
pub(crate) struct Netpoll;

/// What nobody ever holds.
#[derive(Debug)]
pub(crate) struct Seat<'a>(Infallible, PhantomData<&'a Netpoll>);

impl Netpoll {
    /// With nothing to ask for.
    pub(crate) fn new(_batches: Batches) -> Netpoll {
        Netpoll
    }

    /// Never.
    #[inline]
    pub(crate) fn is_used(&self) -> bool {
        false
    }

    /// Never.
    #[inline]
    pub(crate) fn is_unwatched(&self) -> bool {
        false
    }

    /// Nobody can.
    pub(crate) fn try_sit(&self) -> Option<Seat<'_>> {
        None
    }

    /// Nobody waits.
    pub(crate) fn wake(&self) {}

    /// Nothing is to be ended.
    pub(crate) fn shut(&self, _wakers: &mut Vec<Waker>) {}
}

impl Seat<'_> {
    /// Never called.
    pub(crate) fn watch(&mut self) {
        match self.0 {}
    }

    /// Never called.
    pub(crate) fn poll(&mut self, _timeout: Option<Duration>, _wakers: &mut Vec<Waker>) {
        match self.0 {}
    }
}
