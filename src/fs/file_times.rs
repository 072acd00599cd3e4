use std::time::SystemTime;

/// The times to set with [`File::set_times`](super::File::set_times); those that are not named stay
/// as they are.
///
/// # Examples
/// ```
/// use runnext::fs::FileTimes;
/// use std::time::SystemTime;
///
/// let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "`File::set_times` sets them"]
pub struct FileTimes(std::fs::FileTimes);

impl FileTimes {
    /// No times.
    pub fn new() -> FileTimes {
        FileTimes::default()
    }

    /// The time of the last access.
    pub fn set_accessed(self, t: SystemTime) -> FileTimes {
        FileTimes(self.0.set_accessed(t))
    }

    /// The time of the last change of the contents.
    pub fn set_modified(self, t: SystemTime) -> FileTimes {
        FileTimes(self.0.set_modified(t))
    }

    pub(super) fn into_std(self) -> std::fs::FileTimes {
        self.0
    }
}
