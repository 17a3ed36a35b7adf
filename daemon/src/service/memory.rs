//! Giving memory back to the system.
#![allow(unsafe_code)] // glibc's malloc_trim has no safe wrapper in the crates that we use.

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
