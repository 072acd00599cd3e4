//! What to run, and how.
//!
//! `unsafe`: what runs between fork and exec is a promise by the user, as in the standard library.

use super::Child;
use crate::runtime::Handle;
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command as StdCommand, ExitStatus, Output, Stdio};

/// What to run, and how: [`std::process::Command`], whose processes are waited for without blocking a
/// thread.
///
/// Unless it is set otherwise, the process has the environment, the directory and, with
/// [`spawn`](Command::spawn) and [`status`](Command::status), the standard streams of this one.
///
/// # Examples
/// ```
/// use runnext::process::Command;
///
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let mut command = Command::new("sh");
/// command.args(["-c", "test \"$WORD\" = hello"]).env("WORD", "hello");
/// assert!(command.status().await?.success());
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Command {
    std: StdCommand,
    kill_on_drop: bool,
}

impl Command {
    /// Runs `program`, which is looked for in `PATH` unless it is a path itself. See
    /// [`std::process::Command::new`].
    pub fn new<S: AsRef<OsStr>>(program: S) -> Command {
        Command::from(StdCommand::new(program))
    }

    /// The command of the standard library, for looking at what is set.
    pub fn as_std(&self) -> &StdCommand {
        &self.std
    }

    /// The command of the standard library, for setting what cannot be set here.
    pub fn as_std_mut(&mut self) -> &mut StdCommand {
        &mut self.std
    }

    /// The command of the standard library. [`kill_on_drop`](Command::kill_on_drop) is lost.
    pub fn into_std(self) -> StdCommand {
        self.std
    }

    /// Adds an argument. No shell splits it or reads anything into it.
    pub fn arg<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.std.arg(arg);
        self
    }

    /// Adds arguments.
    pub fn args<I, S>(&mut self, args: I) -> &mut Command
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.std.args(args);
        self
    }

    /// Sets the name that the process is told it was called by, its argument 0.
    pub fn arg0<S: AsRef<OsStr>>(&mut self, arg: S) -> &mut Command {
        self.std.arg0(arg);
        self
    }

    /// Sets a variable of its environment.
    pub fn env<K, V>(&mut self, key: K, val: V) -> &mut Command
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.env(key, val);
        self
    }

    /// Sets variables of its environment.
    pub fn envs<I, K, V>(&mut self, vars: I) -> &mut Command
    where
        I: IntoIterator<Item = (K, V)>,
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        self.std.envs(vars);
        self
    }

    /// Leaves a variable out of its environment.
    pub fn env_remove<K: AsRef<OsStr>>(&mut self, key: K) -> &mut Command {
        self.std.env_remove(key);
        self
    }

    /// Leaves everything out of its environment that this process has in its own, or that was set before.
    pub fn env_clear(&mut self) -> &mut Command {
        self.std.env_clear();
        self
    }

    /// Sets its directory.
    pub fn current_dir<P: AsRef<Path>>(&mut self, dir: P) -> &mut Command {
        self.std.current_dir(dir);
        self
    }

    /// Sets its standard input: [`Stdio::piped`] makes it a pipe to [`Child::stdin`].
    pub fn stdin<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.std.stdin(cfg);
        self
    }

    /// Sets its standard output: [`Stdio::piped`] makes it a pipe to [`Child::stdout`].
    pub fn stdout<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.std.stdout(cfg);
        self
    }

    /// Sets its standard error: [`Stdio::piped`] makes it a pipe to [`Child::stderr`].
    pub fn stderr<T: Into<Stdio>>(&mut self, cfg: T) -> &mut Command {
        self.std.stderr(cfg);
        self
    }

    /// Kills the process when its [`Child`], or the future of [`status`](Command::status) or
    /// [`output`](Command::output), is dropped before it was waited for. Otherwise it runs on.
    ///
    /// Its exit status is asked for later, when it has ended; see the [module](super).
    pub fn kill_on_drop(&mut self, kill_on_drop: bool) -> &mut Command {
        self.kill_on_drop = kill_on_drop;
        self
    }

    /// What [`kill_on_drop`](Command::kill_on_drop) was set to; `false` unless it was.
    pub fn get_kill_on_drop(&self) -> bool {
        self.kill_on_drop
    }

    /// Sets the user of the process, for which this one needs the right.
    pub fn uid(&mut self, id: u32) -> &mut Command {
        self.std.uid(id);
        self
    }

    /// Sets the group of the process, for which this one needs the right.
    pub fn gid(&mut self, id: u32) -> &mut Command {
        self.std.gid(id);
        self
    }

    /// Sets the process group; 0 makes it the first of a new one, to which signals from the terminal of
    /// this process, as by Ctrl-C, do not go.
    pub fn process_group(&mut self, pgroup: i32) -> &mut Command {
        self.std.process_group(pgroup);
        self
    }

    /// Runs `f` in the new process before the program. If it fails the program is not run, and the start
    /// fails with that error.
    ///
    /// # Safety
    /// `f` runs in a copy of this process, made by `fork`, which has a copy of the memory and of this
    /// thread alone. What other threads were doing at that moment stays half done there: a lock that was
    /// held remains so for ever, that of the memory allocator and those of this runtime among them. So `f`
    /// may do only what is async-signal-safe, and nothing of this crate. It must not rely on owning
    /// descriptors or mapped memory that this process owns too. See [`CommandExt::pre_exec`].
    #[allow(unsafe_code)] // The promise is the user's.
    pub unsafe fn pre_exec<F>(&mut self, f: F) -> &mut Command
    where
        F: FnMut() -> io::Result<()> + Send + Sync + 'static,
    {
        // SAFETY: by this function's contract.
        unsafe { self.std.pre_exec(f) };
        self
    }

    /// Starts the process, and returns when the program has been loaded. The standard streams are those
    /// of this process unless they were set.
    ///
    /// It can be started several times.
    ///
    /// # Errors
    /// Those of the operating system: [`NotFound`](io::ErrorKind::NotFound) if there is no such program,
    /// [`PermissionDenied`](io::ErrorKind::PermissionDenied) if it may not be run, the lack of descriptors
    /// or processes. Or the runtime is gone. If there are too few descriptors for what this process needs
    /// of it, the process may have run for a moment before it was killed.
    ///
    /// # Panics
    /// If there is no current runtime.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        // Before anything is started.
        let handle = Handle::current();
        Child::new(&handle, self.std.spawn()?, self.kill_on_drop)
    }

    /// Starts the process at once, as [`spawn`](Command::spawn) does, and waits for its end. Streams that
    /// were set to be pipes are closed.
    ///
    /// If the future is dropped the process runs on, unless [`kill_on_drop`](Command::kill_on_drop) was
    /// set.
    ///
    /// # Errors
    /// Those of [`spawn`](Command::spawn) and of [`Child::wait`].
    ///
    /// # Panics
    /// If there is no current runtime when this is called.
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let child = self.spawn();
        async {
            let mut child = child?;
            // It would wait for ever for somebody to read what it writes.
            drop((child.stdout.take(), child.stderr.take()));
            child.wait().await
        }
    }

    /// Starts the process at once, as [`spawn`](Command::spawn) does, and waits for its end and for what
    /// it writes to its standard output and standard error, whatever these were set to. Its standard input
    /// is this process's, unless it was set.
    ///
    /// If the future is dropped the process runs on, unless [`kill_on_drop`](Command::kill_on_drop) was
    /// set.
    ///
    /// # Errors
    /// Those of [`spawn`](Command::spawn) and of [`Child::wait_with_output`].
    ///
    /// # Panics
    /// If there is no current runtime when this is called.
    ///
    /// # Examples
    /// ```
    /// use runnext::process::Command;
    ///
    /// # let runtime = runnext::runtime::Runtime::new().unwrap();
    /// # runtime.block_on(async {
    /// let output = Command::new("sh").args(["-c", "echo out; echo err >&2"]).output().await?;
    /// assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.std.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.spawn();
        async { child?.wait_with_output().await }
    }
}

impl From<StdCommand> for Command {
    fn from(std: StdCommand) -> Command {
        Command {
            std,
            kill_on_drop: false,
        }
    }
}
