//! Batches prepared while a step runs.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

/// The items of another iterator, in its order, prepared ahead on a thread of their own.
///
/// What is computed is what the iterator alone would compute; only when, and on which thread, differs. A data set that is
/// cloned into it shares its numbers with the original.
///
/// ```
/// use nn::data::{Augment, Batches, LastBatch, Prefetch, digits};
/// use nn::random::Key;
///
/// let (data, key) = (digits().reshaped(&[1, 8, 8]), Key::new(0));
/// let batches = Batches::new(data.rows(), 256, LastBatch::Drop, key.named("shuffle"))?;
/// for epoch in 0..2 {
///     let (data, augment, key) = (data.clone(), Augment::new().shift(1), key.named("augment").numbered(epoch));
///     let prepared = batches.epoch(epoch).map(move |rows| augment.apply(&data.batch::<f32>(&rows), &rows, key));
///     for batch in Prefetch::new(prepared, 2) {
///         assert_eq!(batch.inputs.shape(), [256, 1, 8, 8]); // A step is taken here.
///     }
/// }
/// # Ok::<(), nn::data::DataError>(())
/// ```
#[derive(Debug)]
pub struct Prefetch<I> {
    /// `None` once the last item has come or the iterator is dropped.
    running: Option<Running<I>>,
}

#[derive(Debug)]
struct Running<I> {
    items: Receiver<I>,
    thread: JoinHandle<()>,
}

impl<I: Send + 'static> Prefetch<I> {
    /// Starts to prepare the items; at most `depth` wait to be taken while one more is being prepared.
    ///
    /// # Panics
    /// If the system cannot start a thread.
    pub fn new(from: impl IntoIterator<Item = I, IntoIter: Send + 'static>, depth: usize) -> Self {
        let (sender, items) = sync_channel(depth);
        let from = from.into_iter();
        let work = move || {
            // Sending fails once nobody takes the items any more.
            for item in from {
                if sender.send(item).is_err() {
                    break;
                }
            }
        };
        Prefetch { running: Some(Running { items, thread: thread::spawn(work) }) }
    }
}

impl<I> Iterator for Prefetch<I> {
    type Item = I;

    /// The next item, as soon as it is there.
    ///
    /// # Panics
    /// With the panic of the iterator that prepares it.
    fn next(&mut self) -> Option<I> {
        let item = self.running.as_ref()?.items.recv().ok();
        if item.is_none() {
            // The thread is done: with the iterator, or by a panic.
            if let Some(Err(panic)) = self.running.take().map(|running| running.thread.join()) {
                resume_unwind(panic);
            }
        }
        item
    }
}

impl<I> Drop for Prefetch<I> {
    /// Stops the preparation and waits until the item in hand is done.
    fn drop(&mut self) {
        if let Some(Running { items, thread }) = self.running.take() {
            drop(items);
            // A panic that nobody waits for any more is of no interest.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::data::{Augment, Batch, Batches, LastBatch, digits};
    use crate::random::Key;

    #[test]
    fn batches_are_those_of_the_plain_iterator() {
        let data = digits().reshaped(&[1, 8, 8]);
        let batches = Batches::new(data.rows(), 100, LastBatch::Keep, Key::new(1)).unwrap();
        let prepared = |epoch| {
            let (data, augment, key) = (data.clone(), Augment::new().shift(2).flip(), Key::new(2).numbered(epoch));
            batches.epoch(epoch).map(move |rows| augment.apply(&data.batch::<f32>(&rows), &rows, key))
        };
        for epoch in 0..2 {
            let plain: Vec<Batch<f32>> = prepared(epoch).collect();
            for depth in [0, 1, 3, 100] {
                assert!(Prefetch::new(prepared(epoch), depth).eq(plain.iter().cloned()), "depth {depth}");
            }
        }
    }

    #[test]
    fn no_more_than_the_depth_are_prepared_ahead() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let mut items = Prefetch::new((0..100).inspect(move |_| _ = counter.fetch_add(1, Ordering::SeqCst)), 3);
        for taken in 1..=100 {
            assert_eq!(items.next(), Some(taken - 1));
            // Three wait, and one more may be held by the thread.
            assert!(made.load(Ordering::SeqCst) <= taken + 3 + 1);
        }
        assert_eq!((items.next(), items.next()), (None, None));
    }

    #[test]
    fn an_iterator_dropped_early_ends_its_thread() {
        let held = Arc::new(());
        for taken in [0, 1, 5] {
            let inside = Arc::clone(&held);
            let mut items = Prefetch::new(std::iter::repeat_with(move || Arc::clone(&inside)), 2);
            assert_eq!(items.by_ref().take(taken).count(), taken);
            drop(items);
            // What the thread owned is gone, so it has ended.
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    #[test]
    fn a_panic_reaches_the_consumer_in_its_place() {
        let mut items = Prefetch::new((0..5).map(|i| if i == 2 { panic!("item {i} is bad") } else { i }), 4);
        assert_eq!((items.next(), items.next()), (Some(0), Some(1)));
        let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "item 2 is bad");
        assert_eq!(items.next(), None);
        // Nobody waits for this one.
        drop(Prefetch::new(std::iter::once_with(|| panic!("unheard")).chain([0]), 1));
    }
}
