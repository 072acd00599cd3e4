//! Who a task is.

use crate::engine::current;
use crate::engine::task as g;

/// Identifies a task: unique among all tasks of the process, finished ones included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(g::Id);

impl Id {
    pub(crate) fn new(id: g::Id) -> Id {
        Id(id)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.get().fmt(f)
    }
}

/// The id of the task that is running.
///
/// # Panics
/// Outside of a task, also in the future given to `block_on`.
///
/// # Examples
/// ```
/// # let runtime = runnext::runtime::Runtime::new().unwrap();
/// # runtime.block_on(async {
/// let task = runnext::spawn(async { runnext::task::id() });
/// let id = task.id();
/// assert_eq!(task.await.unwrap(), id);
/// # });
/// ```
#[track_caller]
pub fn id() -> Id {
    try_id().expect("`task::id` called outside of a task; `try_id` gives `None` there")
}

/// The id of the task that is running, if this is inside of one.
pub fn try_id() -> Option<Id> {
    current::id().map(Id)
}

/// The name of the task that is running, if it was given one with
/// [`Builder::name`](super::Builder::name).
#[inline(never)] // As a thread-local is read, and the task may migrate.
pub fn name() -> Option<String> {
    current::with_g(|gp| Some(gp?.extras()?.name.as_deref()?.to_owned()))
}

/// The labels of the task that is running: its own and those of the tasks that it descends from.
/// See [`Builder::label`](super::Builder::label).
#[inline(never)] // As above.
pub fn labels() -> Vec<(String, String)> {
    current::with_g(|gp| {
        let extras = gp.and_then(g::G::extras);
        extras.map_or_else(Vec::new, |extras| {
            let labels = extras.labels.iter();
            labels
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect()
        })
    })
}
