//! A process that was started.

use super::orphan;
use super::stdio::{ChildStderr, ChildStdin, ChildStdout};
use super::watched::Watched;
use crate::runtime::Handle;
use crate::task::coop;
use futures_io::AsyncRead;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::process::{ExitStatus, Output};
use std::task::{Context, Poll, ready};

/// A child process. Made by [`Command::spawn`](super::Command::spawn).
///
/// The process is not ended when this is dropped, unless
/// [`kill_on_drop`](super::Command::kill_on_drop) says so. See the [module](super) on what becomes of it.
///
/// # Examples
/// ```
/// use runnext::process::Command;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let mut child = Command::new("sleep").arg("1000").spawn()?;
/// assert!(child.try_wait()?.is_none());
/// child.kill().await?;
/// assert!(!child.wait().await?.success());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Child {
    /// What is written to it the child reads, if its standard input is a
    /// [pipe](std::process::Stdio::piped). It is closed by [`wait`](Child::wait).
    pub stdin: Option<ChildStdin>,
    /// From this is read what the child writes to its standard output, if that is a
    /// [pipe](std::process::Stdio::piped).
    pub stdout: Option<ChildStdout>,
    /// From this is read what the child writes to its standard error, if that is a
    /// [pipe](std::process::Stdio::piped).
    pub stderr: Option<ChildStderr>,
    state: State,
}

#[derive(Debug)]
enum State {
    Running(Running),
    Ended(ExitStatus),
}

#[derive(Debug)]
struct Running {
    /// Empty in the destructor alone.
    watched: Option<Watched>,
    kill_on_drop: bool,
}

impl Child {
    /// Of a process that has just been started, for the runtime of `handle`, which is the current one.
    ///
    /// # Errors
    /// If there are no descriptors left, or the runtime is gone. The process was killed then.
    pub(super) fn new(
        handle: &Handle,
        mut child: std::process::Child,
        kill_on_drop: bool,
    ) -> io::Result<Child> {
        orphan::take_over(handle);
        let streams = Streams::of(&mut child);
        let watched = match streams {
            Ok(streams) => Watched::new(handle, child).map(|watched| (watched, streams)),
            Err(error) => Err((child, error)),
        };
        match watched {
            Ok((watched, streams)) => Ok(Child {
                stdin: streams.stdin,
                stdout: streams.stdout,
                stderr: streams.stderr,
                state: State::Running(Running {
                    watched: Some(watched),
                    kill_on_drop,
                }),
            }),
            Err((mut child, error)) => {
                // To its starter it has not started. This takes no longer than the start did.
                let _killed = child.kill();
                let _waited = child.wait();
                Err(error)
            }
        }
    }

    /// The number of the process in the system. `None` when it was waited for, since the number may be
    /// another's then.
    pub fn id(&self) -> Option<u32> {
        match &self.state {
            State::Running(running) => Some(running.watched().child.id()),
            State::Ended(_) => None,
        }
    }

    /// Kills the process, by `SIGKILL`, and does not wait for its end.
    ///
    /// That is no error if it has ended, or is about to.
    ///
    /// # Errors
    /// Those of the operating system, as when the process has taken on another user's rights.
    pub fn start_kill(&mut self) -> io::Result<()> {
        match &mut self.state {
            State::Running(running) => running.kill(),
            State::Ended(_) => Ok(()),
        }
    }

    /// Kills the process, and waits for its end. As [`start_kill`](Child::start_kill) and
    /// [`wait`](Child::wait).
    ///
    /// # Errors
    /// As for these.
    ///
    /// # Cancel safety
    /// The process is killed by the first poll; the wait can be taken up again by `wait`.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.start_kill()?;
        self.wait().await.map(drop)
    }

    /// Waits for the end of the process, after having closed its standard input, for whose end it may
    /// wait in turn. Once it has ended this returns the same again and again.
    ///
    /// A process that writes more to its standard output than the pipe has room for waits until somebody
    /// reads it: one has to read meanwhile, as [`wait_with_output`](Child::wait_with_output) does.
    ///
    /// # Errors
    /// Those of the operating system, as when somebody else waited for the process; or it has not ended,
    /// and the runtime in which it was started is gone.
    ///
    /// # Cancel safety
    /// Cancel safe, but the standard input remains closed. To keep it open, take it out of
    /// [`stdin`](Child::stdin) before.
    ///
    /// # Examples
    /// ```
    /// use runnext::process::Command;
    ///
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let mut child = Command::new("sh").args(["-c", "exit 3"]).spawn()?;
    /// assert_eq!(child.wait().await?.code(), Some(3));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let state = &mut self.state;
        poll_fn(|cx| state.poll_wait(cx)).await
    }

    /// The exit status, if the process has ended. It does not wait, and closes nothing.
    ///
    /// # Errors
    /// Those of the operating system, as when somebody else waited for the process.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        match &mut self.state {
            State::Running(running) => {
                let result = running.watched_mut().child.try_wait();
                self.state.settle(result)
            }
            State::Ended(status) => Ok(Some(*status)),
        }
    }

    /// Waits for the end of the process, and meanwhile reads what it writes to its standard output and
    /// standard error, if they are pipes.
    ///
    /// It goes on until these are closed by all processes that have them: those that the child has
    /// started may live longer. The standard input is closed before.
    ///
    /// # Errors
    /// Those of [`wait`](Child::wait) and of reading.
    ///
    /// # Cancel safety
    /// What was read is lost. The process is dropped with it, which ends it if
    /// [`kill_on_drop`](super::Command::kill_on_drop) was set.
    pub async fn wait_with_output(mut self) -> io::Result<Output> {
        let (mut stdout, mut stderr) = (self.stdout.take(), self.stderr.take());
        let (mut status, mut output, mut errors) = (None, None, None);
        {
            let mut wait = pin!(self.wait());
            let mut read_output = pin!(read_to_end(&mut stdout));
            let mut read_errors = pin!(read_to_end(&mut stderr));
            poll_fn(|cx| {
                advance(&mut status, wait.as_mut(), cx)?;
                advance(&mut output, read_output.as_mut(), cx)?;
                advance(&mut errors, read_errors.as_mut(), cx)?;
                if status.is_some() && output.is_some() && errors.is_some() {
                    return Poll::Ready(io::Result::Ok(()));
                }
                Poll::Pending
            })
            .await?;
        }
        Ok(Output {
            status: status.expect("it has ended"),
            stdout: output.expect("it was read to its end"),
            stderr: errors.expect("it was read to its end"),
        })
    }
}

/// Polls `future` unless it is done.
fn advance<T>(
    done: &mut Option<T>,
    future: Pin<&mut impl Future<Output = io::Result<T>>>,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    if done.is_none()
        && let Poll::Ready(result) = future.poll(cx)
    {
        *done = Some(result?);
    }
    Ok(())
}

/// What comes from `stream` until its end, if there is one.
async fn read_to_end(stream: &mut Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    const LEAST: usize = 4096;
    let mut bytes = Vec::new();
    let Some(stream) = stream else {
        return Ok(bytes);
    };
    let mut len = 0;
    loop {
        if bytes.len() - len < LEAST / 2 {
            let more = bytes.len().max(LEAST);
            bytes.try_reserve(more).map_err(io::Error::from)?;
            bytes.resize(bytes.len() + more, 0);
        }
        let room = &mut bytes[len..];
        match poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, room)).await {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(len);
    Ok(bytes)
}

impl State {
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        match self {
            State::Running(running) => {
                let step = ready!(coop::poll_proceed(cx));
                let result = ready!(running.watched_mut().poll_wait(cx));
                step.made_progress();
                Poll::Ready(self.settle(result))
            }
            State::Ended(status) => Poll::Ready(Ok(*status)),
        }
    }

    /// Takes note of what a wait has found.
    fn settle<S>(&mut self, result: io::Result<S>) -> io::Result<S>
    where
        S: Copy + Into<Option<ExitStatus>>,
    {
        let State::Running(running) = self else {
            return result;
        };
        match &result {
            Ok(found) => {
                if let Some(status) = (*found).into() {
                    running.kill_on_drop = false;
                    *self = State::Ended(status);
                }
            }
            // Its number may be another's by now.
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => {
                running.kill_on_drop = false;
            }
            Err(_) => {}
        }
        result
    }
}

impl Running {
    fn watched(&self) -> &Watched {
        let watched = self.watched.as_ref();
        watched.expect("it is there until the destructor")
    }

    fn watched_mut(&mut self) -> &mut Watched {
        let watched = self.watched.as_mut();
        watched.expect("it is there until the destructor")
    }

    fn kill(&mut self) -> io::Result<()> {
        self.watched_mut().child.kill()?;
        self.kill_on_drop = false;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.kill_on_drop {
            let _killed = self.kill();
        }
        if let Some(watched) = self.watched.take() {
            orphan::leave(watched);
        }
    }
}

/// The ends of the pipes to a child.
#[derive(Debug)]
struct Streams {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

impl Streams {
    fn of(child: &mut std::process::Child) -> io::Result<Streams> {
        Ok(Streams {
            stdin: child.stdin.take().map(ChildStdin::from_std).transpose()?,
            stdout: child.stdout.take().map(ChildStdout::from_std).transpose()?,
            stderr: child.stderr.take().map(ChildStderr::from_std).transpose()?,
        })
    }
}
