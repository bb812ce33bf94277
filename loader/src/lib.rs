//! What stands between a compiled script and its user.
//!
//! * [`cache`]: where the results of earlier runs are kept
//! * [`cli`]: the options of `stap`
//! * [`session`]: a machine that runs an image, in the kernel or in this process
//! * [`output`]: from the machine's rings to text
//! * [`run`]: start, events, end
//! * [`symbols`]: names of kernel addresses that scripts print
//! * [`stap`]: the passes, as the command line wants them

pub mod cache;
pub mod cli;
pub mod output;
pub mod run;
pub mod session;
pub mod stap;
pub mod symbols;
