//! A pool of one thread, which a closure holds for as long as the test likes.

use crate::common::{Gate, OpensOnDrop};
use runnext::runtime::{Builder, Runtime};
use std::sync::mpsc;

/// Runtimes with one thread for blocking closures.
pub(crate) fn narrow() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
        builder.worker_threads(1).max_blocking_threads(1);
        builder.build().unwrap()
    })
}

/// Occupies the one thread until the gate is opened. What comes now stays in the queue.
pub(crate) fn occupy(rt: &Runtime) -> OpensOnDrop {
    let gate = Gate::new();
    let (begin, began) = mpsc::channel();
    rt.spawn_blocking({
        let gate = gate.clone();
        move || {
            begin.send(()).unwrap();
            gate.wait();
        }
    });
    began.recv().unwrap();
    OpensOnDrop(gate)
}
