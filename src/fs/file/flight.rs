//! The operation that a file has in flight, and what it leaves behind.

use crate::io::buf::{Buf, slices};
use crate::io::lost;
use crate::task::{JoinHandle, spawn_owed, try_spawn_blocking};
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// At most one operation, and the buffer, which it has meanwhile.
#[derive(Debug)]
pub(super) struct Flight {
    state: State,
    /// The error of a write, until somebody is told.
    write_error: Option<io::Error>,
    /// Where the last seek went.
    position: u64,
}

#[derive(Debug)]
enum State {
    /// What is in the buffer was read and not taken yet.
    Idle(Buf),
    Busy {
        running: Running,
        /// Where to, if it is a seek.
        seek: Option<SeekFrom>,
    },
}

type Running = JoinHandle<(Outcome, Buf)>;

/// How an operation ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Read(io::Result<()>),
    Write(io::Result<()>),
    Seek(io::Result<u64>),
    Other(io::Result<()>),
}

impl Flight {
    pub(super) fn new() -> Flight {
        Flight {
            state: State::Idle(Buf::new()),
            write_error: None,
            position: 0,
        }
    }

    /// The buffer, if nothing is in flight.
    pub(super) fn idle(&mut self) -> Option<&mut Buf> {
        match &mut self.state {
            State::Idle(buf) => Some(buf),
            State::Busy { .. } => None,
        }
    }

    pub(super) fn has_unread(&mut self) -> bool {
        self.idle().is_some_and(|buf| !buf.is_empty())
    }

    /// Starts an operation; nothing is in flight.
    pub(super) fn start(
        &mut self,
        std: &Arc<File>,
        operation: impl FnOnce(&File, &mut Buf) -> Outcome + Send + 'static,
    ) -> io::Result<()> {
        let job = self.job(std, operation);
        self.begin(try_spawn_blocking(job)?, None);
        Ok(())
    }

    fn job(
        &mut self,
        std: &Arc<File>,
        operation: impl FnOnce(&File, &mut Buf) -> Outcome + Send + 'static,
    ) -> impl FnOnce() -> (Outcome, Buf) + Send + 'static {
        let std = std.clone();
        let mut buf = std::mem::take(self.idle().expect("one operation at a time"));
        move || {
            let outcome = operation(&std, &mut buf);
            // Before anybody hears of the end, so that `into_std` finds the file unshared.
            drop(std);
            (outcome, buf)
        }
    }

    fn begin(&mut self, running: Running, seek: Option<SeekFrom>) {
        self.state = State::Busy { running, seek };
    }

    /// Waits for the operation in flight; `None` if there is none.
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Outcome>>> {
        let State::Busy { running, .. } = &mut self.state else {
            return Poll::Ready(Ok(None));
        };
        let ended = ready!(Pin::new(running).poll(cx));
        let (outcome, buf) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                self.state = State::Idle(Buf::new());
                return Poll::Ready(Err(lost(error)));
            }
        };
        self.state = State::Idle(buf);
        if let Outcome::Seek(Ok(position)) = outcome {
            self.position = position;
        }
        Poll::Ready(Ok(Some(outcome)))
    }

    fn note(&mut self, outcome: Outcome) {
        if let Outcome::Write(Err(error)) = outcome {
            self.write_error.get_or_insert(error);
        }
    }

    /// Waits until nothing is in flight.
    pub(super) async fn settle(&mut self) {
        match poll_fn(|cx| self.poll_outcome(cx)).await {
            Ok(outcome) => self.note(outcome.unwrap_or(Outcome::Other(Ok(())))),
            // It might have been a write.
            Err(error) => self.note(Outcome::Write(Err(error))),
        }
    }

    /// Waits for an operation that was started as another one than a read, write or seek.
    pub(super) async fn other(&mut self) -> io::Result<()> {
        match poll_fn(|cx| self.poll_outcome(cx)).await? {
            Some(Outcome::Other(result)) => result,
            outcome => unreachable!("{outcome:?} while the file is locked"),
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Waits until there is something in the buffer, or the file has ended, or `wanted` is zero.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        std: &Arc<File>,
        wanted: usize,
    ) -> Poll<io::Result<&mut Buf>> {
        loop {
            if let Some(buf) = self.idle() {
                if wanted == 0 || !buf.is_empty() {
                    break;
                }
                self.start(std, move |mut std, buf| {
                    Outcome::Read(buf.read_from(&mut std, wanted))
                })?;
            }
            match ready!(self.poll_outcome(cx))? {
                Some(Outcome::Read(result)) => {
                    result?;
                    break;
                }
                outcome => self.note(outcome.expect("an operation was in flight")),
            }
        }
        Poll::Ready(Ok(self.idle().expect("the operation has ended")))
    }

    /// Hands up to `max` bytes of `parts` to an operation that writes them.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        std: &Arc<File>,
        parts: &[IoSlice<'_>],
        max: usize,
    ) -> Poll<io::Result<usize>> {
        if let Some(error) = self.write_error.take() {
            return Poll::Ready(Err(error));
        }
        if let Some(Outcome::Write(result)) = ready!(self.poll_outcome(cx))? {
            result?;
        }
        let buf = self.idle().expect("the operation has ended");
        let rewind = buf.rewind();
        let count = buf.fill(slices(parts), max);
        let job = self.job(std, move |mut std, buf| {
            let rewound = rewind.map_or(Ok(0), |to| std.seek(to));
            Outcome::Write(rewound.and_then(|_| buf.write_to(&mut std)))
        });
        self.begin(spawn_owed(job)?, None);
        Poll::Ready(Ok(count))
    }

    /// Waits for a write in flight.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(error) = self.write_error.take() {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(match ready!(self.poll_outcome(cx))? {
            Some(Outcome::Write(result)) => result,
            _ => Ok(()),
        })
    }

    /// Starts a seek.
    ///
    /// # Errors
    /// If something is in flight.
    pub(super) fn start_seek(&mut self, std: &Arc<File>, to: SeekFrom) -> io::Result<()> {
        let Some(buf) = self.idle() else {
            return Err(io::Error::other(
                "another operation of this file is in flight: call `poll_complete` before \
                 `start_seek`, or use `seek`",
            ));
        };
        // `to` may count from what was taken; and if it is nowhere, that is where the file stays.
        let back = buf.rewind();
        let job = self.job(std, move |mut std, _| {
            let rewound = back.map_or(Ok(0), |back| std.seek(back));
            Outcome::Seek(rewound.and_then(|_| std.seek(to)))
        });
        self.begin(try_spawn_blocking(job)?, Some(to));
        Ok(())
    }

    /// Waits for a seek in flight, or else for anything. Where the last seek went.
    pub(super) fn poll_complete(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        match ready!(self.poll_outcome(cx))? {
            Some(Outcome::Seek(result)) => return Poll::Ready(result),
            Some(outcome) => self.note(outcome),
            None => {}
        }
        Poll::Ready(Ok(self.position))
    }

    /// Seeks. What is in flight is waited for; a seek to the same place may be of a future that was
    /// dropped, and is then completed by this one.
    pub(super) fn poll_seek(
        &mut self,
        cx: &mut Context<'_>,
        std: &Arc<File>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        loop {
            match &self.state {
                State::Busy { seek, .. } if *seek == Some(to) => return self.poll_complete(cx),
                State::Busy { .. } => {
                    // The result of another seek is that of a future which was dropped.
                    let outcome = ready!(self.poll_outcome(cx))?;
                    self.note(outcome.expect("an operation was in flight"));
                }
                State::Idle(_) => self.start_seek(std, to)?,
            }
        }
    }
}
