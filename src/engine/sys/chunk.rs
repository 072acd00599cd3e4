//! Reads into buffers that grow.

use bytes::BufMut;
use std::io;
use tokio::io::ReadBuf;

/// Calls `read` with what `buf` has room for next, which need not be initialised, and counts as written what it
/// has filled. How many bytes that are, and what it returned.
///
/// # Errors
/// Those of `read`.
pub(crate) fn fill_chunk<B: BufMut, R>(
    buf: &mut B,
    read: impl FnOnce(&mut ReadBuf<'_>) -> io::Result<R>,
) -> io::Result<(usize, R)> {
    let chunk = buf.chunk_mut();
    let start = chunk.as_mut_ptr();
    // SAFETY: a `ReadBuf` writes nothing but initialised bytes.
    let mut part = ReadBuf::uninit(unsafe { chunk.as_uninit_slice_mut() });
    let returned = read(&mut part)?;
    let filled = part.filled();
    assert!(
        filled.as_ptr() == start,
        "it fills the buffer that it was given"
    );
    let len = filled.len();
    // SAFETY: so many bytes from the start on are filled, and what is filled is initialised.
    unsafe { buf.advance_mut(len) };
    Ok((len, returned))
}

#[cfg(test)]
mod tests {
    use super::fill_chunk;
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use tokio::io::ReadBuf;

    #[test]
    fn what_was_filled_is_written_and_no_more() {
        let mut buf = Vec::with_capacity(8);
        buf.push(1);
        let read = |part: &mut ReadBuf<'_>| {
            part.put_slice(&[2, 3]);
            Ok("done")
        };
        assert_eq!(fill_chunk(&mut buf, read).unwrap(), (2, "done"));
        assert_eq!(buf, [1, 2, 3]);
        let refused = fill_chunk(&mut buf, |part| {
            part.put_slice(&[4]);
            io::Result::<()>::Err(io::ErrorKind::WouldBlock.into())
        });
        assert!(refused.is_err());
        assert_eq!(buf, [1, 2, 3]);
    }

    #[test]
    #[cfg(not(runnext_asan))] // The other buffer is leaked.
    fn another_buffer_is_not_taken_for_the_one_that_was_given() {
        let mut buf = Vec::<u8>::with_capacity(4);
        let swap = |part: &mut ReadBuf<'_>| {
            let mut full = ReadBuf::new(Box::leak(Box::new([7; 4])));
            full.set_filled(4);
            *part = full;
            Ok(())
        };
        let filled = catch_unwind(AssertUnwindSafe(|| fill_chunk(&mut buf, swap)));
        assert!(filled.is_err());
        assert!(buf.is_empty());
    }
}
