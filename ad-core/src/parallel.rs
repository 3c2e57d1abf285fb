//! Short tasks on several threads.
//!
//! A training step of a small network takes some tens of microseconds, about what the system needs to wake a thread. So the
//! threads of the pool stay awake for [`STAY`] after a task, looking for the next, and whoever waits for tasks to end waits
//! awake. Work is shared out over the current rayon pool, and results never depend on its size.

use std::cell::Cell;
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

thread_local! {
    /// Threads that the current task shares its own tasks out over; 0 for all of the pool.
    static SHARE: Cell<usize> = const { Cell::new(0) };
}

/// Threads over which the tasks of the current task are shared out: those of the pool, or within [`map_apart`] a share of them.
pub fn threads() -> usize {
    match SHARE.get() {
        0 => rayon::current_num_threads(),
        share => share,
    }
}

/// Runs `f` with so many threads to share its tasks out over.
fn with_share<R>(share: usize, f: impl FnOnce() -> R) -> R {
    struct Restore(usize);
    impl Drop for Restore {
        fn drop(&mut self) {
            SHARE.set(self.0);
        }
    }
    let _restore = Restore(SHARE.replace(share));
    f()
}

/// Runs `run` on every task, on the threads of the current pool, and returns when all are done. Where the current task has but one thread
/// to itself, one after another.
///
/// # Panics
/// If a task does.
pub fn for_each<I: Send>(tasks: impl IntoIterator<Item = I>, run: impl Fn(I) + Sync) {
    match threads() {
        1 => tasks.into_iter().for_each(run),
        _ => share_out(tasks.into_iter().collect(), &run),
    }
}

/// [`for_each`] on several threads, compiled once for each kind of task and not for each function, of which there are hundreds.
fn share_out<I: Send>(tasks: Vec<I>, run: &(dyn Fn(I) + Sync)) {
    let mut others = tasks.into_iter();
    let Some(first) = others.next() else { return };
    if others.len() == 0 {
        return run(first);
    }
    wake();
    let (left, share) = (AtomicUsize::new(others.len()), SHARE.get());
    rayon::in_place_scope(|scope| {
        for task in others {
            let done = Done(&left);
            scope.spawn(move |_| {
                let _done = done;
                with_share(share, || run(task));
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

/// What `f` makes of each task, as [`map`], for tasks of about one size that have tasks of their own: each shares those out over its part of
/// the threads only, and runs them itself where there are as many tasks as threads.
///
/// # Panics
/// If a task does.
pub fn map_apart<I: Send, R: Send>(tasks: impl IntoIterator<Item = I>, f: impl Fn(I) -> R + Sync) -> Vec<R> {
    let tasks: Vec<I> = tasks.into_iter().collect();
    let share = (threads() / tasks.len().max(1)).max(1);
    map(tasks, |task| with_share(share, || f(task)))
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
    fn tasks_apart_have_their_share_of_the_threads() {
        for (all, tasks, share) in [(1, 3, 1), (4, 1, 4), (4, 2, 2), (4, 3, 1), (4, 8, 1)] {
            let (before, inside, after) = on(all, || {
                let inside = map_apart(0..tasks, |_| map(0..3, |_| threads()));
                (threads(), inside, threads())
            });
            assert_eq!((before, after), (all, all));
            assert_eq!(inside, vec![vec![share; 3]; tasks], "{tasks} tasks on {all} threads");
        }
    }

    #[test]
    fn a_task_with_one_thread_runs_its_tasks_itself() {
        let threads = on(4, || map_apart(0..4, |_| map(0..8, |_| std::thread::current().id())));
        assert!(threads.iter().all(|of_one| of_one.windows(2).all(|pair| pair[0] == pair[1])));
    }

    #[test]
    fn a_panic_in_a_task_apart_gives_its_threads_back() {
        on(2, || {
            let caught = std::panic::catch_unwind(|| map_apart(0..1, |_| panic!("a task")));
            assert!(caught.is_err());
            assert_eq!(threads(), 2);
        });
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
