//! Measuring tools shared by the tests, the benchmarks and the demo.
//!
//! They are instruments, not parts of the product: they know the simulated camera's bar, the documented layout of a
//! texture view and the Y4M format, and link nothing of the daemon, so that a fault there cannot hide itself here.

pub mod bar;
pub mod clip;
pub mod clock;
pub mod link;
pub mod scene;
pub mod sound;
pub mod texture;
pub mod tun;
pub mod y4m;
