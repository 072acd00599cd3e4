use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use pin_project::{pin_project, pinned_drop};

#[cfg(stackful)]
use crate::engine::current::{Lodger, lodge};

/// Declares task-local values: statics whose value belongs to the task that runs.
///
/// Takes any number of `static NAME: Type` declarations without an initial value, each with
/// attributes and a visibility of its own. Each becomes a static of type [`LocalKey`]. It has a
/// value only inside a scope that gives it one: see [`LocalKey::scope`].
///
/// # Examples
///
/// ```
/// runnext::task_local! {
///     /// Which request the task is serving.
///     pub static REQUEST_ID: u64;
///
///     static USER: String;
/// }
///
/// async fn log(line: &str) -> String {
///     format!("[{}] {line}", REQUEST_ID.get())
/// }
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// let line = REQUEST_ID
///     .scope(7, USER.scope("ada".to_owned(), async {
///         // No argument carries the id or the name to where they are needed.
///         USER.with(|user| assert_eq!(user, "ada"));
///         log("hello").await
///     }))
///     .await;
/// assert_eq!(line, "[7] hello");
/// # }
/// ```
///
/// [`LocalKey`]: crate::task::LocalKey
/// [`LocalKey::scope`]: crate::task::LocalKey::scope
#[macro_export]
macro_rules! task_local {
    ($($(#[$attr:meta])* $vis:vis static $name:ident: $t:ty);* $(;)?) => {
        $(
            $(#[$attr])*
            $vis static $name: $crate::task::LocalKey<$t> = {
                ::std::thread_local! {
                    static SLOT: ::std::cell::RefCell<::std::option::Option<$t>> =
                        const { ::std::cell::RefCell::new(::std::option::Option::None) };
                }
                $crate::task::LocalKey::__new(SLOT)
            };
        )*
    };
}

/// A task-local value, declared with [`task_local!`](crate::task_local).
///
/// The value is set for the time of a scope: [`scope`](Self::scope) for a future,
/// [`sync_scope`](Self::sync_scope) for a closure. There is no initial value, and nothing is
/// initialised on first use as in [`std::thread::LocalKey`]. A task spawned inside a scope does
/// not inherit the value.
///
/// # How it works
///
/// Behind each key is a thread-local slot. The future returned by `scope` owns the value; each of
/// its polls swaps it into the slot of the thread it happens to run on, and swaps it out again at
/// the end, even when the poll panics. So scopes nest, the value follows the future from thread to
/// thread, and the futures of a `join!` each see their own.
///
/// In a stackful task a scope may be left and come back to in the middle, by a wait: meanwhile the
/// value is out of the slot. But a wait inside of [`with`](Self::with), which lends the value from
/// the slot, blocks the thread.
///
/// # Examples
///
/// ```
/// runnext::task_local! {
///     static DEPTH: u32;
/// }
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// DEPTH
///     .scope(1, async {
///         assert_eq!(DEPTH.get(), 1);
///         DEPTH.scope(2, async { assert_eq!(DEPTH.get(), 2) }).await;
///         assert_eq!(DEPTH.get(), 1);
///     })
///     .await;
/// assert!(DEPTH.try_get().is_err());
/// # }
/// ```
pub struct LocalKey<T: 'static> {
    slot: thread::LocalKey<RefCell<Option<T>>>,
}

impl<T: 'static> LocalKey<T> {
    /// For the expansion of [`task_local!`](crate::task_local) only.
    #[doc(hidden)]
    pub const fn __new(slot: thread::LocalKey<RefCell<Option<T>>>) -> Self {
        Self { slot }
    }

    /// Runs a future with the key set to `value`.
    ///
    /// The value is there whenever the future is polled and while it is dropped. It is dropped
    /// after the future, with the returned [`TaskLocalFuture`], unless it was
    /// [taken out](TaskLocalFuture::take_value).
    ///
    /// # Panics
    ///
    /// Polling the returned future panics inside [`with`](Self::with) or
    /// [`try_with`](Self::try_with) of the same key, and while the thread is destroying its
    /// thread-local values.
    ///
    /// # Cancel safety
    ///
    /// That of `f`, which still sees the value while it is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// runnext::task_local! {
    ///     static NAME: &'static str;
    /// }
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let task = runnext::spawn(NAME.scope("worker", async { NAME.get() }));
    /// assert_eq!(task.await.unwrap(), "worker");
    /// # }
    /// ```
    pub fn scope<F>(&'static self, value: T, f: F) -> TaskLocalFuture<T, F>
    where
        F: Future,
    {
        TaskLocalFuture {
            future: Some(f),
            value: Some(value),
            key: self,
        }
    }

    /// Runs a closure with the key set to `value`, and drops the value afterwards.
    ///
    /// In a stackful task `f` may [`wait`](crate::wait()): the value leaves the thread with the task, and
    /// comes back with it. A task that is [migratable](crate::stackful::Builder::migratable) blocks its
    /// thread there instead.
    ///
    /// # Panics
    ///
    /// Inside [`with`](Self::with) or [`try_with`](Self::try_with) of the same key, and while the
    /// thread is destroying its thread-local values. A panic of `f` is passed on, with the key
    /// back at its former value.
    ///
    /// # Examples
    ///
    /// ```
    /// runnext::task_local! {
    ///     static LIMIT: usize;
    /// }
    ///
    /// fn fits(text: &str) -> bool {
    ///     LIMIT.with(|&limit| text.len() <= limit)
    /// }
    ///
    /// assert!(LIMIT.sync_scope(5, || fits("hello")));
    /// assert!(!LIMIT.sync_scope(4, || fits("hello")));
    /// ```
    #[track_caller]
    pub fn sync_scope<F, R>(&'static self, value: T, f: F) -> R
    where
        F: FnOnce() -> R,
    {
        match self.with_swapped(&mut Some(value), f) {
            Ok(result) => result,
            Err(refused) => refused.panic(),
        }
    }

    /// Calls a closure with a reference to the value.
    ///
    /// # Panics
    ///
    /// When the key has no value: outside of a scope, or after
    /// [`take_value`](TaskLocalFuture::take_value).
    ///
    /// # Examples
    ///
    /// ```
    /// runnext::task_local! {
    ///     static USER: String;
    /// }
    ///
    /// let length = USER.sync_scope("ada".to_owned(), || USER.with(|user| user.len()));
    /// assert_eq!(length, 3);
    /// ```
    #[track_caller]
    pub fn with<F, R>(&'static self, f: F) -> R
    where
        F: FnOnce(&T) -> R,
    {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => panic!("{error}: give it one with `scope` or `sync_scope`"),
        }
    }

    /// Calls a closure with a reference to the value, if there is one.
    ///
    /// # Errors
    ///
    /// [`AccessError`] when the key has no value here: outside of a scope, after
    /// [`take_value`](TaskLocalFuture::take_value), or while the thread is destroying its
    /// thread-local values.
    ///
    /// # Examples
    ///
    /// ```
    /// runnext::task_local! {
    ///     static USER: String;
    /// }
    ///
    /// assert!(USER.try_with(|user| user.len()).is_err());
    /// ```
    pub fn try_with<F, R>(&'static self, f: F) -> Result<R, AccessError>
    where
        F: FnOnce(&T) -> R,
    {
        self.slot
            // The slot is never mutably borrowed while code of the user runs.
            .try_with(|slot| slot.borrow().as_ref().map(f))
            .ok()
            .flatten()
            .ok_or(AccessError)
    }

    /// Runs `f` with `value` and the slot's contents swapped, and swaps them back afterwards, also
    /// on a panic.
    fn with_swapped<F, R>(&'static self, value: &mut Option<T>, f: F) -> Result<R, Refused>
    where
        F: FnOnce() -> R,
    {
        self.swap(value)?;
        let scoped = Scoped {
            key: self,
            value: RefCell::new(value),
        };
        Ok(scoped.during(f))
    }

    fn swap(&'static self, value: &mut Option<T>) -> Result<(), Refused> {
        self.slot
            .try_with(|slot| match slot.try_borrow_mut() {
                Ok(mut slot) => {
                    mem::swap(&mut *slot, value);
                    Ok(())
                }
                Err(_) => Err(Refused::Borrowed),
            })
            .unwrap_or(Err(Refused::Destroyed))
    }
}

/// A value in its slot, and where it goes afterwards.
struct Scoped<'a, T: 'static> {
    key: &'static LocalKey<T>,
    value: RefCell<&'a mut Option<T>>,
}

impl<T: 'static> Scoped<'_, T> {
    #[cfg(stackful)]
    fn during<R>(&self, f: impl FnOnce() -> R) -> R {
        lodge(self, f)
    }

    #[cfg(not(stackful))]
    fn during<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }
}

impl<T: 'static> Drop for Scoped<'_, T> {
    fn drop(&mut self) {
        // Cannot be refused: the slot outlives this stack frame, since it was alive on the way in,
        // and every borrow of it ends within the `try_with` that made it.
        let _ = self.key.swap(self.value.get_mut());
    }
}

/// While a stackful task waits inside of a scope its value is out of the slot.
#[cfg(stackful)]
impl<T: 'static> Lodger for Scoped<'_, T> {
    fn swap(&self) {
        // Not refused: the slot is alive as above, and not borrowed, see `is_held`.
        let _ = self.key.swap(&mut self.value.borrow_mut());
    }

    fn is_held(&self) -> bool {
        self.key
            .slot
            .try_with(|slot| slot.try_borrow_mut().is_err())
            .unwrap_or(true)
    }
}

impl<T: Clone + 'static> LocalKey<T> {
    /// Returns a clone of the value.
    ///
    /// # Panics
    ///
    /// When the key has no value, like [`with`](Self::with).
    ///
    /// # Examples
    ///
    /// ```
    /// runnext::task_local! {
    ///     static ID: u32;
    /// }
    ///
    /// assert_eq!(ID.sync_scope(3, || ID.get()), 3);
    /// ```
    #[track_caller]
    pub fn get(&'static self) -> T {
        self.with(T::clone)
    }

    /// Returns a clone of the value, if there is one.
    ///
    /// # Errors
    ///
    /// [`AccessError`] when the key has no value here, like [`try_with`](Self::try_with).
    ///
    /// # Examples
    ///
    /// ```
    /// runnext::task_local! {
    ///     static ID: u32;
    /// }
    ///
    /// assert!(ID.try_get().is_err());
    /// assert_eq!(ID.sync_scope(3, || ID.try_get()), Ok(3));
    /// ```
    pub fn try_get(&'static self) -> Result<T, AccessError> {
        self.try_with(T::clone)
    }
}

impl<T: 'static> fmt::Debug for LocalKey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("LocalKey { .. }")
    }
}

/// The future of [`LocalKey::scope`]: runs a future with a task-local value.
///
/// # Panics
///
/// Polling it again after it completed panics, as does polling it where
/// [`LocalKey::scope`] says so.
///
/// # Examples
///
/// ```
/// use runnext::task::futures::TaskLocalFuture;
/// use std::future::Future;
///
/// runnext::task_local! {
///     static TENANT: u32;
/// }
///
/// fn for_tenant<F: Future>(id: u32, work: F) -> TaskLocalFuture<u32, F> {
///     TENANT.scope(id, work)
/// }
///
/// # #[runnext::main(flavor = "current_thread")]
/// # async fn main() {
/// assert_eq!(for_tenant(4, async { TENANT.get() }).await, 4);
/// # }
/// ```
// `!Unpin` whatever the inner future is: what is promised for one is promised for all.
#[pin_project(PinnedDrop, !Unpin)]
#[must_use = "futures do nothing unless polled"]
pub struct TaskLocalFuture<T: 'static, F> {
    // Before `value`: where the drop below cannot swap, the future still goes first.
    #[pin]
    future: Option<F>,
    value: Option<T>,
    key: &'static LocalKey<T>,
}

impl<T: 'static, F> TaskLocalFuture<T, F> {
    /// Takes the value out, or returns `None` when it was taken out before.
    ///
    /// Works before, between and after the polls. A future that is polled after its value was
    /// taken finds the key without a value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::cell::RefCell;
    ///
    /// runnext::task_local! {
    ///     static TRACE: RefCell<Vec<&'static str>>;
    /// }
    ///
    /// # #[runnext::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut work = Box::pin(TRACE.scope(RefCell::default(), async {
    ///     TRACE.with(|trace| trace.borrow_mut().push("started"));
    ///     TRACE.with(|trace| trace.borrow_mut().push("finished"));
    /// }));
    /// work.as_mut().await;
    ///
    /// let trace = work.as_mut().take_value().unwrap();
    /// assert_eq!(trace.into_inner(), ["started", "finished"]);
    /// # }
    /// ```
    pub fn take_value(self: Pin<&mut Self>) -> Option<T> {
        self.project().value.take()
    }
}

impl<T: 'static, F: Future> Future for TaskLocalFuture<T, F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut future = this.future;
        let polled = this.key.with_swapped(this.value, || {
            let output = future.as_mut().as_pin_mut()?.poll(cx);
            if output.is_ready() {
                // Dropped here, where it still sees the value.
                future.set(None);
            }
            Some(output)
        });
        match polled {
            Ok(Some(output)) => output,
            Ok(None) => panic!("`TaskLocalFuture` polled after completion"),
            Err(refused) => refused.panic(),
        }
    }
}

#[pinned_drop]
impl<T: 'static, F> PinnedDrop for TaskLocalFuture<T, F> {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        let mut future = this.future;
        if mem::needs_drop::<F>() && future.is_some() {
            // Where the swap is refused, the future is dropped as a field instead, without seeing
            // the value: a drop is no place to panic.
            let _ = this.key.with_swapped(this.value, || future.set(None));
        }
    }
}

impl<T: fmt::Debug + 'static, F> fmt::Debug for TaskLocalFuture<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("TaskLocalFuture");
        match &self.value {
            Some(value) => debug.field("value", value),
            None => debug.field("value", &format_args!("<missing>")),
        };
        debug.finish()
    }
}

/// The error of [`LocalKey::try_with`] and [`LocalKey::try_get`]: the key has no value here.
///
/// # Examples
///
/// ```
/// runnext::task_local! {
///     static ID: u32;
/// }
///
/// let error = ID.try_get().unwrap_err();
/// assert_eq!(error.to_string(), "task-local value not set");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessError;

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("task-local value not set")
    }
}

impl Error for AccessError {}

/// Why a value could not be swapped into its slot.
enum Refused {
    Borrowed,
    Destroyed,
}

impl Refused {
    #[track_caller]
    fn panic(&self) -> ! {
        match self {
            Self::Borrowed => panic!(
                "cannot enter a task-local scope inside `with` of the same key: \
                 its value is borrowed"
            ),
            Self::Destroyed => panic!(
                "cannot enter a task-local scope while the thread destroys its thread-local values"
            ),
        }
    }
}
