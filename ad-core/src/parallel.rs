//! Short tasks on several threads.
//!
//! A training step of a small network takes some tens of microseconds, about what the system needs to wake a thread. So the
//! threads of the pool stay awake for [`STAY`] after a task, looking for the next, and whoever waits for tasks to end waits
//! awake. Work is shared out over the current rayon pool and never depends on its size.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use rayon::Yield;

/// How long a thread stays awake after the last task.
pub const STAY: Duration = Duration::from_micros(100);
/// Threads that stay awake, at most: more than there are tasks would only burn power.
const MOST_AWAKE: usize = 8;

/// When the threads that wait awake go to sleep, in nanoseconds of [`now`].
static AWAKE_UNTIL: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds since the first call.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Lets the threads stay awake from now on.
fn stay_awake() {
    let stay = u64::try_from(STAY.as_nanos()).unwrap_or(u64::MAX);
    AWAKE_UNTIL.fetch_max(now().saturating_add(stay), Ordering::Relaxed);
}

/// Wakes the threads of the pool, unless they are awake.
fn wake() {
    let awake = AWAKE_UNTIL.load(Ordering::Relaxed) > now();
    stay_awake();
    if awake {
        return;
    }
    let caller = rayon::current_thread_index();
    rayon::spawn_broadcast(move |thread| {
        if Some(thread.index()) != caller && thread.index() < MOST_AWAKE {
            while AWAKE_UNTIL.load(Ordering::Relaxed) > now() {
                help();
            }
        }
    });
}

/// Runs a task of the pool if there is one, else lets other programs run.
fn help() {
    if rayon::yield_now() != Some(Yield::Executed) {
        std::thread::yield_now();
    }
}

/// Counts down when dropped, also where a task panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        stay_awake();
        self.0.fetch_sub(1, Ordering::Release);
    }
}

/// Runs `run` on every task, on the threads of the current pool, and returns when all are done.
///
/// # Panics
/// If a task does.
pub fn for_each<I: Send>(tasks: impl IntoIterator<Item = I>, run: impl Fn(I) + Sync) {
    let mut tasks = tasks.into_iter();
    if rayon::current_num_threads() == 1 {
        return tasks.for_each(run);
    }
    let Some(first) = tasks.next() else { return };
    let others: Vec<I> = tasks.collect();
    if others.is_empty() {
        return run(first);
    }
    wake();
    let (left, run) = (AtomicUsize::new(others.len()), &run);
    rayon::in_place_scope(|scope| {
        for task in others {
            let done = Done(&left);
            scope.spawn(move |_| {
                let _done = done;
                run(task);
            });
        }
        run(first);
        while left.load(Ordering::Acquire) > 0 {
            help();
        }
    });
}

/// What `f` makes of each task, in their order; on the threads of the current pool.
///
/// ```
/// assert_eq!(ad_core::parallel::map([1, 2, 3], |n| n * n), [1, 4, 9]);
/// ```
///
/// # Panics
/// If a task does.
pub fn map<I: Send, R: Send>(tasks: impl IntoIterator<Item = I>, f: impl Fn(I) -> R + Sync) -> Vec<R> {
    let tasks: Vec<I> = tasks.into_iter().collect();
    let results: Vec<Mutex<Option<R>>> = tasks.iter().map(|_| Mutex::new(None)).collect();
    for_each(tasks.into_iter().zip(&results), |(task, place)| {
        let result = f(task);
        *place.lock().expect("nothing panics while it is locked") = Some(result);
    });
    results.into_iter().map(|place| place.into_inner().ok().flatten().expect("every task has been run")).collect()
}

/// How many threads have something of their own; those of larger pools share.
pub(crate) const SLOTS: usize = 16;

/// Something of one thread, on cache lines of its own: what several cores write by turns travels between them each time.
///
/// Two lines, which processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Apart<S>(pub(crate) S);

/// The slot of the current thread: by its place in the pool, and the first outside of one.
pub(crate) fn slot() -> usize {
    rayon::current_thread_index().map_or(0, |thread| 1 + thread % (SLOTS - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool").install(f)
    }

    #[test]
    fn every_task_is_run_once_and_results_keep_their_order() {
        for threads in [1, 2, 5] {
            for n in [0, 1, 2, 100] {
                let squares = on(threads, || map(0..n, |i| i * i));
                assert_eq!(squares, (0..n).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn tasks_may_have_tasks() {
        let sums = on(3, || map(0..10u64, |i| map(0..i, |j| j).into_iter().sum::<u64>()));
        assert_eq!(sums, (0..10u64).map(|i| i * i.saturating_sub(1) / 2).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_reaches_the_caller() {
        for threads in [1, 2] {
            let caught = std::panic::catch_unwind(|| {
                on(threads, || for_each(0..8, |i| assert!(i != 5, "task {i}")));
            });
            assert!(caught.is_err(), "{threads} threads");
        }
    }

    #[test]
    fn threads_go_to_sleep_again() {
        on(2, || for_each(0..4, |_| {}));
        let until = AWAKE_UNTIL.load(Ordering::Relaxed);
        assert!(until <= now() + u64::try_from(STAY.as_nanos()).unwrap());
    }
}
