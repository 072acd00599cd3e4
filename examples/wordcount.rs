//! Counts the words of a tree of files, with one G for each file.
//!
//! Each G has its file read by `spawn_blocking`, since reading blocks a thread, and counts the
//! words itself, so that the counting spreads over the workers. A semaphore bounds how many files
//! are in memory at once. The last lines are the runtime's own counters: where the Gs ran, how
//! often a worker stole from another, and how often it had nothing to do and parked.
//!
//! ```text
//! $ cargo run --release --example wordcount -- examples
//! examples
//!           15  text files, 0 binary, 0 unreadable
//!        63509  bytes
//!         1890  lines
//!         7654  words, 1008 different
//!          1.6  ms
//!
//! most frequent
//!          227  let
//!          176  the
//!          127  a
//!          102  mut
//!          101  is
//!           95  use
//!           82  fn
//!           78  runnext
//!           75  await
//!           75  of
//!
//! runtime
//!           15  Gs spawned
//!            0  Gs alive
//!            0  in the global queue
//!            3  blocking threads
//!           30  polls on worker 0, 0 steals, 2 parks
//!            0  polls on worker 1, 0 steals, 1 parks
//! ```
//!
//! The numbers change with the examples, and the last ones from run to run.
//!
//! Without a PATH it counts this repository. Below PATH it leaves out `.git` and `target`, and
//! does not follow symbolic links. A file with a NUL byte in its first 8 KiB is binary. A word is
//! a run of letters, digits and underscores that begins with a letter, in lower case.
//!
//! Exit code: 0 when everything was read, 1 when PATH or a file below it could not be.

use runnext::runtime::{Handle, RuntimeMetrics};
use runnext::sync::Semaphore;
use runnext::task::{JoinSet, spawn_blocking};
use std::collections::HashMap;
use std::fmt::{Display, Write as _};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many files may be in memory, being read or counted, at once.
const FILES_AT_ONCE: usize = 64;
/// How many of the most frequent words are shown.
const WORDS_SHOWN: usize = 10;

#[runnext::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let root = match arguments.next() {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")),
    };
    let is_option = root.as_os_str().as_encoded_bytes().starts_with(b"-");
    if is_option || arguments.next().is_some() {
        eprintln!("usage: wordcount [PATH]");
        return ExitCode::FAILURE;
    }

    let start = Instant::now();
    let total = match count_tree(root.clone()).await {
        Ok(total) => total,
        Err(error) => {
            eprintln!("wordcount: cannot read {}: {error}", root.display());
            return ExitCode::FAILURE;
        }
    };
    let time = start.elapsed();

    for (path, error) in &total.unreadable {
        eprintln!("wordcount: cannot read {}: {error}", path.display());
    }
    let mut report = report(&root, &total, time);
    report += &counters(&Handle::current().metrics());
    // Not `print!`, which panics when the reader (`| head`) has gone away.
    if let Err(error) = io::stdout().write_all(report.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        eprintln!("wordcount: cannot write the report: {error}");
        return ExitCode::FAILURE;
    }
    if total.unreadable.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

// ---- Counting ----------------------------------------------------------------------------

/// What was counted in one file.
#[derive(Default)]
struct Counts {
    bytes: u64,
    lines: u64,
    words: HashMap<String, u64>,
}

/// What was counted in all files.
#[derive(Default)]
struct Total {
    files: u64,
    binary: u64,
    counts: Counts,
    unreadable: Vec<(PathBuf, io::Error)>,
}

/// Counts the file at `root`, or every file below it: one G for each.
///
/// # Errors
///
/// When `root` itself cannot be read. What cannot be read below it is in the result.
async fn count_tree(root: PathBuf) -> io::Result<Total> {
    let (files, unreadable) = blocking(move || walk(&root)).await?;
    let mut total = Total {
        unreadable,
        ..Total::default()
    };

    let room = Arc::new(Semaphore::new(FILES_AT_ONCE));
    let mut gs = JoinSet::new();
    for path in files {
        let room = room.clone();
        gs.spawn(async move {
            let _permit = room.acquire().await.expect("nobody closes the semaphore");
            let counted = count_file(path.clone()).await;
            (path, counted)
        });
    }

    while let Some(ended) = gs.join_next().await {
        match ended.expect("counting a file does not panic") {
            (_, Ok(Some(counts))) => total.add(counts),
            (_, Ok(None)) => total.binary += 1,
            (path, Err(error)) => total.unreadable.push((path, error)),
        }
    }
    total.unreadable.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(total)
}

impl Total {
    fn add(&mut self, file: Counts) {
        self.files += 1;
        self.counts.bytes += file.bytes;
        self.counts.lines += file.lines;
        for (word, count) in file.words {
            *self.counts.words.entry(word).or_default() += count;
        }
    }
}

/// Counts one file. `None` says that it is binary.
async fn count_file(path: PathBuf) -> io::Result<Option<Counts>> {
    let content = blocking(move || fs::read(path)).await?;
    if content.iter().take(8192).any(|&byte| byte == 0) {
        return Ok(None);
    }
    Ok(Some(count(
        &String::from_utf8_lossy(&content),
        content.len(),
    )))
}

/// Counts one text, which takes `bytes` bytes on disk.
fn count(text: &str, bytes: usize) -> Counts {
    let mut counts = Counts {
        bytes: bytes as u64,
        lines: text.lines().count() as u64,
        words: HashMap::new(),
    };
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
        if word.starts_with(char::is_alphabetic) {
            *counts.words.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    counts
}

/// Runs `work` where it may block, and waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work)
        .await
        .expect("neither the walk nor a read panics")
}

/// The files at and below `root`, and what could not be read on the way.
type Walked = (Vec<PathBuf>, Vec<(PathBuf, io::Error)>);

/// Finds the files to count.
///
/// # Errors
///
/// When `root` itself cannot be read, or is neither a file nor a directory.
fn walk(root: &Path) -> io::Result<Walked> {
    let (mut files, mut unreadable) = (Vec::new(), Vec::new());
    let kind = fs::metadata(root)?.file_type();
    if kind.is_file() {
        return Ok((vec![root.to_owned()], unreadable));
    }
    if !kind.is_dir() {
        return Err(io::Error::other("it is neither a file nor a directory"));
    }

    let mut entries: Vec<_> = fs::read_dir(root)?
        .map(|entry| (root.to_owned(), entry))
        .collect();
    while let Some((folder, entry)) = entries.pop() {
        let entry = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok(entry) => entry,
            Err(error) => {
                unreadable.push((folder, error));
                continue;
            }
        };
        match entry {
            (path, kind) if kind.is_file() => files.push(path),
            (path, kind) if kind.is_dir() && !is_left_out(&path) => match fs::read_dir(&path) {
                Ok(below) => entries.extend(below.map(|entry| (path.clone(), entry))),
                Err(error) => unreadable.push((path, error)),
            },
            // A folder that is left out, a symbolic link, a socket, a pipe, a device.
            _ => {}
        }
    }
    Ok((files, unreadable))
}

fn is_left_out(folder: &Path) -> bool {
    folder.ends_with(".git") || folder.ends_with("target")
}

// ---- Showing -----------------------------------------------------------------------------

/// The totals and the most frequent words.
fn report(root: &Path, total: &Total, time: Duration) -> String {
    let words = &total.counts.words;
    let mut ranked: Vec<_> = words.iter().collect();
    ranked.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));

    let (binary, unreadable, different) = (total.binary, total.unreadable.len(), words.len());
    let files = format!("text files, {binary} binary, {unreadable} unreadable");
    let in_all: u64 = words.values().sum();
    let milliseconds = format!("{:.1}", time.as_secs_f64() * 1e3);

    let mut text = format!("{}\n", root.display());
    row(&mut text, total.files, &files);
    row(&mut text, total.counts.bytes, "bytes");
    row(&mut text, total.counts.lines, "lines");
    row(&mut text, in_all, &format!("words, {different} different"));
    row(&mut text, milliseconds, "ms");

    text += "\nmost frequent\n";
    for (word, count) in ranked.iter().take(WORDS_SHOWN) {
        row(&mut text, count, word);
    }
    text
}

/// What the runtime counted while it ran all this.
fn counters(metrics: &RuntimeMetrics) -> String {
    let mut text = String::from("\nruntime\n");
    row(&mut text, metrics.spawned_tasks_count(), "Gs spawned");
    row(&mut text, metrics.num_alive_tasks(), "Gs alive");
    row(
        &mut text,
        metrics.global_queue_depth(),
        "in the global queue",
    );
    row(
        &mut text,
        metrics.num_blocking_threads(),
        "blocking threads",
    );
    for worker in 0..metrics.num_workers() {
        let polls = metrics.worker_poll_count(worker);
        let steals = metrics.worker_steal_count(worker);
        let parks = metrics.worker_park_count(worker);
        let what = format!("polls on worker {worker}, {steals} steals, {parks} parks");
        row(&mut text, polls, &what);
    }
    text
}

/// Appends one number and what it counts.
fn row(text: &mut String, number: impl Display, what: &str) {
    writeln!(text, "{number:>12}  {what}").expect("a string takes all that is written to it");
}
