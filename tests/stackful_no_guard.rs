//! Stackful tasks for which there turns out to be no stack when they are to begin: the kernel refuses
//! to guard it.
#![cfg(stackful)]

mod common;

use common::{in_child, multi_thread, panic_of};
use runnext::stackful::{Scope, ScopedJoinHandle, scope};
use std::io;

/// Runs the rest of `test` in a process of its own whose kernel makes no guards. Whether this is it.
fn in_a_child_without_guards(test: &str) -> bool {
    let Some(output) = in_child(test) else {
        refuse_guards();
        return true;
    };
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{complained}");
    false
}

/// Has the kernel say to this process that there is no memory for guards, whichever way they are made.
fn refuse_guards() {
    use libc::{
        BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, ENOMEM, PROT_NONE,
        SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SYS_madvise, SYS_mprotect, SYS_process_madvise,
    };
    const MADV_GUARD_INSTALL: u32 = 102;
    // As the runtime's are; those of std for its threads are smaller.
    const GUARD: u32 = 16 << 10;
    // Where the kernel puts the number of the call and the lower halves of its arguments.
    const NUMBER: u32 = 0;
    const SECOND: u32 = 24;
    const THIRD: u32 = 32;
    const REFUSE: u32 = SECCOMP_RET_ERRNO | ENOMEM as u32;
    let load = |at| step(BPF_LD | BPF_W | BPF_ABS, at, 0, 0);
    // Goes on after `yes` or `no` steps more.
    let is = |value, yes, no| step(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
    let end = |verdict| step(BPF_RET | BPF_K, verdict, 0, 0);
    let mut filter = [
        load(NUMBER),
        is(SYS_process_madvise as u32, 8, 0),
        is(SYS_madvise as u32, 0, 2),
        load(THIRD),
        is(MADV_GUARD_INSTALL, 5, 6),
        is(SYS_mprotect as u32, 0, 5),
        load(THIRD),
        is(PROT_NONE as u32, 0, 3),
        load(SECOND),
        is(GUARD, 0, 1),
        end(REFUSE),
        end(SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // Unsafe: there are no others for these calls. SAFETY: the program is there while it is read; the
    // zeros are what the first call asks for.
    let codes = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            // For all threads, those of the test harness among them.
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                libc::SECCOMP_FILTER_FLAG_TSYNC,
                &raw const program,
            ) as i32,
        ]
    };
    assert_eq!(codes, [0, 0], "{}", io::Error::last_os_error());
}

fn step(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// A child that must not run.
fn refused<'scope>(s: &'scope Scope<'scope, '_>) -> ScopedJoinHandle<'scope, ()> {
    s.go(|| unreachable!("there is no stack for it"))
}

#[test]
fn a_child_without_a_stack_is_a_panic_of_its_scope() {
    if !in_a_child_without_guards("a_child_without_a_stack_is_a_panic_of_its_scope") {
        return;
    }
    let rt = multi_thread(1);
    let _entered = rt.enter();
    let said = panic_of(|| {
        scope(|s| {
            refused(s);
        });
    });
    assert!(said.contains("could not begin"), "{said}");
    assert!(said.contains("cannot guard a new stack"), "{said}");
}

#[test]
fn a_child_without_a_stack_is_a_panic_to_who_joins_it() {
    if !in_a_child_without_guards("a_child_without_a_stack_is_a_panic_to_who_joins_it") {
        return;
    }
    let rt = multi_thread(1);
    let _entered = rt.enter();
    scope(|s| {
        let error = refused(s).join().unwrap_err();
        assert!(error.is_panic(), "{error}");
        assert!(
            error.to_string().contains("cannot guard a new stack"),
            "{error}"
        );
    });
}
