//! One job written twice: as futures, and as Gs with stacks of their own.
//!
//! The job reads a few hundred files, at most eight at a time, counts their lines and adds up what
//! comes out of a channel. Where the futures `.await`, the Gs `wait`. What the Gs need not do is own
//! everything: those of a scope borrow from the one that waits for them, so there is no `Arc`, no
//! `clone` and no `move` of what is only looked at.
//!
//! ```text
//! $ cargo run --release --example blocking_style
//! futures: 300 files, 45150 lines, most of them in 300.txt
//! Gs:      300 files, 45150 lines, most of them in 300.txt
//! ```
#![cfg_attr(not(stackful), allow(unused))] // Elsewhere it only says that it cannot run.

#[cfg(stackful)]
use runnext::stackful::{blocking, scope};
use runnext::sync::{Semaphore, mpsc};
use runnext::task::spawn_blocking;
#[cfg(stackful)]
use runnext::{go, wait};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

/// How many files there are.
const FILES: usize = 300;
/// How many of them may be in memory at once.
const AT_ONCE: usize = 8;

#[cfg(stackful)]
#[runnext::main]
async fn main() -> io::Result<()> {
    let folder = Folder::with_files()?;

    let futures = as_futures(folder.0.clone()).await?;
    println!("futures: {futures}");

    let path = folder.0.clone();
    let gs = go(move || as_gs(&path)).await??;
    println!("Gs:      {gs}");
    Ok(())
}

#[cfg(not(stackful))]
fn main() {
    println!("there are no stackful tasks on this system");
}

// ---- As futures --------------------------------------------------------------------------

async fn as_futures(folder: PathBuf) -> io::Result<Total> {
    let (counted, mut counts) = mpsc::channel(16);

    let readers = runnext::spawn(async move {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        for path in spawn_blocking(move || list(&folder)).await?? {
            let permit = room.clone().acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let counted = counted.clone();
            runnext::spawn(async move {
                let text = spawn_blocking({
                    let path = path.clone();
                    move || fs::read_to_string(path)
                });
                let lines = text.await?.map(|text| text.lines().count());
                drop(permit);
                // The receiver is gone if another file could not be read.
                let _sent = counted.send((path, lines)).await;
                io::Result::Ok(())
            });
        }
        io::Result::Ok(())
    });

    let mut total = Total::default();
    while let Some((path, lines)) = counts.recv().await {
        total.add(&path, lines?);
    }
    readers.await??;
    Ok(total)
}

// ---- As Gs -------------------------------------------------------------------------------

#[cfg(stackful)]
fn as_gs(folder: &Path) -> io::Result<Total> {
    let room = &Semaphore::new(AT_ONCE);

    scope(|s| {
        // In here, so that the receiver is gone when the scope waits for those who send.
        let (counted, mut counts) = mpsc::channel(16);
        let readers = s.go(move || {
            for path in blocking(|| list(folder))? {
                let permit = wait(room.acquire()).expect("nobody closes the semaphore");
                let counted = counted.clone();
                s.go(move || {
                    let lines = blocking(|| fs::read_to_string(&path));
                    let lines = lines.map(|text| text.lines().count());
                    drop(permit);
                    // The receiver is gone if another file could not be read.
                    let _sent = wait(counted.send((path, lines)));
                });
            }
            io::Result::Ok(())
        });

        let mut total = Total::default();
        while let Some((path, lines)) = wait(counts.recv()) {
            total.add(&path, lines?);
        }
        readers.join()??;
        Ok(total)
    })
}

// ---- What both need ----------------------------------------------------------------------

/// What was counted.
#[derive(Default)]
struct Total {
    files: usize,
    lines: usize,
    longest: Option<(usize, String)>,
}

impl Total {
    fn add(&mut self, path: &Path, lines: usize) {
        self.files += 1;
        self.lines += lines;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        self.longest = self.longest.take().max(Some((lines, name.into_owned())));
    }
}

impl std::fmt::Display for Total {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files, {} lines", self.files, self.lines)?;
        match &self.longest {
            Some((_, name)) => write!(f, ", most of them in {name}"),
            None => Ok(()),
        }
    }
}

/// The files in a folder.
fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// A folder of this process, which is removed in the end.
struct Folder(PathBuf);

impl Folder {
    /// With files of one line, two lines, and so on.
    fn with_files() -> io::Result<Folder> {
        let path = std::env::temp_dir().join(format!("blocking_style-{}", process::id()));
        fs::create_dir(&path)?;
        let folder = Folder(path);
        for lines in 1..=FILES {
            let name = folder.0.join(format!("{lines:03}.txt"));
            fs::write(name, "the same line\n".repeat(lines))?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("blocking_style: {} is left: {error}", self.0.display());
        }
    }
}
