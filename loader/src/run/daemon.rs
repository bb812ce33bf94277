//! Going on in the background (`staprun -D`). The process must have one thread.

use std::io;

/// Makes a child that goes on from here, in a session of its own, deaf and mute: its output goes to
/// a file. The parent prints the child's id and ends.
pub fn detach() -> io::Result<()> {
    // SAFETY: one thread; the child goes on as this process would have.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: plain system calls; a fresh child is no leader of a group.
            unsafe {
                libc::setsid();
                let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
                if null < 0 {
                    return Err(io::Error::last_os_error());
                }
                for fd in 0..=2 {
                    libc::dup2(null, fd);
                }
                if null > 2 {
                    libc::close(null);
                }
            }
            Ok(())
        }
        pid => {
            let told = crate::stap::print(format!("{pid}\n").as_bytes());
            std::process::exit(i32::from(!told))
        }
    }
}
