//! A future beside one that is polled all the time: polled itself only when something woke it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;

/// Waits for what rarely happens (a limit of time, the end of the program, a policy that changes) without a look at it whenever bytes move.
#[derive(Debug)]
pub struct Seldom<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
    /// Of `woken`.
    waker: Waker,
}

#[derive(Debug)]
struct Woken {
    yes: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.yes.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Seldom<F> {
    /// Polls the future once at the beginning.
    pub fn new(future: F) -> Self {
        let woken = Arc::new(Woken {
            yes: AtomicBool::new(true),
            task: AtomicWaker::new(),
        });
        Self {
            future: Box::pin(future),
            waker: Waker::from(Arc::clone(&woken)),
            woken,
        }
    }
}

impl<F: Future> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // First: whoever wakes from now on wakes this task.
        self.woken.task.register(cx.waker());
        if !self.woken.yes.swap(false, Ordering::Acquire) {
            return Poll::Pending;
        }
        let this = &mut *self;
        this.future
            .as_mut()
            .poll(&mut Context::from_waker(&this.waker))
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn, time::Duration};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_polled_when_it_was_woken_and_not_when_others_were() {
        let (send, mut receive) = oneshot::channel::<u8>();
        let polls = Cell::new(0);
        let inner = poll_fn(|cx| {
            polls.set(polls.get() + 1);
            Pin::new(&mut receive).poll(cx)
        });
        let mut seldom = Seldom::new(inner);
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        let mut send = Some(send);
        let mut ticked = 0;
        let got = poll_fn(|cx| {
            while ticks.poll_tick(cx).is_ready() {
                ticked += 1;
                if ticked == 10
                    && let Some(send) = send.take()
                {
                    send.send(7).expect("heard");
                }
            }
            Pin::new(&mut seldom).poll(cx)
        });
        assert_eq!(got.await, Ok(7));
        assert_eq!(polls.get(), 2);
    }

    #[tokio::test]
    async fn it_may_move_to_another_task() {
        let (send, receive) = oneshot::channel::<u8>();
        let mut seldom = Seldom::new(receive);
        let first = poll_fn(|cx| Poll::Ready(Pin::new(&mut seldom).poll(cx)));
        assert!(first.await.is_pending());
        let task = tokio::spawn(seldom);
        tokio::task::yield_now().await;
        send.send(7).expect("heard");
        assert_eq!(task.await.expect("no panic"), Ok(7));
    }
}
