//! Compiles the C side of the VP8 binding against the system's libvpx.

fn main() {
    let vpx = match pkg_config::Config::new().atleast_version("1.8").probe("vpx") {
        Ok(vpx) => vpx,
        Err(error) => {
            println!("cargo::error=libvpx is missing (Debian: apt install libvpx-dev): {error}");
            return;
        }
    };
    for file in ["vp8_decoder.c", "vp8_test_encoder.c"] {
        println!("cargo::rerun-if-changed=src/media/codec/{file}");
    }
    // Two archives: the encoder makes streams for tests, and is linked only into them.
    cc::Build::new()
        .file("src/media/codec/vp8_decoder.c")
        .includes(&vpx.include_paths)
        .warnings(true)
        .compile("zego_vp8");
    cc::Build::new()
        .file("src/media/codec/vp8_test_encoder.c")
        .includes(&vpx.include_paths)
        .warnings(true)
        .compile("zego_vp8_test");
    // The system library comes after the archives that need it.
    for library in &vpx.libs {
        println!("cargo::rustc-link-lib={library}");
    }
}
