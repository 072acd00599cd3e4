//! What the threads of this process do.

use std::collections::BTreeMap;

/// Of each thread: whether it sleeps, and how often it gave up or lost its CPU.
pub(crate) type Threads = BTreeMap<String, (bool, String, String)>;

/// The threads with this name.
pub(crate) fn threads(name: &str) -> Threads {
    let read = |thread: &std::path::Path, file| std::fs::read_to_string(thread.join(file));
    let mut threads = BTreeMap::new();
    for thread in std::fs::read_dir("/proc/self/task").unwrap() {
        let thread = thread.unwrap().path();
        // One that ends meanwhile has no files any more.
        let (Ok(comm), Ok(status)) = (read(&thread, "comm"), read(&thread, "status")) else {
            continue;
        };
        if comm.trim() != name {
            continue;
        }
        let field = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.expect("a field of the status").trim().to_owned()
        };
        let asleep = field("State:").starts_with('S');
        let switches = (
            field("voluntary_ctxt_switches:"),
            field("nonvoluntary_ctxt_switches:"),
        );
        threads.insert(
            thread.display().to_string(),
            (asleep, switches.0, switches.1),
        );
    }
    threads
}
