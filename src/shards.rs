//! Copies of a value, each for some of the threads. Where every call locks a value or counts in it, cores would pass
//! one copy to each other all the time, and several threads would not be faster than one.

pub(crate) use threads::*;

#[cfg(any(unix, feature = "sqlite"))]
mod threads {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How many copies there are. More threads than these share them.
    pub(crate) const SHARDS: usize = 16;

    /// Aligned so that no two copies are in the same line of a core's cache, or in two lines that are fetched together.
    #[repr(align(128))]
    pub(crate) struct Shard<T>(pub T);

    pub(crate) struct Shards<T>(pub [Shard<T>; SHARDS]);

    /// Which copies are this thread's.
    #[derive(Clone, Copy)]
    pub(crate) struct Mine(usize);

    impl Mine {
        #[inline]
        pub fn get() -> Mine {
            thread_local!(static MINE: Cell<usize> = const { Cell::new(SHARDS) });
            static NEXT: AtomicUsize = AtomicUsize::new(0);
            let mut mine = MINE.get();
            if mine == SHARDS {
                mine = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
                MINE.set(mine);
            }
            Mine(mine)
        }
    }

    impl<T> Shards<T> {
        #[inline]
        pub fn at(&self, mine: Mine) -> &T {
            &self.0[mine.0 % SHARDS].0
        }

        #[cfg(feature = "sqlite")]
        pub fn iter(&self) -> impl Iterator<Item = &T> {
            self.0.iter().map(|shard| &shard.0)
        }
    }
}

/// Without threads there is nothing to divide.
#[cfg(not(any(unix, feature = "sqlite")))]
mod threads {
    #[derive(Clone, Copy)]
    pub(crate) struct Mine(());

    impl Mine {
        pub fn get() -> Mine {
            Mine(())
        }
    }
}
