//! Runs the built programs.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A directory of its own for a test; gone when the test is over.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let d = std::env::temp_dir().join(format!("stpvm-test-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&d).unwrap();
        Dir(d)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `stap` in the hosted machine, far from the user's rc file.
pub fn command(args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_stap"));
    c.arg("--runtime=user").args(args).env("SYSTEMTAP_DIR", "/nonexistent").stdin(Stdio::null());
    c
}

pub fn stap(args: &[&str]) -> Output {
    command(args).output().expect("stap runs")
}

/// A child that SIGHUP ends, even where these tests run under nohup.
pub fn spawn(args: &[&str]) -> Child {
    let mut c = command(args);
    c.stdout(Stdio::piped()).stderr(Stdio::piped());
    // SAFETY: signal() may be called between fork and exec.
    unsafe {
        c.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_DFL);
            Ok(())
        });
    }
    c.spawn().expect("stap runs")
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Output, with what went wrong in the message.
pub fn good(o: &Output) -> String {
    assert!(o.status.success(), "status {:?}, stderr: {}", o.status, text(&o.stderr));
    text(&o.stdout)
}
