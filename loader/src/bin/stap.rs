//! `stap`: compiles and runs SystemTap scripts. All of it is in the library.

fn main() {
    let argv: Vec<String> = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    std::process::exit(stp_loader::stap::main(&argv));
}
