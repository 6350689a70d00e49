//! Independent pieces of work over the cores, the largest first, so that no core is left with a large piece at the end.
//!
//! ```text
//!   sizes   9 1 5 2        core 1: |----9----|            results in the order of the pieces,
//!                          core 2: |--5--|-2-|1|          whoever did them
//! ```
//! Every call has threads of its own, which end with it: a process that forks afterwards has none to lose.

use rayon::ThreadPoolBuilder;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Less work than this, in operations, is done before threads would have begun.
const ALONE_MAX: usize = 10_000;
const WATCH: Duration = Duration::from_millis(20);

/// How many threads to use for pieces of such sizes; 0 wanted: as many as there are cores.
pub fn workers(sizes: &[usize], wanted: usize) -> usize {
    if sizes.iter().sum::<usize>() < ALONE_MAX {
        return 1;
    }
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = if wanted == 0 { cores() } else { wanted };
    wanted.min(sizes.len()).max(1)
}

/// Do every piece; `state` makes what a worker keeps between pieces.
pub fn over<S, T: Send>(
    sizes: &[usize],
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
) -> Vec<T> {
    watched(sizes, workers(sizes, threads), state, work, &mut || {})
}

/// The same with so many workers; `watch` is called now and then on the calling thread, unless there is one worker, which is that thread.
pub fn watched<S, T: Send>(
    sizes: &[usize],
    workers: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> T + Sync,
    watch: &mut dyn FnMut(),
) -> Vec<T> {
    let pool = (workers > 1).then(|| ThreadPoolBuilder::new().num_threads(workers).build());
    let Some(Ok(pool)) = pool else {
        let mut kept = state(); // one worker, or the system gives no more threads
        return (0..sizes.len()).map(|piece| work(&mut kept, piece)).collect();
    };
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&piece| std::cmp::Reverse(sizes[piece]));
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(sizes.len())));
    let (left, bell) = (Mutex::new(workers), Condvar::new());
    pool.in_place_scope(|scope| {
        scope.spawn_broadcast(|_, _| {
            let _leave = Leave(&left, &bell);
            let mut kept = state();
            while let Some(&piece) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = work(&mut kept, piece);
                locked(&done).push((piece, result));
            }
        });
        let mut working = locked(&left);
        while *working > 0 {
            let waited = bell.wait_timeout(working, WATCH);
            working = waited.unwrap_or_else(PoisonError::into_inner).0;
            watch();
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|&(piece, _)| piece);
    done.into_iter().map(|(_, result)| result).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says at the end of a worker, a panic included, that there is one fewer.
struct Leave<'a>(&'a Mutex<usize>, &'a Condvar);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        *locked(self.0) -= 1;
        self.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_stand_in_the_order_of_the_pieces() {
        let sizes: Vec<usize> = (0..500).map(|n| n * 37 % 101).collect();
        let expected: Vec<usize> = (0..500).map(|n| n * n).collect();
        for workers in [1, 2, 7] {
            let squares = watched(&sizes, workers, || (), |(), n| n * n, &mut || {});
            assert_eq!(squares, expected, "{workers} workers");
        }
        assert!(watched(&[], 3, || (), |(), n| n, &mut || {}).is_empty());
    }

    #[test]
    fn little_work_is_done_alone() {
        assert_eq!(workers(&[1; 100], 0), 1);
        assert_eq!(workers(&[ALONE_MAX; 3], 8), 3);
        assert_eq!(workers(&[ALONE_MAX; 3], 2), 2);
    }

    #[test]
    #[should_panic(expected = "piece 3")]
    fn a_panic_reaches_the_caller() {
        watched(&[1; 10], 2, || (), |(), n| assert!(n != 3, "piece 3"), &mut || {});
    }
}
