//! A source of events, with its place in the netpoller of a runtime.

#[cfg(feature = "signal")]
use crate::engine::netpoll::Key;
use crate::engine::netpoll::{Direction, Event, Readiness, Registration, Room};
use crate::io::{Interest, Ready};
use crate::runtime::Handle;
use crate::task::coop;
use mio::event::Source;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

/// A source that is registered until it is dropped or taken out.
#[derive(Debug)]
pub(crate) struct Evented<E: Source> {
    /// Empty in the destructor alone.
    io: Option<E>,
    registration: Registration,
}

/// What is assumed of a new source, before its first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assume {
    /// That a system call is worth a try.
    Ready,
    /// Nothing, since a call would mean something else, or its readiness is what is asked for.
    Nothing,
}

impl Assume {
    /// That a system call is worth a try, if it is.
    pub(crate) fn ready_if(is: bool) -> Assume {
        if is { Assume::Ready } else { Assume::Nothing }
    }
}

/// Nothing is known, and both ways are worth a try.
const READY: Readiness = Readiness::MAY_READ.union(Readiness::MAY_WRITE);

/// What a source is registered for that may have `room`.
fn interest(room: Option<&Room>) -> mio::Interest {
    match room {
        Some(_) => mio::Interest::READABLE,
        None => mio::Interest::READABLE | mio::Interest::WRITABLE,
    }
}

impl<E: Source> Evented<E> {
    /// Registers `io` with the current runtime.
    ///
    /// # Errors
    /// Those of the operating system, or the runtime is gone.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub(crate) fn new(io: E, assume: Assume) -> io::Result<Evented<E>> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        Evented::on(&Handle::current(), io, interest, assume).map_err(|(_, error)| error)
    }

    /// As `new`, with a source that may have [`Room`]; a system call is worth a try.
    #[track_caller]
    pub(crate) fn with_room(io: E, room: Option<Room>) -> io::Result<Evented<E>> {
        let interest = interest(room.as_ref());
        Evented::register(&Handle::current(), io, interest, READY, room).map_err(|(_, error)| error)
    }

    /// Registers `io` for `interest` with the runtime of `handle`.
    ///
    /// # Errors
    /// As for `new`, and gives `io` back.
    pub(crate) fn on(
        handle: &Handle,
        io: E,
        interest: Interest,
        assume: Assume,
    ) -> Result<Evented<E>, (E, io::Error)> {
        let assumed = match assume {
            Assume::Ready => READY,
            Assume::Nothing => Readiness::EMPTY,
        };
        Evented::register(handle, io, interest.to_mio(), assumed, None)
    }

    fn register(
        handle: &Handle,
        mut io: E,
        interest: mio::Interest,
        assumed: Readiness,
        room: Option<Room>,
    ) -> Result<Evented<E>, (E, io::Error)> {
        let shared = handle.shared();
        let netpoll = shared.netpoll();
        match netpoll.register(&mut io, interest, assumed, room) {
            Ok(registration) => {
                shared.note_registered();
                Ok(Evented {
                    io: Some(io),
                    registration,
                })
            }
            Err(error) => Err((io, error)),
        }
    }

    /// Registers what this source brought forth, on the same runtime.
    ///
    /// # Errors
    /// Those of the operating system, or the runtime is gone.
    pub(crate) fn beside<F: Source>(
        &self,
        mut io: F,
        room: Option<Room>,
    ) -> io::Result<Evented<F>> {
        let interest = interest(room.as_ref());
        let registration = self.registration.beside(&mut io, interest, READY, room)?;
        Ok(Evented {
            io: Some(io),
            registration,
        })
    }

    /// The source.
    #[inline]
    pub(crate) fn io(&self) -> &E {
        self.io.as_ref().expect("it is there until the destructor")
    }

    /// The source, for changes that leave its descriptor as it is.
    pub(crate) fn io_mut(&mut self) -> &mut E {
        self.io.as_mut().expect("it is there until the destructor")
    }

    /// Takes the source out, which is not registered any more.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(crate) fn into_inner(mut self) -> io::Result<E> {
        let mut io = self.io.take().expect("it is there until the destructor");
        self.registration.deregister(&mut io)?;
        Ok(io)
    }

    /// As `into_inner`; a source that cannot be deregistered is not what was registered, and of no
    /// concern to the netpoller any more.
    pub(crate) fn into_inner_anyway(mut self) -> E {
        let mut io = self.io.take().expect("it is there until the destructor");
        let _deregistered = self.registration.deregister(&mut io);
        io
    }

    /// Waits until it is ready for something of `interest`.
    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        let event = self.event(interest.mask()).await?;
        Ok(Ready::new(event.ready))
    }

    /// As `ready`, and with what [`clear`](Evented::clear) needs.
    pub(crate) async fn event(&self, mask: Readiness) -> io::Result<Event> {
        self.registration.ask_for_room(mask);
        let event = self.registration.wait(mask).await?;
        poll_fn(coop::poll_proceed).await.made_progress();
        Ok(event)
    }

    /// As `ready`, for the one task that waits for `direction` in this way.
    pub(crate) fn poll_ready(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
    ) -> Poll<io::Result<Event>> {
        let step = ready!(coop::poll_proceed(cx));
        self.registration.ask_for_room(direction.mask());
        let event = ready!(self.registration.poll(direction, direction.mask(), cx))?;
        step.made_progress();
        Poll::Ready(Ok(event))
    }

    /// As `event`, for one of several who wait for `mask`, with a `key` for
    /// [`forget`](Evented::forget). It is no step of the budget.
    #[cfg(feature = "process")]
    pub(crate) fn poll_beside(
        &self,
        key: &mut Option<Key>,
        mask: Readiness,
        cx: &Context<'_>,
    ) -> Poll<io::Result<Event>> {
        self.registration.poll_beside(key, mask, cx)
    }

    /// As `poll_beside`, until `happened`, of which an event tells all who wait alike.
    #[cfg(feature = "signal")]
    pub(crate) fn poll_until(
        &self,
        key: &mut Option<Key>,
        mask: Readiness,
        cx: &Context<'_>,
        happened: impl Fn() -> bool,
    ) -> Poll<io::Result<()>> {
        self.registration.poll_until(key, mask, cx, happened)
    }

    /// The one with `key` waits no more.
    #[cfg(feature = "signal")]
    pub(crate) fn forget(&self, key: Key) {
        self.registration.forget(key);
    }

    /// Takes back what `event` said, unless there was another one since; but for what is closed.
    pub(crate) fn clear(&self, event: Event) {
        self.registration.clear(event);
    }

    /// What is known of `mask` without waiting.
    pub(crate) fn look(&self, mask: Readiness) -> io::Result<Event> {
        self.registration.look(mask)
    }

    /// Calls `f` if that is worth a try. It makes the one system call of `interest`, which is for one direction.
    pub(crate) fn try_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce(&E) -> io::Result<R>,
    ) -> io::Result<R> {
        self.try_or(Registration::refute, interest, f)
    }

    /// As `try_io`, with the user's `f`, of which it is not known what it tried.
    pub(crate) fn try_user_io<R>(
        &self,
        interest: Interest,
        f: impl FnOnce(&E) -> io::Result<R>,
    ) -> io::Result<R> {
        self.try_or(Registration::clear, interest, f)
    }

    #[inline]
    fn try_or<R>(
        &self,
        take_back: impl FnOnce(&Registration, Event),
        interest: Interest,
        f: impl FnOnce(&E) -> io::Result<R>,
    ) -> io::Result<R> {
        let event = self.look(interest.try_mask())?;
        if event.ready.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = f(self.io());
        if is_would_block(&result) {
            take_back(&self.registration, event);
        }
        result
    }

    /// Calls `f`, again after each wait, until it does not say that it would block. It makes the one system call
    /// of `interest`, which is for one direction.
    pub(crate) async fn async_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut(&E) -> io::Result<R>,
    ) -> io::Result<R> {
        self.again_after(Registration::refute, interest, f).await
    }

    /// As `async_io`, with the user's `f`, of which it is not known what it tried.
    pub(crate) async fn async_user_io<R>(
        &self,
        interest: Interest,
        f: impl FnMut(&E) -> io::Result<R>,
    ) -> io::Result<R> {
        self.again_after(Registration::clear, interest, f).await
    }

    async fn again_after<R>(
        &self,
        take_back: impl Fn(&Registration, Event),
        interest: Interest,
        mut f: impl FnMut(&E) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            let event = self.registration.wait(interest.try_mask()).await?;
            let step = poll_fn(coop::poll_proceed).await;
            let result = f(self.io());
            if !is_would_block(&result) {
                step.made_progress();
                return result;
            }
            take_back(&self.registration, event);
            if event.ready.is_closed() {
                // It may count as ready still: then this is not to go round without end in one poll.
                step.made_progress();
            }
        }
    }

    /// As `async_io`, for the one task that waits for `direction` in this way.
    pub(crate) fn poll_io<R>(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(&E) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            let step = ready!(coop::poll_proceed(cx));
            let event = ready!(self.registration.poll(direction, direction.try_mask(), cx))?;
            let result = f(self.io());
            if is_would_block(&result) {
                self.registration.refute(event);
            } else {
                step.made_progress();
                return Poll::Ready(result);
            }
        }
    }

    /// As `poll_io`, of a stream's `f` that moves bytes.
    pub(crate) fn poll_transfer(
        &self,
        cx: &mut Context<'_>,
        direction: Direction,
        mut f: impl FnMut(&E) -> io::Result<Moved>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let step = ready!(coop::poll_proceed(cx));
            let event = ready!(self.registration.poll(direction, direction.try_mask(), cx))?;
            if let Some(result) = self.transferred(event, f(self.io())) {
                step.made_progress();
                return Poll::Ready(result);
            }
        }
    }

    /// As `async_io`, of a stream's `f` that moves bytes.
    pub(crate) async fn async_transfer(
        &self,
        interest: Interest,
        mut f: impl FnMut(&E) -> io::Result<Moved>,
    ) -> io::Result<usize> {
        loop {
            let event = self.registration.wait(interest.try_mask()).await?;
            let step = poll_fn(coop::poll_proceed).await;
            if let Some(result) = self.transferred(event, f(self.io())) {
                step.made_progress();
                return result;
            }
        }
    }

    /// Takes back what `event` said if the next call would block, and more if this one would have: `None`.
    #[inline]
    fn transferred(&self, event: Event, result: io::Result<Moved>) -> Option<io::Result<usize>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.registration.refute(event);
                None
            }
            Err(error) => Some(Err(error)),
            Ok(Moved { len, last }) => {
                if last {
                    self.registration.clear(event);
                }
                Some(Ok(len))
            }
        }
    }
}

/// What a call has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    /// How many bytes.
    pub(crate) len: usize,
    /// The next one would block, until there is an event: it is not made.
    pub(crate) last: bool,
}

impl Moved {
    /// `len` bytes of those that were `asked` for.
    ///
    /// Where the system tells of what comes later by a new event, fewer bytes than asked for say that
    /// there are no more.
    #[inline]
    pub(crate) fn of(len: usize, asked: usize) -> Moved {
        Moved {
            len,
            last: 0 < len && len < asked && PARTIAL_IS_LAST,
        }
    }
}

/// Whether an event follows whenever more comes after a read that found less than it asked for, or
/// more room after such a write. Other systems than those of epoll and kqueue do not promise it.
const PARTIAL_IS_LAST: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "freebsd",
    target_os = "macos",
    target_os = "netbsd",
    target_os = "openbsd",
));

fn is_would_block<R>(result: &io::Result<R>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

impl<E: Source> Drop for Evented<E> {
    fn drop(&mut self) {
        if let Some(mut io) = self.io.take() {
            // If its owner closed it behind our back there is nothing left to deregister.
            let _deregistered = self.registration.deregister(&mut io);
        }
    }
}
