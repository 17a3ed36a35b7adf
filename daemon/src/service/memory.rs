//! What the allocator keeps, and giving it back to the system.
#![allow(unsafe_code)] // glibc's mallopt and malloc_trim have no safe wrapper in the crates that we use.

/// Lets all threads share one heap. glibc would make one for each thread of a call, keep them in pieces after it, and of all but the
/// first never give back what is free at their end. Call it before there are threads.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    {
        /// `M_ARENA_MAX` of malloc.h.
        const ARENA_MAX: i32 = -8;
        unsafe extern "C" {
            fn mallopt(parameter: i32, value: i32) -> i32;
        }
        // SAFETY: mallopt takes two numbers and changes how later allocations are made.
        unsafe {
            mallopt(ARENA_MAX, 1);
        }
    }
}

/// Gives back what the allocator keeps for later: after a call that is tens of megabytes that standby does not need.
/// Takes some milliseconds; call it when nothing runs. With another C library than glibc it does nothing.
pub fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> i32;
        }
        // SAFETY: malloc_trim takes a number, keeps to memory that nobody uses, and may be called from any thread.
        unsafe {
            malloc_trim(0);
        }
    }
}
