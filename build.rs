//! Has cargo look again when the console was built: what is embedded are files that no source names.

fn main() {
    println!("cargo:rerun-if-changed=ui/dist");
}
