//! Whose turn it is: a tunnel's task is woken by each of its streams, and whatever it does costs system calls.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Drives `future`, but whenever it is woken lets others have their turn first: all that are ready, and all that the next look at the sockets
/// makes ready.
///
/// So what several streams send at about the same time leaves in one record and one system call, and the other end is woken once. When nobody
/// else has anything to do it costs that one look, and no waiting.
pub(crate) fn after_others<F: Future>(future: F) -> impl Future<Output = F::Output> {
    // On the heap: it is large, and what is large should not be moved from one future into the next.
    let mut future = Box::pin(future);
    // The first poll is nobody's answer to anything.
    let mut others_had_theirs = true;
    poll_fn(move |cx| {
        if !others_had_theirs {
            others_had_theirs = true;
            // Polled once, it asks the runtime to wake this task behind its next look at the sockets; that stands though it is dropped.
            let asked = pin!(tokio::task::yield_now()).poll(cx);
            debug_assert!(asked.is_pending(), "it never is ready at once");
            return Poll::Pending;
        }
        others_had_theirs = false;
        future.as_mut().poll(cx)
    })
}
